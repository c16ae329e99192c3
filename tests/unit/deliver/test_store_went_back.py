"""A store that was restored, or a standby that lagged: found without traffic, and healed."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from bus.clock import SystemClock
from bus.deliver.state import LaneStatus
from bus.errors import EventRefused
from bus.hosting import store_watch
from bus.hosting.host import follow
from bus.model import Applied, Delivery, Mark
from bus.settings import Settings
from connectors.memory.sink import MemoryStore
from tests.support.lanes import Hosted, Town, hosted, until
from tests.unit.deliver.conftest import WatchedSink

ONE, TWO = "000000000000001", "000000000000002"
BOTH = ("resident", "protection")
ADDRESS = "address_lot"
NEVER = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_watch, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(store_watch, "_AGAIN_S", 0.01)


def backup(store: MemoryStore) -> Callable[[], None]:
    """What the store holds now; to be called when it is to be so again."""
    kept = ("tables", "checkpoints", "standings", "withheld", "fence", "taken")
    copies = {name: copy.deepcopy(getattr(store, name)) for name in kept}

    def restore() -> None:
        for name, value in copies.items():
            setattr(store, name, copy.deepcopy(value))

    return restore


def addresses(store: MemoryStore) -> dict[str, Any]:
    return {row["subject_id"]: row[ADDRESS] for row in store.rows("resident")}


def gone_back(town: Town) -> list[tuple[str, str, int | None]]:
    """What lanes said of stores that went back, and of having caught up."""
    return [
        (row["stream"], row["state"], row["offset"])
        for row in town.read_all("operation")
        if row["partition"] is not None
    ]


def went_back(bus: Hosted) -> float | None:
    return bus.process.runtime.metrics.value(
        "renkei_deliver_went_back_total", system="child_allowance"
    )


async def test_a_restored_store_catches_up_without_traffic(town: Town, sinks, store) -> None:
    """Nobody changes anything: what is missing comes again, and it is said meanwhile."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        restore = backup(store)
        await town.publish("resident", TWO, 1)
        await bus.at(2)

        restore()

        await bus.until(lambda: store.versions() == {ONE: 1, TWO: 1})
        await bus.until(lambda: len(gone_back(town)) == 2)
    assert gone_back(town) == [("resident", "STOPPED", 1), ("resident", "RUNNING", None)]


async def test_an_empty_store_in_its_place_is_filled(town: Town, sinks, store) -> None:
    """A store without any position is behind, too."""
    restore = backup(store)
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        restore()
        await bus.until(lambda: store.versions() == {ONE: 1})


async def test_a_protected_address_goes_first(town: Town, sinks, store) -> None:
    """The flag went back with the store. Before anybody else writes, the address is gone again."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks, streams=BOTH) as bus:
        await bus.at(1)
        restore = backup(store)
        assert addresses(store)[ONE] is not None
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        await town.publish("resident", TWO, 1)
        await bus.at(2)
        del store.applied[:]

        restore()

        await bus.until(lambda: addresses(store).keys() == {ONE, TWO})
        assert addresses(store)[ONE] is None
        await bus.until(lambda: len(store.applied) == 2)
    assert [batch.view.stream for batch in store.applied] == ["protection", "resident"]


async def test_until_it_is_there_nobody_else_writes(town: Town, store) -> None:
    """However long the store takes over the protection: the others wait for it."""
    is_back, may_go, looks = asyncio.Event(), asyncio.Event(), list[None]()

    class Slow(WatchedSink):
        """Takes its time over a protection, once it was restored."""

        async def apply(self, batch: Delivery) -> Applied:
            if is_back.is_set() and batch.view.protects:
                await may_go.wait()
            return await super().apply(batch)

        async def marks(self) -> Mapping[tuple[str, int], Mark]:
            looks.append(None)
            return await super().marks()

    await town.publish("resident", ONE, 1)
    slow = {"child_allowance": lambda _: Slow(store)}
    async with hosted(town, slow, streams=BOTH) as bus:
        await bus.at(1)
        restore = backup(store)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        await town.publish("resident", TWO, 1)
        await bus.at(2)

        is_back.set()
        restore()

        await bus.until(lambda: went_back(bus))
        seen = len(looks)
        await bus.until(lambda: len(looks) >= seen + 20)
        assert addresses(store).keys() == {ONE}
        may_go.set()
        await bus.until(lambda: addresses(store).keys() == {ONE, TWO})
    assert addresses(store)[ONE] is None


async def test_what_a_protections_end_lets_be_shown_comes_back_once_more(
    town: Town, sinks, store
) -> None:
    """A lane that has given back once looks again in a store from before that."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        restore = backup(store)
        await town.publish("protection", ONE, 2, status="ENDED", event_type="protection.ended")
        await bus.at(2, "protection")
        await bus.news()
        await bus.until(lambda: addresses(store)[ONE] is not None)

        restore()
        assert addresses(store)[ONE] is None

        await bus.until_told(lambda: addresses(store)[ONE] is not None, 15)


