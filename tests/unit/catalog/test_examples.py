"""Examples: those shipped are judged as they say, and one that lies is found."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from bus import app as composition
from bus.catalog import Catalog, load
from bus.catalog.examples import read_examples

Edit = Callable[[str, Callable[[Any], None]], Path]

all_shown = pytest.mark.parametrize("shown", [tuple(load().streams)], ids=["all streams"])

INVALID = "streams/resident/examples/invalid/sex_in_no_code_list.json"


@pytest.fixture
def shown() -> Collection[str]:
    """Those that are spoilt here."""
    return ("resident", "receipt")


def test_shipped_examples_are_judged_as_they_say(catalog: Catalog) -> None:
    """What must pass passes; what must not gives exactly the faults it names."""
    assert [str(fault) for fault in composition.publishing.example_faults(catalog)] == []


def test_every_stream_has_both_kinds(catalog: Catalog) -> None:
    """An example that validates and one that does not, for each schema."""
    examples, _ = read_examples(catalog)
    for stream in catalog.streams.values():
        kinds = {bool(example.expected) for example in examples if example.stream is stream}
        assert kinds == {True, False}, stream.name


def test_awkward_text_is_among_them(catalog: Catalog) -> None:
    """Variation selectors, the supplementary plane, dates of no calendar."""
    text = "".join(str(example.value) for example in read_examples(catalog)[0])
    for awkward in ("葛\U000e0100", "𠮷", "髙", "2023-02-29", "頃"):
        assert awkward in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by", "code"),
    [
        (INVALID, lambda v: v["with"].update({"sex": "1"}), "example-passes"),
        (INVALID, lambda v: v["expected"][0].update({"field": "header.reason"}), "example-passes"),
        (INVALID, lambda v: v["expected"][0].update({"code": "too-long"}), "example-refused"),
        (INVALID, lambda v: v.update({"expected": []}), "example"),
        (INVALID, lambda v: v.update({"based_on": "nobody"}), "example"),
        (INVALID, lambda v: v.update({"without": ["address.planet"]}), "example"),
        (INVALID, lambda v: v.update({"with": {"planet.sea": 1}}), "example"),
        (INVALID, lambda v: v.update({"comment": "x"}), "example"),
        ("streams/resident/examples/valid/moved_in.json", lambda v: v.update({"sex": "9"}),
         "example-refused"),
        ("streams/resident/examples/valid/moved_in.json", lambda v: v.pop("birth_date"),
         "example-refused"),
        ("streams/receipt/examples/valid/applied.json", lambda v: v.update({"rows": 2**63}),
         "example-refused"),
    ],
)  # fmt: skip
def test_an_example_that_lies_is_found(
    folder: Path, edit: Edit, name: str, by: Callable[[Any], None], code: str
) -> None:
    """Should fail but passes, should pass but fails, says nothing: each is a fault of the file."""
    edit(name, by)

    faults = composition.publishing.example_faults(load(folder))

    assert (code, name) in {(fault.code, fault.file) for fault in faults}


@all_shown
def test_a_stream_without_examples(folder: Path) -> None:
    """A schema that nobody showed an event of is not ready."""
    for path in (folder / "streams/household/examples/invalid").iterdir():
        path.unlink()

    _, faults = read_examples(load(folder))

    assert [(fault.code, fault.file) for fault in faults] == [
        ("no-example", "streams/household/examples")
    ]


@all_shown
def test_a_broken_example(folder: Path) -> None:
    """Half a file is one fault."""
    (folder / INVALID).write_text("{", encoding="utf-8")

    _, faults = read_examples(load(folder))

    assert [(fault.code, fault.file, fault.line) for fault in faults] == [("syntax", INVALID, 1)]
