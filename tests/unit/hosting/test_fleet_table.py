"""What a fleet does with a partition, cell by cell, as it is drawn and as plain rules have it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from bus.hosting.fleet_table import TABLE, Deed, Event, Situation, Want, deed, wanted

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HEAD = "| what happens | stands | " + " | ".join(want.value for want in Want) + " |"
CELLS = list(product(Event, Situation, Want))


def drawn() -> Iterator[tuple[Event, Situation, Want, Deed]]:
    """Every cell of the page's table that does not say *nothing*."""
    rows = PAGE.partition(HEAD)[2].split("\n\n")[0].strip().splitlines()[1:]
    for row in rows:
        event, stands, *deeds = [cell.strip() for cell in row.strip("|").split("|")]
        for situation, (want, said) in product(stands.split(", "), zip(Want, deeds, strict=True)):
            if said != Deed.NOTHING.value:
                yield Event(event), Situation(situation), want, Deed(said)


def test_the_drawing_is_the_table() -> None:
    """Each cell, and no other."""
    said = {cell: deed(*cell) for cell in CELLS if deed(*cell) is not Deed.NOTHING}

    assert {(event, here, want): done for event, here, want, done in drawn()} == said


def test_every_cell_is_there() -> None:
    """Nothing that happens meets a hole."""
    assert {(e, s, w) for (e, s), row in TABLE.items() for w in row} == set(CELLS)


def by_rules(event: Event, here: Situation, want: Want) -> Deed:
    """The same in other words."""
    is_paused = want in (Want.PAUSE, Want.CHANGE_PAUSED)
    is_changing = want in (Want.CHANGE, Want.CHANGE_PAUSED)
    if here is Situation.ELSEWHERE:
        return Deed.NOTHING
    if here is Situation.WORKING:
        return {Event.PAUSED: Deed.SEE_OUT, Event.EXPIRED: Deed.END_REFUSED}.get(
            event, Deed.NOTHING
        )
    if event is Event.PAUSED:
        return Deed.STAND if here is Situation.NONE else Deed.NOTHING
    if event is Event.EXPIRED or (event is Event.ENDED and here is Situation.STOPPED):
        return Deed.NOTHING
    if event is Event.BEGINS and is_paused:
        return Deed.STAND
    if is_changing:
        return Deed.NOTHING
    if is_paused and event is Event.ENDED:
        return Deed.STAND
    return Deed.REFUSE if want is Want.OVER else Deed.OPEN


@pytest.mark.parametrize(("event", "here", "want"), CELLS, ids=lambda value: value.name.lower())
def test_each_cell(event: Event, here: Situation, want: Want) -> None:
    """What waits for a person is opened by what one did; nothing opens while it may not."""
    assert deed(event, here, want) is by_rules(event, here, want)


@pytest.mark.parametrize(("paused", "changing", "expired"), list(product([False, True], repeat=3)))
def test_what_is_wanted(paused: bool, changing: bool, expired: bool) -> None:
    """A pause outlasts a last day, and so does a change."""
    want = wanted(is_paused=paused, is_changing=changing, has_expired=expired)

    assert (
        want
        is {
            (False, False): Want.OVER if expired else Want.RUN,
            (True, False): Want.PAUSE,
            (False, True): Want.CHANGE,
            (True, True): Want.CHANGE_PAUSED,
        }[paused, changing]
    )


def test_a_lane_s_status_changes_in_one_module() -> None:
    """Nobody else assigns it."""
    found = [
        file.name
        for folder in ("deliver", "rebuild", "control")
        for file in (ROOT / "bus" / folder).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        for target in ast.walk(ast.Tuple(elts=node.targets, ctx=ast.Load()))
        if isinstance(target, ast.Attribute) and target.attr == "status"
    ]

    assert set(found) == {"state.py"}
