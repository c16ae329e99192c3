"""Whoever looks at the monitor's page learns to whom nobody delivers, and nobody is restarted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from bus.app.deliverers import Deliverers
from bus.broker import Broker, group_of
from bus.clock import Clock
from bus.errors import BrokerUnavailable
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from tests.support.waiting import until

OURS, THEIRS = "child_allowance", "individual_resident_tax"
AT = datetime(2026, 11, 30, 3, tzinfo=UTC)


class Cluster:
    """Knows who is in which group, or does not answer; and what time it is."""

    def __init__(self) -> None:
        self.hosted = {OURS}
        self.is_away = False
        self.time = AT

    async def members(self, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        if self.is_away:
            raise BrokerUnavailable("Kafka does not answer")
        there = {group_of(system) for system in self.hosted}
        return {group: ["x"] if group in there else [] for group in groups}

    def now(self) -> datetime:
        return self.time


@pytest.mark.parametrize("is_well", [True, False])
async def test_who_is_missing_is_said_beside_the_status(is_well: bool) -> None:
    """With since when it was seen; the status is the process's own, for a supervisor goes by it."""
    cluster = Cluster()
    watch = Deliverers(cast("Broker", cluster), lambda: [OURS, THEIRS], cast("Clock", cluster))
    reasons = {} if is_well else {"reasons": ["own: trouble"]}
    ready = {"own": lambda: [] if is_well else ["trouble"]}
    app = http.build(Metrics(), ready=ready, missing=watch.missing)

    async def asked(page: str = "readyz") -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get(f"/{page}")
        assert answer.status_code == (200 if is_well or page == "healthz" else 503)
        return answer.json()

    own = {"status": "ok" if is_well else "failing", **reasons}
    await watch.look()
    cluster.time += timedelta(hours=1)
    await watch.look()
    lacking = f"nobody delivers to {THEIRS} since 2026-11-30T03:00:00+00:00"
    assert await asked() == {**own, "missing": [lacking]}
    assert await asked("healthz") == {"status": "ok"}

    cluster.is_away = True
    await watch.look()
    assert await asked() == {**own, "missing": ["who delivers cannot be seen: RK-401"]}

    cluster.is_away, cluster.hosted = False, {OURS, THEIRS}
    await watch.look()
    assert await asked() == own


async def test_where_no_system_is_expected_nobody_is_missing() -> None:
    """Kafka is not asked."""
    cluster = Cluster()
    cluster.is_away = True
    watch = Deliverers(cast("Broker", cluster), list, cast("Clock", cluster))
    await watch.look()
    assert list(watch.missing()) == []


async def test_one_that_is_killed_is_seen_and_begun_again() -> None:
    """A defect in a look ends the task aloud; then it looks on."""
    cluster = Cluster()
    metrics = Metrics()
    tasks = Tasks(metrics, first=timedelta(milliseconds=50))
    watch = Deliverers(cast("Broker", cluster), lambda: [THEIRS], cast("Clock", cluster), every=0)
    cluster.hosted = cast("Any", None)
    kept = tasks.keep("deliverers", watch.run)
    await until(lambda: tasks.ill() == ["deliverers ended TypeError"])
    assert metrics.value("renkei_tasks_ended", task="deliverers") == 1
    cluster.hosted = set()
    await until(lambda: bool(list(watch.missing())) and not tasks.fallen)
    assert metrics.value("renkei_tasks_restarted_total", task="deliverers") == 1
    await kept.end()
