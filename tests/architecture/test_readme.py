"""The README's table of commands has all of them, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from typer.core import TyperGroup

from tests.support.commands import whole

README = Path(__file__).parents[2] / "README.md"


def test_each_command_is_in_the_table() -> None:
    command = whole()
    text = README.read_text(encoding="utf-8").partition("## Commands")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    shown: dict[str, set[str]] = {}
    for row in rows:
        for part in row.split(";"):
            first, *others = re.findall(r"`([^`]+)`", part)
            _, name, *rest = first.split()
            found = command.commands[name]
            below = shown.setdefault(name, set())
            if isinstance(found, TyperGroup):
                below |= {*rest[:1], *others}
    there = {
        name: {*found.commands} if isinstance(found, TyperGroup) else set()
        for name, found in command.commands.items()
        if not found.hidden
    }
    assert shown == there


def test_each_page_for_readers_is_linked() -> None:
    """Whoever begins at the README finds every howto and every page beside them."""
    linked = set(re.findall(r"\]\((docs/[a-z/-]+\.md)", README.read_text(encoding="utf-8")))
    docs = README.parent / "docs"
    pages = [*docs.glob("*.md"), *docs.glob("howto/*.md")]
    assert {str(page.relative_to(README.parent)) for page in pages} <= linked


def test_the_seventeen_are_counted_the_same_everywhere() -> None:
    """Business systems are those of the list; nobody counts neighbours or the ledger among them."""
    contracts = README.parent / "schemas"
    kinds = re.findall(r"\{.*kind: (\w+)", (contracts / "systems.yaml").read_text("utf-8"))
    assert kinds.count("standard") == 17 == len([*(contracts / "subscriptions").glob("*.yaml")])

    root = README.parent
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("docs/howto/*.md")]
    pages += root.glob("bus/**/*.py")
    other = re.compile(r"\b(?:fifteen|sixteen|eighteen|nineteen|1[5689]) (?:business )?systems\b")
    wrong = {
        str(page.relative_to(root)): found
        for page in pages
        if (found := other.findall(page.read_text("utf-8")))
    }
    assert wrong.pop("bus/deliver/reading.py", None) in (None, ["sixteen systems"])  # all but one
    assert not wrong
