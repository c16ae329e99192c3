"""Who should run and does not is named, and so is that nobody can say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pydantic import SecretStr

from bus.app import sources
from bus.broker import group_of
from bus.connect.source import Backlog, SourceStatus
from bus.errors import BrokerUnavailable, SourceUnavailable
from bus.ledger.reach import Reach, ReachState, SystemReach
from bus.observe.runner import this_process
from bus.operate import reach as reaching
from bus.operate import running
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
    """Has a change that one of two systems waits for."""

    async def editions(self) -> Mapping[str, Any]:
        return {}

    async def reach(self, change_id: str, _: object) -> Reach:
        waiting = [SystemReach(system=name, state=ReachState.WAITING) for name in (OURS, THEIRS)]
        return Reach(change_id=change_id, events=1, size=1, systems=waiting)


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


async def test_reach_names_whom_nobody_delivers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a change waits, whoever asks is told that it waits for nobody."""

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

    reached = await reaching.ReachPoll(session(Broker(OURS)), CHANGE).look()

    assert list(reached.unrun) == [THEIRS]
