"""Lanes that an operator pauses, and has go on: nothing lost, doubled, reordered or let out."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from bus.deliver.state import LaneStatus
from bus.errors import ConfigurationError, NotEntitled
from bus.hosting.feeds import Feed
from bus.hosting.host import ill, observe
from bus.hosting.system_delivery import SystemDelivery
from bus.model import Applied, Delivery, OperationState, View
from connectors.memory.sink import MemoryOptions, MemorySink
from tests.support.lanes import Hosted, Town, hosted, view_of
from tests.support.madeup import passes

SYSTEM = "child_allowance"
ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"


class Slow(MemorySink):
    """A store that takes its time: it goes on when the test says so."""

    def __init__(self, store: Any, go: asyncio.Event, begun: asyncio.Event) -> None:
        super().__init__(MemoryOptions(store=store))
        self._go = go
        self._begun = begun

    async def apply(self, batch: Delivery) -> Applied:
        self._begun.set()
        await self._go.wait()
        return await super().apply(batch)


def said(town: Town) -> list[tuple[Any, str, Any, Any]]:
    """What the operation stream says, in order."""
    rows = town.read_all("operation")
    return [(row["partition"], row["state"], row["code"], row["offset"]) for row in rows]


async def paused(bus: Hosted) -> None:
    """Have the system stand."""
    await bus.pause(SYSTEM)
    await bus.paused()


@pytest.mark.made_up_time
async def test_a_paused_lane_applies_nothing_until_it_goes_on(town: Town, sinks, store) -> None:
    """Then everything is there once, in order, with an unbroken chain of receipts."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        await paused(bus)
        for version in (2, 3, 4):
            await town.publish("resident", ONE, version)
        await town.publish("resident", TWO, 1)
        await passes(0.2)
        assert store.versions() == {ONE: 1}
        assert len(bus.lanes) == 1  # the partition stays here

        await bus.resume(SYSTEM)
        await bus.at(5)

    assert store.versions() == {ONE: 4, TWO: 1}
    receipts = town.read_all("receipt")
    chain = list({receipt["chain"]: receipt for receipt in receipts}.values())
    assert sum(receipt["rows"] for receipt in chain) == 5
    assert [r["previous"] for r in chain[1:]] == [r["chain"] for r in chain[:-1]]


