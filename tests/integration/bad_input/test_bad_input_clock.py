"""Clocks an hour off, on real engines: order, positions and who leads do not hang on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bus.clock import SystemClock
from bus.connect.lease import Lease
from bus.deliver.state import LaneStatus
from bus.local.endpoints import Endpoints
from connectors.outbox import upkeep
from connectors.outbox.database import connect
from connectors.outbox.term import lease_row
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.lanes import Town, hosted
from tests.support.on_kafka import own_town

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
SOON = 30.0
AN_HOUR = timedelta(hours=1)


class WrongClock(SystemClock):
    """The machine's clock, set wrongly."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


@pytest.fixture(params=[AN_HOUR, -AN_HOUR], ids=["ahead", "behind"])
async def town(request: pytest.FixtureRequest, engines: Endpoints) -> AsyncIterator[Town]:
    """Topics of this test's own, and a delivering machine whose clock is an hour off."""
    async with own_town(engines.kafka, 1, clock=WrongClock(request.param)) as made:
        yield made


async def test_delivery_does_not_go_by_the_clock(town: Town, database: str) -> None:
    """All arrives in order, also after a restart and with one event parked; the store's own time
    is told, and no lag is negative."""
    options = PostgresOptions(uri=SecretStr(database))
    sinks: dict[str, Any] = {SYSTEM: lambda _view: PostgresSink(options)}
    for version in (1, 2):
        await town.publish("resident", "000000000000001", version)
    async with hosted(town, sinks) as bus:
        await bus.at(2, seconds=SOON)
        applied_at = bus.lane().applied_at
    await town.append("resident", "000000000000002", b"garbage")
    await town.publish("resident", "000000000000003", 1)
    await town.publish("resident", "000000000000001", 3)
    async with hosted(town, sinks) as bus:
        await bus.at(5, seconds=SOON)
        lags = await bus.deliveries[0].fleet.lags()
        assert bus.lane().status is LaneStatus.RUNNING
        assert [event.code for event in bus.parked()] == ["RK-201"]

    assert applied_at is not None
    assert abs(datetime.now(UTC) - applied_at) < timedelta(minutes=5)
    assert lags == {"resident": (0, 0.0)}
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT subject_id, version FROM linkage.resident").fetchall()
    assert sorted(rows) == [("000000000000001", 3), ("000000000000003", 1)]


@pytest.mark.parametrize("ahead", [AN_HOUR, -AN_HOUR], ids=["ahead", "behind"])
async def test_who_leads_an_outbox_is_judged_by_its_database(
    database: str, ahead: timedelta
) -> None:
    """A relay whose clock is off neither takes a lease that is held nor loses its own."""
    await upkeep.install("core", database)
    length, within = timedelta(seconds=6), timedelta(seconds=1)

    def wrong() -> float:
        return asyncio.get_running_loop().time() + ahead.total_seconds()

    right = Lease("right", length=length, send_within=within)
    off = Lease("off", length=length, send_within=within, clock=wrong)
    sessions = [await connect(database, "core", purpose="test") for _ in range(2)]
    one, two = map(lease_row, sessions)
    try:
        assert await right.take(one)
        assert not await off.take(two)
        right.guard()
        await right.release(one)
        assert await off.take(two)
        off.guard()
        assert not await right.take(one)
    finally:
        for session in sessions:
            await session.close()
