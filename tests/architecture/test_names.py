"""No command takes a name, a number or an id without looking it up: every parameter of every
command says how it is looked at, so that a new one cannot forget it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from bus.cli import names
from tests.support.commands import whole

LOOKED_UP_BY_THE_COMMAND = {
    ("parked add", "partition"): "tests/unit/deliver/test_lane_unread.py",
    ("parked add", "offset"): "tests/unit/deliver/test_lane_unread.py",
    ("parked skip", "partition"): "tests/unit/deliver/test_lane_unread.py",
    ("parked skip", "offset"): "tests/unit/deliver/test_lane_unread.py",
    ("relay refused retry", "numbers"): "tests/integration/outbox/test_outbox_command.py",
    ("relay refused drop", "numbers"): "tests/integration/outbox/test_outbox_command.py",
}
"""Numbers that only a log or a database knows, and the test in which an unknown one is refused."""

FREE = (names.words, names.made, names.person)
"""Parsers that look nothing up, and the parameters that may have them, by what they are."""
MAY_BE_FREE = {
    "reason", "by",  # words
    "uri", "core", "relay", "owner", "key_id",  # what the command makes, or connects to
    "file",  # a path, or - for stdin
    "after",  # a place that a page printed: its form is looked at
    "subject",  # a person's number: the ledger is asked, see bus.operate.provisions
}  # fmt: skip


def parameters() -> Iterator[tuple[str, Any]]:
    """Every parameter of every command."""
    yield from _below(whole(), "")


def _below(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _below(each, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        for parameter in command.params:
            if parameter.name != "help":
                yield path, parameter


EVERY = [
    pytest.param(command, parameter, id=f"{command.replace(' ', '-')}-{parameter.name}")
    for command, parameter in parameters()
]


@pytest.mark.parametrize(("command", "parameter"), EVERY)
def test_every_parameter_is_looked_at(command: str, parameter: Any) -> None:
    """Texts by a parser of :mod:`bus.cli.names`, numbers by bounds or by the command itself."""
    described = parameter.type_descriptor
    kind, info = described.annotation, described.parameter_info
    if kind in (str, list[str]):
        assert info.parser is not None, "a text needs a parser of bus.cli.names"
        assert info.parser.__module__ == names.__name__
        if info.parser in FREE:
            assert parameter.name in MAY_BE_FREE
    elif kind in (int, list[int], float):
        is_bounded = info.min is not None and info.max is not None
        is_a_count = info.min is not None and parameter.name in ("last", "lines", "population")
        is_looked_up = (command, parameter.name) in LOOKED_UP_BY_THE_COMMAND
        assert is_bounded or is_a_count or is_looked_up
    else:
        is_chosen = isinstance(kind, type) and issubclass(kind, Enum | bool | Path)
        assert is_chosen or kind == list[Path] or "datetime" in str(kind)


def test_there_are_commands() -> None:
    """The walk finds them."""
    assert len(EVERY) > 100
    assert {command for command, _ in LOOKED_UP_BY_THE_COMMAND} <= {c for c, _ in parameters()}