@pytest.mark.made_up_time
async def test_a_process_that_starts_finds_it_paused(town: Town, sinks, store) -> None:
    """Nobody need be told again; its store is not even asked."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        await paused(bus)
    await town.publish("resident", ONE, 2)
    store.is_away = True

    async with hosted(town, sinks) as bus:
        await bus.until(lambda: bus.lanes)
        await passes(0.2)
        assert [lane.status for lane in bus.lanes] == [LaneStatus.PAUSED]
        store.is_away = False
        await bus.resume(SYSTEM)
        await bus.at(2)

    assert store.versions() == {ONE: 2}


async def test_others_go_on(town: Town, sinks, store) -> None:
    """Of the same system another stream, and of the same stream another system."""
    other = type(store)()
    both = {**sinks, "public_assistance": lambda _: MemorySink(MemoryOptions(store=other))}
    async with hosted(town, both, streams=("resident", "household")) as bus:
        await bus.pause(SYSTEM)
        await town.publish("resident", ONE, 1)
        await town.publish("household", TWO, 1)
        await bus.until(lambda: other.rows("resident") and store.rows("household"))

        assert store.rows("resident") == []


async def test_the_batch_in_hand_is_finished(town: Town, store) -> None:
    """It is applied whole with its receipt, and nothing after it."""
    go, begun = asyncio.Event(), asyncio.Event()
    await town.publish("resident", ONE, 1)
    async with hosted(town, {SYSTEM: lambda _: Slow(store, go, begun)}) as bus:
        await begun.wait()
        await bus.pause(SYSTEM)
        await town.publish("resident", ONE, 2)
        go.set()
        await bus.paused()
        assert store.versions() == {ONE: 1}
        assert len(town.read_all("receipt")) == 1

        await bus.resume(SYSTEM)
        await bus.at(2)

    assert store.versions() == {ONE: 2}


async def test_told_to_go_on_before_it_stands(town: Town, store) -> None:
    """Two instructions while one batch is in hand: the last one counts."""
    go, begun = asyncio.Event(), asyncio.Event()
    await town.publish("resident", ONE, 1)
    async with hosted(town, {SYSTEM: lambda _: Slow(store, go, begun)}) as bus:
        await begun.wait()
        await bus.pause(SYSTEM)
        await bus.resume(SYSTEM)
        await town.publish("resident", ONE, 2)
        go.set()
        await bus.at(2)

    assert store.versions() == {ONE: 2}


@pytest.mark.made_up_time
async def test_a_store_that_is_away_can_be_paused(town: Town, sinks, store) -> None:
    """What is in hand is let go of: a store that comes back is not written to."""
    async with hosted(town, sinks) as bus:
        await bus.at(0)
        store.is_away = True
        await town.publish("resident", ONE, 1)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        await paused(bus)
        store.is_away = False
        await passes(0.2)
        assert store.versions() == {}

        await bus.resume(SYSTEM)
        await bus.at(1)

    assert store.versions() == {ONE: 1}


async def test_a_store_that_goes_away_while_it_is_to_stand(town: Town, store) -> None:
    """The batch in hand is not waited for without end."""
    go, begun = asyncio.Event(), asyncio.Event()
    await town.publish("resident", ONE, 1)
    async with hosted(town, {SYSTEM: lambda _: Slow(store, go, begun)}) as bus:
        await begun.wait()
        await bus.pause(SYSTEM)
        store.is_away = True
        go.set()
        await bus.paused()

    assert store.versions() == {}


async def test_a_pause_makes_no_address_visible(town: Town, sinks, store) -> None:
    """A protection that came during the pause masks what was published before it.

    One event waits in hand, one in the log; the system withholds.
    """
    go, begun = asyncio.Event(), asyncio.Event()
    await town.publish("resident", THREE, 1)
    async with hosted(town, {SYSTEM: lambda _: Slow(store, go, begun)}) as bus:
        await begun.wait()
        await town.publish("resident", ONE, 1)
        await bus.until(lambda: bus.lane().fetched_to == 2)
        await bus.pause(SYSTEM)
        go.set()
        await bus.paused()
        await town.publish("resident", TWO, 1)
        await town.publish("protection", ONE, 1)
        await town.publish("protection", TWO, 1)

        await bus.resume(SYSTEM)
        await bus.at(3)

    held = {row["subject_id"]: row for row in store.rows("resident")}
    for subject in (ONE, TWO):
        assert held[subject]["protected"] is True
        assert held[subject]["address_lot"] is None
    assert held[THREE]["address_lot"] is not None


@pytest.mark.made_up_time
async def test_what_a_paused_lane_costs(town: Town, sinks, store) -> None:
    """Nothing is fetched for it, however much comes: no memory, and no work."""
    async with hosted(town, sinks) as bus:
        await bus.at(0)
        await paused(bus)
        for version in range(1, 200):
            await town.publish("resident", ONE, version)
        fetched = bus.lane().fetched_to
        await passes(0.2)

        assert bus.lane().fetched_to == fetched == 0
        assert store.applies == []


async def test_a_full_lane_that_stands_holds_up_nobody(town: Town, store) -> None:
    """What it had waiting counts no longer: the others are fetched for as before."""
    go, begun = asyncio.Event(), asyncio.Event()
    town.settings = town.settings.model_copy(update={"fetch_records": 8})
    for version in range(1, 9):
        await town.publish("resident", ONE, version)
    async with hosted(
        town, {SYSTEM: lambda _: Slow(store, go, begun)}, streams=("resident", "household")
    ) as bus:
        await begun.wait()
        await bus.until(lambda: bus.lane().fetched_to >= 6)
        await bus.pause(SYSTEM)
        go.set()
        await bus.paused()
        (delivery,) = bus.deliveries

        assert delivery._with_room() is None
        await town.publish("household", TWO, 1)
        await bus.at(1, "household")


async def test_a_pause_is_seen_and_is_no_illness(town: Town, sinks, store) -> None:
    """Metrics say which streams stand and since when; the process is ready all the same."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        observe(bus.process, bus.deliveries)
        metrics, lane = bus.process.runtime.metrics, {"system": SYSTEM, "stream": "resident"}
        await paused(bus)
        await town.publish("resident", ONE, 2)
        town.moved.time += timedelta(minutes=5)
        text = (await metrics.render())[0].decode()

        assert ill(bus.process) == []
        assert bus.process.lanes.is_ready
        assert metrics.value("renkei_deliver_lanes", **lane, status="paused") == 1
        assert metrics.value("renkei_deliver_paused_seconds", **lane) == pytest.approx(300, abs=1)
        assert metrics.value("renkei_deliver_stuck_seconds", **lane) == 0
        assert metrics.value("renkei_deliver_lag_events", **lane) == 1
        assert "T-1" not in text

        await bus.resume(SYSTEM)
        await bus.at(2)
        await metrics.render()
        assert metrics.value("renkei_deliver_paused_seconds", **lane) is None


