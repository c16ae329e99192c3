"""What operators see of reach and status fits a terminal and a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, RenderableType

from bus.cli import reach as reach_command
from bus.cli import status as status_command
from bus.cli.times import duration
from bus.ledger import Reach, ReachState, SystemReach
from bus.ledger.stream_status import StreamStatus
from bus.model import Operation, OperationState
from bus.operate import documents
from bus.operate.questions import Overview
from bus.operate.reach import ReachAnswer

DAYS = timedelta(days=20)
NOW = datetime.now(UTC)


def drawn(what: RenderableType) -> str:
    """As it is printed at 80 columns, without colour."""
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def change(*systems: SystemReach, size: int | None = 3, events: int = 3) -> ReachAnswer:
    return ReachAnswer(Reach(change_id="0192", events=events, size=size, systems=systems))


def test_all_have_it() -> None:
    """The sum comes first, then who took how long."""
    text = drawn(
        reach_command.draw(
            change(
                SystemReach(
                    system="child_childcare_support",
                    state=ReachState.APPLIED,
                    took=timedelta(milliseconds=84.2),
                    applied_at=NOW,
                ),
                SystemReach(system="resident_registry", state=ReachState.NOT_ENTITLED),
            )
        )
    )

    assert text.splitlines()[0] == "1 of 1 applied"
    assert "84 ms" in text
    assert "not entitled" in text


def test_each_says_why_not() -> None:
    """Nobody is missing without a reason."""
    text = drawn(
        reach_command.draw(
            change(
                SystemReach(system="a" * 23, state=ReachState.PARKED, code="RK-202"),
                SystemReach(system="b", state=ReachState.WAITING, events_behind=1_234_567),
                SystemReach(system="c", state=ReachState.WAITING, code="RK-208"),
                SystemReach(system="d", state=ReachState.DISMISSED, code="RK-202"),
                SystemReach(system="e", state=ReachState.MISSED),
                events=2,
            )
        )
    )

    assert text.splitlines()[0] == "0 of 5 applied; 2 of 3 events in the ledger"
    assert "RK-202; see: renkei parked list" in text
    assert "1,234,567 events before it" in text
    assert "waits behind a parked event" in text
    assert len(text.splitlines()) == 7


PAUSE = Operation(
    system="late_elderly_medical_care",
    stream="protection",
    state=OperationState.PAUSED,
    at=NOW,
    operator="ops",
    note="T-1 [/bold] store restored",
)
STOP = replace(
    PAUSE, partition=3, state=OperationState.STOPPED, operator=None, code="RK-205", offset=17
)


def test_who_paused_it_and_why() -> None:
    """In the operator's own words, whatever they look like; the program gets them too."""
    reach = change(
        SystemReach(system="a", state=ReachState.PAUSED, operation=PAUSE, events_behind=3),
        SystemReach(system="b", state=ReachState.STOPPED, operation=STOP, code="RK-205"),
    )
    text = drawn(reach_command.draw(reach))

    assert "by ops: T-1 [/bold]" in text
    assert "RK-205; see: renkei lanes show" in text
    paused, stopped = documents.of(reach)["systems"]
    assert (paused["state"], paused["operation"]["reason"]) == ("paused", PAUSE.note)
    assert (stopped["operation"]["partition"], stopped["operation"]["offset"]) == (3, 17)


def test_nothing_is_known() -> None:
    """An unknown change is said to be unknown, not missing."""
    assert "no event of this change" in drawn(reach_command.draw(change(size=None, events=0)))


@pytest.mark.parametrize(
    ("took", "said"),
    [
        (timedelta(milliseconds=84), "84 ms"),
        (timedelta(seconds=2.14), "2.1 s"),
        (timedelta(minutes=3), "3 min"),
        (timedelta(hours=5), "5 h"),
        (timedelta(days=40), "40 d"),
    ],
)
def test_durations(took: timedelta, said: str) -> None:
    """One figure and its unit."""
    assert duration(took) == said


def test_status_fits() -> None:
    """A system that is far behind still has one line per stream."""
    far = StreamStatus(
        system="late_elderly_medical_care",
        stream="protection",
        lag_events=12_345_678,
        lag=timedelta(hours=30),
        rows_per_s=12_345.6,
        parked=12,
        last_applied_at=datetime.now(UTC) - timedelta(minutes=5),
    )
    never = StreamStatus(
        system="school",
        stream="resident",
        lag_events=0,
        lag=None,
        rows_per_s=0.0,
        parked=0,
        last_applied_at=None,
    )

    held = replace(far, operations=(PAUSE, STOP), parked_for=timedelta(days=23))

    text = drawn(status_command.draw([far, never], limit=DAYS))
    standing = drawn(status_command.draw([held, never], limit=DAYS))

    assert len(text.splitlines()) == 3
    assert "12,345,678" in text
    assert "1 d" in text
    assert "5 min ago" in text
    assert "never" in text
    assert "protection paused; see: renkei lanes show" in standing
    assert "protection/3 stopped RK-205; see: renkei lanes show" in standing
    assert "T-1" not in standing
    assert "set aside for 23 d, which is too long; see: renkei parked list" in " ".join(
        standing.split()
    )
    (said,) = documents.status(Overview([held], [], DAYS))
    assert said["operations"][0]["state"] == "paused"
    assert (said["overdue"], said["parked_seconds"]) == (True, 23 * 86_400)
    assert not documents.status(Overview([held], [], 2 * DAYS))[0]["overdue"]
