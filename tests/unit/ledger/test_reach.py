"""What the ledger holds of a change is put together into one answer."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.ledger.reach import EventReach, Reach, ReachState, reach_of, timed
from bus.model import Operation, OperationState

PAUSED, STOPPED = (
    Operation(
        system="school",
        stream="resident",
        state=state,
        at=datetime(2026, 11, 24, tzinfo=UTC),
        operator="ops",
        code=code,
        note="T-1",
    )
    for state, code in ((OperationState.PAUSED, None), (OperationState.STOPPED, "RK-205"))
)
DONE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PLACE = ("resident", 0, 5)
LATER = DONE + timedelta(milliseconds=80)


def standing(system: str = "school", offset: int = 5, **held: Any) -> EventReach:
    return EventReach(
        system=system,
        stream="resident",
        partition=0,
        offset=offset,
        **{"reached": offset + 1, **held},
    )


def reach(*standings: EventReach, size: int | None = None, events: int | None = None) -> Reach:
    known = len({s.offset for s in standings}) if events is None else events
    found = reach_of(
        "change",
        size=known if size is None else size,
        events=known,
        systems=["school"],
        standings=standings,
        places=[PLACE],
    )
    return timed(found, {PLACE: DONE})


@pytest.mark.parametrize(
    ("held", "state"),
    [
        ({"delivered_at": LATER}, ReachState.APPLIED),
        ({"superseded_at": LATER}, ReachState.SUPERSEDED),
        ({"exception": "PARKED", "code": "RK-202"}, ReachState.PARKED),
        ({"exception": "RETRY", "code": "RK-202"}, ReachState.PARKED),
        ({"exception": "WAITING", "code": "RK-208"}, ReachState.WAITING),
        ({"exception": "DISMISSED", "code": "RK-202"}, ReachState.DISMISSED),
        ({"exception": "SUPERSEDED"}, ReachState.SUPERSEDED),
        ({"exception": "PARKED", "delivered_at": LATER}, ReachState.APPLIED),
        ({"reached": None}, ReachState.WAITING),
        ({"reached": 5}, ReachState.WAITING),
        ({"reached": 6}, ReachState.MISSED),
        ({"reached": 5, "operation": PAUSED}, ReachState.PAUSED),
        ({"reached": None, "operation": PAUSED}, ReachState.PAUSED),
        ({"reached": 5, "operation": STOPPED}, ReachState.STOPPED),
        ({"reached": 6, "operation": PAUSED}, ReachState.MISSED),
        ({"delivered_at": LATER, "operation": PAUSED}, ReachState.APPLIED),
        ({"exception": "WAITING", "code": "RK-208", "operation": PAUSED}, ReachState.WAITING),
    ],
)
def test_one_event_in_one_system(held: dict[str, Any], state: ReachState) -> None:
    """Delivered counts most, then newer, then set aside, then how far the lane is."""
    (system,) = reach(standing(**held)).systems

    assert system.state is state
    assert (system.took is not None) == (held.keys() & {"delivered_at", "superseded_at"} != set())


@pytest.mark.parametrize(("offset", "state"), [(4, ReachState.APPLIED), (5, ReachState.GONE_BACK)])
def test_what_a_store_had_before_it_went_back(offset: int, state: ReachState) -> None:
    """A receipt says that the change was applied; the store says that it stands before it."""
    word = replace(STOPPED, code="RK-508", partition=0, offset=5)
    (system,) = reach(standing(offset=offset, delivered_at=LATER, operation=word)).systems

    assert system.state is state
    assert (system.applied_at is None) == (state is ReachState.GONE_BACK)
    assert (system.operation is None) == (state is ReachState.APPLIED)


def test_a_change_is_as_far_as_its_worst_event() -> None:
    """Two of three persons are there: the family is not."""
    parked = standing(offset=7, exception="PARKED", code="RK-202")
    answer = reach(standing(delivered_at=LATER), standing(offset=6, delivered_at=LATER), parked)

    (system,) = answer.systems
    assert (system.state, system.code) == (ReachState.PARKED, "RK-202")
    assert (answer.applied, answer.expected, answer.is_complete) == (0, 1, False)


def test_it_took_until_the_last_event() -> None:
    """Time counts from when the log had the change's first event to the last of a system's."""
    answer = reach(
        standing(delivered_at=LATER),
        standing(offset=6, delivered_at=LATER + timedelta(milliseconds=20)),
    )

    assert answer.systems[0].took == timedelta(milliseconds=100)
    assert answer.is_complete


def test_how_long_it_took_is_of_the_log_s_clock_or_unknown() -> None:
    """What a clerk filled in says nothing; a store's clock that is behind is never less than
    nothing; an event that compaction took leaves it unsaid."""
    answer = reach(standing(delivered_at=LATER))

    behind = timed(answer, {PLACE: LATER + timedelta(seconds=26)})
    assert behind.systems[0].took == timedelta(0)
    again = reach_of(
        "change", size=1, events=1, systems=["school"], places=[PLACE],
        standings=[standing(delivered_at=LATER)],
    )  # fmt: skip
    assert timed(again, {}).systems[0].took is None
    two = replace(again, places=[PLACE, ("resident", 0, 6)])
    assert timed(two, {PLACE: DONE}).systems[0].took is None
    assert "processed_at" not in {field.name for field in fields(EventReach)}


def test_nothing_is_settled_before_all_events_are_known() -> None:
    """While the ledger has two of a change's three events, nobody has it."""
    answer = reach(standing(delivered_at=LATER), standing(offset=6, delivered_at=LATER), size=3)

    assert [system.state for system in answer.systems] == [ReachState.WAITING]
    assert not answer.is_complete