async def test_a_lane_that_stands_is_looked_at_as_well(town: Town, sinks, store) -> None:
    """An operator wants it so, and nobody works on it: that its store went back is seen."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks, streams=BOTH) as bus:
        await bus.at(1)
        await town.publish("protection", TWO, 1)
        await bus.at(1, "protection")
        restore = backup(store)
        await town.publish("protection", ONE, 1)
        await bus.at(2, "protection")
        await bus.pause("child_allowance", "protection")
        await bus.paused("protection")
        looking = bus.deliveries[0].fleet.store_watch
        await bus.until(lambda: looking._seen["protection", 0].offset == 2)

        restore()

        await bus.until(lambda: went_back(bus))


async def test_lanes_of_another_process_count(store, sinks) -> None:
    """Whoever owns the lane that went back, everybody asks the store anew: protection is one
    process's, and the rows that it takes addresses out of are another's."""
    town = Town(partitions=2)
    await town.build()
    async with hosted(town, sinks) as first, hosted(town, sinks) as second:
        both = (first, second)
        await until(lambda: [len(bus.lanes) for bus in both] == [1, 1])
        await town.publish("resident", ONE, 1, partition=0)
        await until(lambda: store.versions() == {ONE: 1})
        restore = backup(store)
        await town.publish("resident", TWO, 1, partition=1)
        await until(lambda: store.versions() == {ONE: 1, TWO: 1})
        looked = [d.fleet.store_watch for bus in both for d in bus.deliveries]
        await until(lambda: all(len(each._seen) == 2 for each in looked))

        restore()

        await until(lambda: store.versions() == {ONE: 1, TWO: 1})

        async def is_seen() -> bool:
            for bus in both:
                await bus.news()
            return all(went_back(bus) for bus in both)

        await until(is_seen, 15)


@asynccontextmanager
async def patient(sinks: Any) -> AsyncIterator[tuple[Town, Hosted]]:
    """A process whose back-off is an hour from the first time on, by the machine's clock."""
    settings = Settings(
        retry_first=NEVER,
        retry_most=NEVER,
        idle_wait=timedelta(milliseconds=50),
        stop_within=timedelta(seconds=2),
    )
    town = Town(time=SystemClock(), settings=settings)
    await town.build()
    async with hosted(town, sinks) as bus:
        following = follow(bus.process)
        try:
            yield town, bus
        finally:
            for kept in following:
                await kept.end()


async def test_a_back_off_ends_when_the_store_answers(sinks, store) -> None:
    """Whoever waits for a store that was away need not wait for a back-off that has grown."""
    async with patient(sinks) as (town, bus):
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        store.is_away = True
        await town.publish("resident", TWO, 1)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        await bus.until(lambda: bus.deliveries[0].fleet._pulse._is_away)

        store.is_away = False

        await bus.until(lambda: store.versions() == {ONE: 1, TWO: 1})


async def test_a_back_off_ends_when_the_broker_answers(sinks, store) -> None:
    """The same of Kafka: fetching, receipts and what lanes say wait for nothing else."""
    async with patient(sinks) as (town, bus):
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        town.memory.is_away = True
        await bus.until(lambda: bus.process.cluster.pulse._is_away)

        town.memory.is_away = False
        await town.publish("resident", TWO, 1)

        await bus.until(lambda: store.versions() == {ONE: 1, TWO: 1})
        await bus.until(lambda: len(town.read_all("receipt")) == 2)


async def test_a_lane_that_waits_for_the_broker_goes_on_when_it_answers(store) -> None:
    """It had something to set aside when Kafka went away, and waits for no back-off of its own."""
    towns: list[Town] = []

    class Refusing(WatchedSink):
        """Kafka goes away as the store refuses a row."""

        async def apply(self, batch: Delivery) -> Applied:
            try:
                return await super().apply(batch)
            except EventRefused:
                towns[0].memory.is_away = True
                raise

    async with patient({"child_allowance": lambda _: Refusing(store)}) as (town, bus):
        towns.append(town)
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        store.refused.add(TWO)
        await town.publish("resident", TWO, 1)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        await bus.until(lambda: bus.process.cluster.pulse._is_away)

        town.memory.is_away = False

        await bus.until(lambda: len(bus.parked()) == 1)
