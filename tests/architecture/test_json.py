"""Every command that has a result gives it as JSON too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.commands import whole

WITHOUT = {
    "deliver": "runs until it is told to stop, or until its exit status; its log is JSON",
    "relay run": "runs until it is told to stop; its log is JSON",
    "monitor run": "runs until it is told to stop; its log is JSON",
    "local logs": "prints lines as engines wrote them",
}


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that is no group, with the words that call it."""
    below = getattr(command, "commands", {})
    for name, each in below.items():
        yield from commands(each, (*words, name))
    if not below:
        yield " ".join(words), command


def test_every_command_has_it_or_a_reason() -> None:
    """And the list of reasons names commands that there are, and that do not have it."""
    found = dict(commands(whole()))
    assert len(found) > 30

    without = {
        words
        for words, command in found.items()
        if not any("--json" in option.opts for option in command.params)
    }

    assert without == set(WITHOUT)