async def test_a_lane_that_has_not_stood_has_no_lag(town: Town, sinks, store) -> None:
    """Paused from the start, its place is its store's to say: the whole log would be a lie."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        await paused(bus)
    async with hosted(town, sinks) as bus:
        await bus.paused()

        assert [await delivery.fleet.lags() for delivery in bus.deliveries] == [{}]


async def test_all_that_may_be_delivered_is(town: Town, sinks, store) -> None:
    """Delivering once ends though a lane is paused, and says so."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        await paused(bus)
    async with hosted(town, {}) as bus:
        feeds = list(_feeds(town, sinks))
        delivery = SystemDelivery(SYSTEM, feeds, bus.process)
        await asyncio.wait_for(delivery.run(once=True), 5)

        assert [lane.status for lane in bus.process.lanes.paused()] == [LaneStatus.PAUSED]


class Mendable(MemorySink):
    """A table that does not fit until somebody mends it."""

    is_broken = True

    async def apply(self, batch: Delivery) -> Applied:
        if self.is_broken:
            raise ConfigurationError("the table does not fit the view")
        return await super().apply(batch)


async def test_a_lane_that_stopped_goes_on_without_a_restart(
    town: Town, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where it stopped and on what, and again that it is open."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, {SYSTEM: lambda _: Mendable(MemoryOptions(store=store))}) as bus:
        await bus.stopped()
        await bus.until(lambda: said(town) == [(0, "STOPPED", "RK-100", 0)])
        await bus.news()
        assert [o.state for o in bus.process.control.operations.standing()] == [
            OperationState.STOPPED
        ]

        await bus.resume(SYSTEM)
        await bus.stopped()
        await bus.until(lambda: said(town)[-1] == (0, "STOPPED", "RK-100", 0))
        assert len(said(town)) >= 3

        monkeypatch.setattr(Mendable, "is_broken", False)
        await bus.resume(SYSTEM)
        await bus.at(1)
        await bus.until(lambda: said(town)[-1] == (0, "RUNNING", None, None))
        await bus.news()
        assert bus.process.control.operations.standing() == []

    assert store.versions() == {ONE: 1}


async def test_what_was_mended_is_looked_at_anew(
    town: Town, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is opened again for a lane that goes on, though its neighbour never stopped."""
    opened: list[int] = []

    class Counting(Mendable):
        async def open(self, view: View) -> Any:
            opened.append(1)
            return await super().open(view)

    town = Town(partitions=2)
    await town.build()
    await town.publish("resident", ONE, 1)
    async with hosted(town, {SYSTEM: lambda _: Counting(MemoryOptions(store=store))}) as bus:
        await bus.until(lambda: len(bus.process.lanes.stopped()) == 1)
        assert len(opened) == 1
        monkeypatch.setattr(Mendable, "is_broken", False)
        await bus.resume(SYSTEM)
        await bus.at(1)

    assert len(opened) == 2


async def test_a_restart_takes_back_that_it_stopped(
    town: Town, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens the lane says that it is open."""
    await town.publish("resident", ONE, 1)
    made = {SYSTEM: lambda _: Mendable(MemoryOptions(store=store))}
    async with hosted(town, made) as bus:
        await bus.stopped()
    assert said(town) == [(0, "STOPPED", "RK-100", 0)]  # told before the process ended

    monkeypatch.setattr(Mendable, "is_broken", False)
    async with hosted(town, made) as bus:
        await bus.at(1)

    assert said(town)[-1] == (0, "RUNNING", None, None)


async def test_a_lane_that_stopped_stays_stopped_when_it_is_paused(town: Town, store) -> None:
    """The fault is still there to be seen; going on opens it again."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, {SYSTEM: lambda _: Mendable(MemoryOptions(store=store))}) as bus:
        await bus.stopped()
        await bus.pause(SYSTEM)

        assert bus.lane().status is LaneStatus.STOPPED
        assert len(ill(bus.process)) == 1


async def test_a_grant_that_has_ended_does_not_go_on(town: Town, sinks, store) -> None:
    """Resuming is no way around the last day of a subscription."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, {}) as bus:
        (feed,) = _feeds(town, sinks, expires_on=date(2026, 11, 24))
        delivery = SystemDelivery(SYSTEM, [feed], bus.process)
        running = asyncio.create_task(delivery.run())
        try:
            bus = Hosted(bus.process, [delivery], [running])
            await bus.at(1)
            await paused(bus)
            town.moved.time += timedelta(days=1)
            await town.publish("resident", ONE, 2)
            await bus.resume(SYSTEM)
            await bus.until(lambda: bus.lane().status is LaneStatus.STOPPED)
            assert bus.lane().code == NotEntitled.code
        finally:
            delivery.stop()
            await asyncio.wait({running})

    assert store.versions() == {ONE: 1}


def _feeds(town: Town, sinks: Any, **more: Any) -> list[Feed]:
    view = view_of(SYSTEM, "resident")
    return [
        Feed(view, "linkage.resident", town.reader("resident"), lambda: sinks[SYSTEM](view), **more)
    ]
