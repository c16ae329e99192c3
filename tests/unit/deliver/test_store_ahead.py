"""A store whose fence says of coverage more than any log has: forged, or of another log's time."""

from __future__ import annotations

from typing import Any

import pytest

from bus.deliver.state import LaneStatus
from bus.errors import FenceBehind, StoreForged
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import Hosted, Town, hosted
from tests.unit.deliver.protection_race import view_of

ONE, TWO, HOME = "000000000000001", "000000000000002", "000000000000077"


async def stopped(bus: Hosted, stream: str) -> None:
    """Wait until a lane has stopped, and look why."""
    assert (await bus.stopped(stream)).code == StoreForged.code


@pytest.mark.parametrize("log", ["protection/0", "household/0", "protection/7", "nosuch/0"])
async def test_a_lane_that_can_never_know_as_much_stops(
    town: Town, store: MemoryStore, log: str
) -> None:
    """It waits for a while, and is not tried again for ever; another system's goes on."""
    other = MemoryStore()
    sinks = {
        "child_allowance": lambda _: MemorySink(MemoryOptions(store=store)),
        "public_assistance": lambda _: MemorySink(MemoryOptions(store=other)),
    }
    async with hosted(town, sinks, views=view_of) as bus:
        store.fence[log] = 1_000
        await town.publish("resident", ONE, 1)
        await bus.until(lambda: LaneStatus.STOPPED in {lane.status for lane in bus.lanes})

        states = {lane.system: (lane.status, lane.code) for lane in bus.lanes}
        assert states["child_allowance"] == (LaneStatus.STOPPED, StoreForged.code)
        await bus.until(lambda: other.rows("resident"))
    assert store.rows("resident") == []


@pytest.mark.parametrize("stream", ["protection", "resident"])
async def test_nobody_has_to_publish_for_it_to_be_seen(
    town: Town, sinks, store: MemoryStore, stream: str
) -> None:
    """Whoever tells the store of coverage looks now and then: that it says it knows is no word of
    a log that has not come so far."""
    await town.publish("protection", ONE, 1, household_number=HOME)
    await town.publish("resident", TWO, 1)
    streams = ("resident", "protection") if stream == "protection" else ("resident",)
    async with hosted(town, sinks, streams=streams, views=view_of) as bus:
        await bus.at(1)
        await bus.until(lambda: store.fence)
        store.fence["household/0"] = 1_000
        for _ in range(20):
            town.moved.time += town.settings.retry_most
            await bus.news()
        await stopped(bus, stream)


async def test_a_log_that_says_its_end_late_is_waited_for(town: Town, store: MemoryStore) -> None:
    """A broker that has just taken over may say less for a moment than was there."""
    tries: list[Any] = []

    class Ahead(MemorySink):
        async def apply(self, batch):
            if batch.records.num_rows and len(tries) < 30:
                tries.append(batch)
                raise FenceBehind("ahead")
            store.fence.pop("protection/9", None)
            return await super().apply(batch)

    store.fence["protection/9"] = 1
    sinks = {"child_allowance": lambda _: Ahead(MemoryOptions(store=store))}
    async with hosted(town, sinks, views=view_of) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
    assert len(store.rows("resident")) == 1
