"""The bus feeds its own ledger, over the real Kafka, and the ledger answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bus.ledger import SCHEMA, TABLE_PREFIX, Ledger, Reach, ReachState
from bus.ledger.feed import LedgerFeed
from bus.ledger.reach import Entitlements
from bus.ledger.stream_status import StreamStatus, standings
from bus.local.endpoints import Endpoints
from bus.model import Stream
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.lanes import CATALOG, SUBSCRIPTIONS, Town, hosted
from tests.support.on_kafka import own_town
from tests.support.waiting import until

pytestmark = pytest.mark.service
SYSTEMS = ("child_allowance", "individual_resident_tax")
PUBLISHED = [name for name, stream in CATALOG.streams.items() if not stream.is_internal]


@pytest.fixture
async def town(engines: Endpoints) -> AsyncIterator[Town]:
    """Topics of this test's own on the real cluster."""
    async with own_town(engines.kafka, 2) as made:
        yield made


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    asked = Ledger(database)
    yield asked
    await asked.close()


async def test_a_change_is_followed_to_the_last_system(
    town: Town, ledger: Ledger, database: str
) -> None:
    """Published, applied, receipted, in the ledger: 2 of 2, while who stands still is waited for.

    One is paused meanwhile, and the ledger says by whom. Receipts, exceptions, operations and
    events take the same way as any system's records.
    """
    options = PostgresOptions(
        uri=SecretStr(database), schema_name=SCHEMA, table_prefix=TABLE_PREFIX
    )
    feed = LedgerFeed(lambda: PostgresSink(options), database, PUBLISHED)
    stores = {system: MemoryStore() for system in SYSTEMS}
    sinks: dict[str, Any] = {
        s: lambda _, s=s: MemorySink(MemoryOptions(store=stores[s])) for s in SYSTEMS
    }
    granted = {
        system: {n: frozenset(g.event_types) for n, g in SUBSCRIPTIONS[system].streams.items()}
        for system in SYSTEMS
    }
    for number in range(6):
        await town.publish("resident", f"{number:015d}", 1, partition=number % 2)
    streams = (*PUBLISHED, "receipt", "exception", "operation")

    async with hosted(town, {"ledger": lambda _: feed.sink()}, streams=streams) as bus:
        await bus.until(lambda: len(bus.lanes) == 2 * len(streams), 30)
        await bus.at(3, partition=1, seconds=30)
        change_id = await _change_of_the_last_event(database)
        before = await ledger.reach(change_id, granted)
        await bus.pause(SYSTEMS[0])
        async with hosted(town, sinks) as both:
            stands = await _reach(ledger, change_id, granted, _one_is_paused)
            await both.resume(SYSTEMS[0])
            after = await _reach(ledger, change_id, granted, lambda r: r.is_complete)
            now = datetime.now(UTC)
            mine = {system: [CATALOG.stream("resident")] for system in SYSTEMS}
            stand = await _caught_up(town, ledger, mine, now)

    assert {system.state for system in before.systems} == {ReachState.WAITING}
    assert all(system.events_behind == 3 for system in before.systems)
    paused = next(system for system in stands.systems if system.system == SYSTEMS[0])
    assert paused.operation is not None
    assert (paused.operation.operator, paused.operation.note) == ("ops", "T-1")
    assert (after.applied, after.expected) == (2, 2)
    assert all(len(store.rows("resident")) == 6 for store in stores.values())
    assert all(s.lag_events == s.parked == 0 and s.last_applied_at for s in stand)


async def _change_of_the_last_event(database: str) -> str:
    """The change of the last event of partition 1, once the ledger has it."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "SELECT change_id FROM ledger.event WHERE log_partition = 1 AND log_offset = 2"
        )
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


def _one_is_paused(reach: Reach) -> bool:
    states = sorted(system.state.value for system in reach.systems)
    return states == [ReachState.APPLIED.value, ReachState.PAUSED.value]


async def _reach(
    ledger: Ledger, change_id: str, granted: Entitlements, is_so: Callable[[Reach], bool]
) -> Reach:
    """What the ledger says once *is_so*."""

    async def reach() -> Reach | None:
        found = await ledger.reach(change_id, granted)
        return found if is_so(found) else None

    found: Reach = await until(reach, every=0.05)
    return found


async def _caught_up(
    town: Town, ledger: Ledger, mine: Mapping[str, Sequence[Stream]], now: datetime
) -> list[StreamStatus]:
    """How the systems stand once their groups have told that they are at the end."""

    async def at_the_end() -> list[StreamStatus] | None:
        stand = await standings(town.broker, ledger, mine, now=now)
        return None if any(one.lag_events for one in stand) else stand

    found: list[StreamStatus] = await until(at_the_end, every=0.05)
    return found
