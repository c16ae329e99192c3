"""Who should run and does not is named, and so is that nobody can say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pydantic import SecretStr
from rich.console import Console

from bus.app import sources
from bus.broker import group_of
from bus.cli import reach as drawing
from bus.connect.source import Backlog, SourceStatus
from bus.errors import BrokerUnavailable, SourceUnavailable
from bus.ledger.reach import Reach, ReachState, SystemReach
from bus.model import Operation, OperationState
from bus.observe.runner import this_process
from bus.operate import documents, running
from bus.operate import reach as reaching
from bus.operate.session import Session
from bus.settings import OutboxConnection, Settings

OURS, THEIRS = "child_allowance", "individual_resident_tax"
CHANGE = "019d3f00-0000-7000-8000-000000000001"


class Broker:
    """Knows who is in which group; or does not answer."""

    def __init__(self, *hosted: str, is_away: bool = False) -> None:
        member = f"renkei-x@{this_process()}"
        self._members = {group_of(system): [member] for system in hosted}
        self._is_away = is_away

    async def members(self, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        if self._is_away:
            raise BrokerUnavailable("Kafka does not answer")
        return {group: self._members.get(group, []) for group in groups}


class Ledger:
    """Has a change that two systems wait for, or have."""

    state, stands = ReachState.WAITING, None

    async def editions(self) -> Mapping[str, Any]:
        return {}

    async def reach(self, change_id: str, _: object) -> Reach:
        at = datetime(2026, 11, 30, tzinfo=UTC)
        systems = [
            SystemReach(system=name, state=self.state, applied_at=at, stands=self.stands)
            for name in (OURS, THEIRS)
        ]
        return Reach(change_id=change_id, events=1, size=1, systems=systems)


class Opened:
    """The part of a session that is needed."""

    def __init__(self, broker: Broker, *outboxes: str) -> None:
        self._broker = broker
        uri = SecretStr("postgresql://localhost/x")
        self.settings = Settings(outboxes={each: OutboxConnection(uri=uri) for each in outboxes})

    async def broker(self) -> Broker:
        return self._broker

    async def ledger(self) -> Ledger:
        return Ledger()


def session(broker: Broker, *outboxes: str) -> Session:
    return cast("Session", Opened(broker, *outboxes))


@pytest.fixture(autouse=True)
def leaders(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Who leads which outbox; of another nobody can say."""
    found: dict[str, str | None] = {}

    async def status(_: Settings, system: str) -> SourceStatus:
        if system not in found:
            raise SourceUnavailable("the outbox's database does not answer", system=system)
        leader = found[system]
        return SourceStatus(system, Backlog(0, 0.0, 0, 0.0), leader, None if leader is None else 9)

    monkeypatch.setattr(sources, "status", status)
    return found


async def test_who_should_run_and_does_not_is_named(leaders: dict[str, str | None]) -> None:
    """A system that nobody delivers to, an outbox that nobody sends; and who runs, since when."""
    leaders |= {"resident_registry": this_process(), "fixed_asset_tax": None}
    opened = session(Broker(OURS), *leaders)

    found = {duty.system: duty for duty in await running.duties(opened, [OURS, THEIRS])}

    assert {name for name, duty in found.items() if duty.is_done} == {OURS, "resident_registry"}
    assert str(found[THEIRS]) == f"nobody delivers to {THEIRS}; start: renkei deliver"
    assert "nobody sends what waits in the source of fixed_asset_tax" in str(
        found["fixed_asset_tax"]
    )
    (runner,) = found[OURS].runners
    assert (datetime.now(UTC) - runner.since).total_seconds() < 3_600
    assert str(runner) == str(found["resident_registry"].runners[0])


async def test_where_nobody_can_be_asked_that_is_said() -> None:
    """It is no all-clear: not of the systems, and not of an outbox that is away."""
    opened = session(Broker(is_away=True), "resident_registry")

    found = await running.duties(opened, [OURS])

    assert [duty.is_done for duty in found] == [False, False]
    assert "who delivers to child_allowance cannot be seen: RK-" in str(found[0])
    assert "who sends what waits in the source of resident_registry cannot be seen: RK-" in str(
        found[1]
    )


@pytest.fixture
def _two_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are expected, and nobody asks when the log had what."""

    class Times:
        """Of no account here."""

        def __init__(self, _: object) -> None: ...

        async def with_times(self, reach: Reach) -> Reach:
            return reach

    async def entitled(*_: object) -> Mapping[str, Any]:
        return {}

    monkeypatch.setattr(reaching, "LogTimes", Times)
    monkeypatch.setattr(reaching, "entitled", entitled)
    monkeypatch.setattr(reaching, "expected_systems", lambda *_: [OURS, THEIRS])


@pytest.mark.usefixtures("_two_systems")
async def test_reach_names_whom_nobody_delivers_to() -> None:
    """Where a change waits, whoever asks is told that it waits for nobody."""
    reached = await reaching.ReachPoll(session(Broker(OURS)), CHANGE).look()

    assert list(reached.unrun) == [THEIRS]


@pytest.mark.usefixtures("_two_systems")
async def test_reach_gives_no_all_clear_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have it by the ledger: of the store that nobody delivers to nobody knows that it has it
    still, for it is a lane that says that its store went back."""
    monkeypatch.setattr(Ledger, "state", ReachState.APPLIED)

    reached = await reaching.ReachPoll(session(Broker(OURS)), CHANGE).look()
    assert reached.reach.is_complete
    assert [each.system for each in reached.unwatched] == [THEIRS]
    assert not reached.is_all_clear
    said = rendered(drawing.draw(reached))
    assert "nobody delivers to it now; last heard of" in said
    (ours, theirs) = documents.of(reached)["systems"]
    assert (ours["hosted"], theirs["hosted"]) == (True, False)
    assert (ours["watched"], theirs["watched"]) == (True, False)

    reached = await reaching.ReachPoll(session(Broker(OURS, THEIRS)), CHANGE).look()
    assert reached.is_all_clear
    reached = await reaching.ReachPoll(session(Broker(is_away=True)), CHANGE).look()
    assert len(reached.unwatched) == 2
    assert "nobody can say who delivers to it" in rendered(drawing.draw(reached))


@pytest.mark.usefixtures("_two_systems")
async def test_reach_gives_no_all_clear_where_a_lane_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store all of whose lanes stand is not looked at; since when is said."""
    pause = Operation(
        system=OURS,
        stream="resident",
        state=OperationState.PAUSED,
        at=datetime(2026, 11, 29, 3, tzinfo=UTC),
        operator="ops",
        note="T-1",
    )
    monkeypatch.setattr(Ledger, "state", ReachState.APPLIED)
    monkeypatch.setattr(Ledger, "stands", pause)

    reached = await reaching.ReachPoll(session(Broker(OURS, THEIRS)), CHANGE).look()
    assert not reached.is_all_clear
    said = rendered(drawing.draw(reached))
    assert "not looked at: paused since" in said


def rendered(what: Any) -> str:
    """As a terminal shows it, on lines that are long."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(what)
    return captured.get()
