"""What happens in the demo: one change after the other, and what each shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from bus.model import Change, ChangeRecord
from bus.testing.municipality import Municipality, events

WITHHOLDS = "child_allowance"
"""A system that gets no address of a protected person."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One change to be entered."""

    kind: str
    ja: str
    what: str
    make: Callable[[datetime], Change]
    shows: Callable[[Change], ChangeRecord]
    """Whose row to show side by side afterwards."""


def scenes(town: Municipality) -> Iterator[Scene]:
    """The changes, in order; each is made only when its turn comes."""
    moves: list[Change] = []

    def family_moves(at: datetime) -> Change:
        moves.append(events.family_moves(town, at))
        return moves[-1]

    yield Scene("family_moves", "転居", "a family moves", family_moves, _resident)
    yield Scene("birth", "出生", "a child is born", lambda at: events.birth(town, at), _resident)
    yield Scene("death", "死亡", "somebody dies", lambda at: events.death(town, at), _resident)
    yield Scene(
        "protection_starts",
        "支援措置",
        "somebody is put under protection",
        lambda at: events.protection_starts(town, at),
        _resident,
    )
    yield Scene(
        "protected_person_moves",
        "転居（支援措置）",
        "a protected person moves",
        lambda at: events.protected_person_moves(town, at),
        _protected,
    )
    yield Scene(
        "correction",
        "誤記修正",
        "the family's move is corrected",
        lambda at: events.correction(town, at, moves[0]),
        _resident,
    )


def _resident(change: Change) -> ChangeRecord:
    return next(record for record in change.records if record.stream == "resident")


def _protected(change: Change) -> ChangeRecord:
    return next(
        record
        for record in change.records
        if record.stream == "resident" and record.body.get("protected")
    )
