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
    shown: set[str] = set()
    for row in rows:
        for part in row.split(";"):
            first, *others = re.findall(r"`([^`]+)`", part)
            _, name, *rest = first.split()
            found = command.commands[name]
            shown.add(name)
            if isinstance(found, TyperGroup):
                assert {*rest[:1], *others} <= {*found.commands}, part
    hidden = {name for name, found in command.commands.items() if found.hidden}
    assert shown == {*command.commands} - hidden
