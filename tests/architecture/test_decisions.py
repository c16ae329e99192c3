"""The index of the decisions names each of them once, by its own title."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
_LINE = re.compile(r"^- \[(.+)\]\((\d{4}-[a-z0-9-]+\.md)\)$", re.MULTILINE)


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


def test_a_number_that_no_record_has_is_said_to_be_free() -> None:
    """So that nobody looks for a record that was lost."""
    there = {int(file.name[:4]) for file in FOLDER.glob("[0-9]*.md")}
    (said,) = re.findall(
        r"^Numbers that were given out and not needed: (.+)\.$", _text("README.md"), re.M
    )
    assert {int(number) for number in said.split(", ")} == {*range(1, max(there))} - there


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
