"""Every event type, property and rule of every stream has an example that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bus.catalog import Catalog, load
from bus.catalog.examples import Example, read_examples
from bus.catalog.single import fingerprint_of
from bus.model import Item, Severity, Stream
from bus.publish.rules import RULES
from bus.publish.rules.statement import Statement

CATALOG = load()
STREAMS = [stream for stream in CATALOG.streams.values() if not stream.is_internal]
NAMES = [stream.name for stream in STREAMS]
EXAMPLES = read_examples(CATALOG)[0]

CODE_OF = {
    "x-codes": "code-list",
    "x-minimum": "range",
    "x-maximum": "range",
    "x-max-length": "too-long",
    "x-not-before": "date-order",
    "x-sum-of": "sum",
    "x-zero-when": "zero",
    "x-required-when": "missing",
}
CODE_OF_CHECK = {
    "atena": "empty",
    "name": "name",
    "kana": "kana",
    "municipality-code": "check-digit",
    "individual-number": "check-digit",
    "corporate-number": "check-digit",
    "insurer-number": "check-digit",
    "postal-code": "digits",
    "digits": "digits",
}
SAME_TYPE = ("forwarding_address.",)  # its type is shown by previous_address already
REGISTER = {
    "resident": {
        ("nature", "header.nature"),
        ("state", "resident_state"),
        ("missing", "address"),
        ("missing", "birth_date.date"),
        ("effective-date", "header.effective_date.date"),
        ("birth-date", "birth_date.date"),
        ("change-index", "header.change_index"),
        ("processed-at", "header.processed_at"),
        ("cancels", "header.cancels"),
    },
    "household": {
        ("member-count", "member_count"),
        ("head", "head_subject_id"),
        ("head", "members.relationship"),
        ("repeated", "members.subject_id"),
    },
    "protection": {
        ("state", "status"),
        ("missing", "suppresses"),
        ("nature", "header.nature"),
        ("date-order", "ends_on"),
        ("date-order", "decided_on"),
        ("missing", "decided_on"),
        ("case", "started_on"),
        ("case", "sharers.started_on"),
        ("repeated", "cases.started_on"),
        ("state", "cases.status"),
        ("missing", "cases.current_address"),
        ("cases", "suppresses"),
        ("cases", "shared_with"),
    },
}
"""Rules that are functions, not statements: what they find."""


def examples_of(stream: Stream) -> list[Example]:
    """All of them."""
    return [example for example in EXAMPLES if example.stream.name == stream.name]


def shown(stream: Stream) -> set[tuple[str, str | None]]:
    """Code and field of every fault that an invalid example must give."""
    return {pair for example in examples_of(stream) for pair in example.expected}


def asked(item: Item) -> Iterator[str]:
    """The codes of the faults that an item's properties can give."""
    for name, content in item.properties.items():
        if name in CODE_OF:
            yield CODE_OF[name]
        elif name == "x-check":
            yield CODE_OF_CHECK[content.partition(":")[0]]


def test_the_streams_are_all_there() -> None:
    """Those of the register, of the seventeen systems, and of what crosses between them."""
    assert len(STREAMS) == 24
    assert all(stream.providers for stream in STREAMS)
    assert set(RULES) == set(NAMES)


@pytest.mark.parametrize("stream", STREAMS, ids=NAMES)
def test_every_event_type_has_a_valid_example(stream: Stream) -> None:
    """Somebody who has to publish one can look at it."""
    seen = {e.value["header"]["event_type"] for e in examples_of(stream) if not e.expected}

    assert seen == set(stream.event_types)


@pytest.mark.parametrize("stream", STREAMS, ids=NAMES)
def test_every_rule_is_broken_by_an_example(stream: Stream) -> None:
    """A rule that nobody has seen refuse anything may as well refuse nothing."""
    wanted = REGISTER.get(stream.name, set()) | {
        (rule.code, rule.path)
        for rule in RULES[stream.name]
        if isinstance(rule, Statement) and rule.severity is Severity.ERROR
    }

    assert wanted - shown(stream) == set()


@pytest.mark.parametrize("stream", STREAMS, ids=NAMES)
def test_every_property_of_an_item_is_broken_by_an_example(stream: Stream) -> None:
    """So is every length, code list, range and check digit; and the provider."""
    wanted = {("provider", "header.source"), ("event-type", "header.event_type")} | {
        (code, item.path)
        for item in stream.items
        if not item.path.startswith(("header.", *SAME_TYPE))
        for code in asked(item)
    }

    assert wanted - shown(stream) == set()


@pytest.mark.parametrize("stream", STREAMS, ids=NAMES)
def test_an_item_id_is_given_or_said_to_be_unknown(stream: Stream) -> None:
    """データ項目ID are never invented."""
    if any(item.item_id is None for item in stream.items):
        for version in stream.versions:
            assert "データ項目ID: not known to us" in version.schema["doc"]


def test_a_doc_is_no_part_of_what_bytes_mean(catalog: Catalog) -> None:
    """Words may be mended in a released schema: its canonical form knows none."""

    version = catalog.stream("household").latest
    without = {name: value for name, value in version.schema.items() if name != "doc"}

    assert "doc" in version.schema
    assert fingerprint_of(json.dumps(without)) == version.fingerprint
