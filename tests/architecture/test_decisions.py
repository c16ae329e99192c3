"""The index names each decision once; records name each other both ways, and code that is there."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
ROOT = FOLDER.parents[1]
_LINE = re.compile(r"^- \[(.+)\]\((\d{4}-[a-z0-9-]+\.md)\)$", re.MULTILINE)
_RELATION = re.compile(r"(extends|narrows|replaces|extended by|narrowed by|replaced by) (\[[^;]+)")
_LINK = re.compile(r"\[(\d+)\]\((\d{4})-[a-z0-9-]+\.md\)")
_NAMED = re.compile(r"`((?:bus|connectors)(?:\.\w+)+)`")


def test_each_decision_is_in_the_index_once() -> None:
    listed = [(name, title) for title, name in _LINE.findall(_text("README.md"))]
    records = [
        (file.name, file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "))
        for file in sorted(FOLDER.glob("[0-9]*.md"))
    ]
    assert sorted(listed) == records, "put each under its subject in docs/decisions/README.md"


def test_each_record_says_its_number_and_its_state() -> None:
    """In its first lines, so that a reader of any of them knows whether it holds."""
    for file in FOLDER.glob("[0-9]*.md"):
        first, _, state, *_ = file.read_text(encoding="utf-8").splitlines()
        assert first.startswith(f"# {int(file.name[:4])}. "), file.name
        assert state.startswith("Status: "), file.name


def test_records_name_each_other_both_ways() -> None:
    """Who reads the older one is led to the newer one, and back."""
    related = set()
    for file in FOLDER.glob("[0-9]*.md"):
        state = file.read_text(encoding="utf-8").splitlines()[2]
        found = _RELATION.findall(state)
        links = [int(number) for _, rest in found for number, _ in _LINK.findall(rest)]
        assert len(links) == len(_LINK.findall(state)), f"{file.name}: {state}"
        related |= {
            (int(file.name[:4]), verb, int(number))
            for verb, rest in found
            for number, _ in _LINK.findall(rest)
        }
    actives = {"extends": "extended by", "narrows": "narrowed by", "replaces": "replaced by"}
    opposite = actives | {passive: active for active, passive in actives.items()}
    assert len(related) > 40
    assert sorted(related - {(b, opposite[verb], a) for a, verb, b in related}) == []


def test_what_a_record_names_of_the_code_is_there() -> None:
    """A module, or a name that a module has."""
    gone = {
        f"{file.name}: {name}"
        for file in FOLDER.glob("[0-9]*.md")
        for name in _NAMED.findall(file.read_text(encoding="utf-8"))
        if not _is_there(name)
    }
    assert sorted(gone) == []


def test_a_number_that_no_record_has_is_said_to_be_free() -> None:
    """So that nobody looks for a record that was lost."""
    there = {int(file.name[:4]) for file in FOLDER.glob("[0-9]*.md")}
    (said,) = re.findall(
        r"^Numbers that were given out and not needed: (.+)\.$", _text("README.md"), re.M
    )
    assert {int(number) for number in said.split(", ")} == {*range(1, max(there))} - there


def _is_there(name: str) -> bool:
    *parents, last = name.split(".")
    if ROOT.joinpath(*parents, last).is_dir() or ROOT.joinpath(*parents, f"{last}.py").exists():
        return True
    module = ROOT.joinpath(*parents).with_suffix(".py")
    if not module.exists():
        module = ROOT.joinpath(*parents, "__init__.py")
    if not module.exists():
        return len(parents) > 1 and _is_there(".".join(parents))  # a method of a class
    return re.search(rf"\b{last}\b", module.read_text(encoding="utf-8")) is not None


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