def test_who_is_not_entitled_is_not_expected() -> None:
    """It is listed, and does not count."""
    answer = reach_of(
        "change",
        size=1,
        events=1,
        systems=["school", "vehicle_tax"],
        standings=[standing(delivered_at=LATER)],
    )

    assert [s.state for s in answer.systems] == [ReachState.APPLIED, ReachState.NOT_ENTITLED]
    assert (answer.applied, answer.expected, answer.is_complete) == (1, 1, True)


def test_how_far_a_lane_is_away() -> None:
    """A lane that is behind says by how many events."""
    (system,) = reach(standing(reached=2)).systems

    assert system.events_behind == 4


@pytest.mark.parametrize(
    ("operation", "code", "behind"), [(PAUSED, None, 4), (STOPPED, "RK-205", 4), (None, None, 4)]
)
def test_why_a_lane_is_away(operation: Operation | None, code: str | None, behind: int) -> None:
    """Who wants it so, or what it stopped on; how far it is is said as well."""
    (system,) = reach(standing(reached=2, operation=operation)).systems

    assert (system.operation, system.code, system.events_behind) == (operation, code, behind)


def test_a_pause_does_not_count_where_the_change_has_arrived() -> None:
    """The system has it, whatever its lane does now."""
    (system,) = reach(standing(delivered_at=LATER, operation=PAUSED)).systems

    assert system.stands == PAUSED
    (system,) = reach(standing(delivered_at=LATER)).systems
    assert system.stands is None
    (system,) = reach(standing(delivered_at=LATER, operation=PAUSED)).systems

    assert system.operation is None


def test_who_was_given_it_is_told_though_nobody_expects_it() -> None:
    """A system that is gone from the subscriptions stands among the others, by name."""
    answer = reach_of(
        "change",
        size=1,
        events=1,
        systems=["school", "vehicle_tax"],
        standings=[standing("pension", delivered_at=LATER)],
    )

    assert [s.system for s in answer.systems] == ["pension", "school", "vehicle_tax"]
    assert (answer.applied, answer.expected) == (1, 1)


def test_an_unknown_change() -> None:
    """The ledger knows nothing of it: nobody has it, and that is not complete."""
    answer = reach_of("change", size=None, events=0, systems=["school"], standings=[])

    assert not answer.is_complete
    assert answer.systems[0].state is ReachState.WAITING
