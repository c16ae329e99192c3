"""Several systems in one process: what they share, what one does to the others, what is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import pytest

from bus.broker import Consumer, TopicPartition, group_of
from bus.deliver.state import LaneStatus
from bus.errors import ConfigurationError, NotEntitled
from bus.hosting.feeds import Feed
from bus.hosting.host import host, ill, observe, opened_process
from bus.hosting.system_delivery import SystemDelivery
from bus.model import Applied, Delivery
from bus.observe.metrics import Metrics
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import CATALOG, Town, hosted, view_of
from tests.support.madeup import passes
from tests.support.waiting import until

ONE, TWO = "000000000000001", "000000000000002"
TOPIC = "linkage.resident"


def opened(town: Town):
    """What the systems of one process share."""
    return opened_process(
        broker=town.broker,
        ids=town.registry,
        streams=CATALOG.streams,
        readers={name: town.reader(name) for name in CATALOG.streams},
        settings=town.settings,
        clock=town.clock,
        metrics=Metrics(),
        proofs=town.proofs,
    )


def feed(town: Town, store: MemoryStore, system: str, topic: str = TOPIC, **more: date) -> Feed:
    view = view_of(system, "resident")
    return Feed(
        view, topic, town.reader("resident"), lambda: MemorySink(MemoryOptions(store=store)), **more
    )


async def test_once_delivers_what_is_there_and_ends(town: Town, store) -> None:
    """Also where a log is empty, and where its last event was compacted away."""
    for version in (1, 2):
        await town.publish("resident", ONE, version)
    async with opened(town) as process:
        delivery = SystemDelivery(
            "child_allowance", [feed(town, store, "child_allowance")], process
        )
        await asyncio.wait_for(host(process, [delivery], asyncio.Event(), once=True), 10)

    assert store.versions() == {ONE: 2}


async def held_by_another(town: Town) -> Consumer:
    """A member of the group that has every partition, and reads nothing."""

    async def nothing(_places: Sequence[TopicPartition]) -> None:
        pass

    other = town.broker.consumer(group_of("child_allowance"), client_id="other")
    await other.start()
    await other.subscribe([TOPIC], nothing, nothing)
    await other.fetch(1, timedelta(), [])
    return other


async def test_once_delivers_also_what_a_dead_one_still_held(town: Town, store) -> None:
    """Nothing was dealt out to it yet: that is not that everything is delivered."""
    await town.publish("resident", ONE, 1)
    dead = await held_by_another(town)
    async with opened(town) as process:
        feeds = [feed(town, store, "child_allowance")]
        delivery = SystemDelivery("child_allowance", feeds, process)
        asked, ask = asyncio.Event(), delivery.fleet.targets.are_passed

        async def are_passed() -> bool:
            answer = await ask()
            asked.set()
            return answer

        delivery.fleet.targets.are_passed = are_passed  # type: ignore[method-assign]
        running = asyncio.create_task(host(process, [delivery], asyncio.Event(), once=True))
        await asyncio.wait_for(asked.wait(), 10)
        await dead.close()
        await asyncio.wait_for(running, 10)

    assert store.versions() == {ONE: 1}


async def test_once_leaves_to_another_what_it_has(town: Town, store) -> None:
    """Once whoever died would have been found dead."""
    await town.publish("resident", ONE, 1)
    other = await held_by_another(town)
    async with opened(town) as process:
        feeds = [feed(town, store, "child_allowance")]
        delivery = SystemDelivery("child_allowance", feeds, process)
        begun = town.clock.now()
        running = asyncio.create_task(host(process, [delivery], asyncio.Event(), once=True))

        def later() -> bool:
            town.moved.time += timedelta(seconds=1)
            return running.done()

        await until(later, 10)
        await running
        assert town.clock.now() - begun >= 2 * process.runtime.settings.session_timeout

    assert store.versions() == {}
    await other.close()


async def test_how_many_partitions_there_are_is_asked_once_a_dealing(
    town: Town, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at every idle poll; again once the group has dealt, or the system may have others."""
    async with opened(town) as process:
        feeds = [feed(town, store, "child_allowance")]
        fleet = SystemDelivery("child_allowance", feeds, process).fleet
        asked: list[Sequence[str]] = []
        meanwhile: list[Callable[[], None]] = []
        ask = town.broker.partitions

        async def partitions(topics: Sequence[str]) -> Mapping[str, int]:
            asked.append(topics)
            answer = await ask(topics)
            if meanwhile:
                meanwhile.pop()()
            return answer

        monkeypatch.setattr(town.broker, "partitions", partitions)

        async def look() -> int:
            asked.clear()
            for _ in range(5):
                assert not await fleet.targets.are_passed()
            return len(asked)

        assert await look() == 1
        assert await look() == 0
        fleet.take([])
        assert await look() == 1
        await fleet.leave([])
        assert await look() == 1
        fleet.switch(feeds, None)
        assert await look() == 1
        fleet.take([])
        meanwhile.append(lambda: fleet.take([]))  # dealt while the answer was on its way
        assert await look() == 2


async def test_a_missing_topic_stops_its_system_alone(town: Town, store) -> None:
    """The others deliver; in the end the failure is raised, with what to do about it."""
    await town.publish("resident", ONE, 1)
    async with opened(town) as process:
        wrong = feed(town, MemoryStore(), "electoral_roll", "linkage.nothing")
        deliveries = [
            SystemDelivery("electoral_roll", [wrong], process),
            SystemDelivery("child_allowance", [feed(town, store, "child_allowance")], process),
        ]
        with pytest.raises(ConfigurationError, match="renkei topics apply"):
            await asyncio.wait_for(host(process, deliveries, asyncio.Event(), once=True), 10)

    assert store.versions() == {ONE: 1}


async def test_a_stop_ends_all(town: Town, store) -> None:
    """One signal, every system."""
    stop = asyncio.Event()
    async with opened(town) as process:
        deliveries = [
            SystemDelivery(system, [feed(town, MemoryStore(), system)], process)
            for system in ("child_allowance", "electoral_roll", "national_pension")
        ]
        running = asyncio.create_task(host(process, deliveries, stop))
        await until(lambda: len(process.lanes.all) == 3 and process.lanes.is_ready, 60)
        stop.set()
        await asyncio.wait_for(running, 5)

    assert {s.status for s in process.lanes.all.values()} == {LaneStatus.RELEASED}


async def test_a_start_waits_for_who_is_away(town: Town, store) -> None:
    """Broker and registry may come later than the process."""
    await town.publish("protection", TWO, 1)
    town.memory.is_away = town.registry.is_away = True

    async def start() -> None:
        async with opened(town):
            pass

    starting = asyncio.create_task(start())
    while len(town.moved.slept) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0)
    town.memory.is_away = False
    while len(town.moved.slept) < 9:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert not starting.done()
    town.registry.is_away = False
    await asyncio.wait_for(starting, 5)


@pytest.mark.made_up_time
async def test_a_subscription_ends_while_the_process_runs(town: Town, store) -> None:
    """On its last day events flow; from the next day on the lane is stopped and says why."""
    last_day = (town.clock.now() + timedelta(hours=9)).date()
    await town.publish("resident", ONE, 1)
    stop = asyncio.Event()
    async with opened(town) as process:
        fed = feed(town, store, "child_allowance", expires_on=last_day)
        running = asyncio.create_task(
            host(process, [SystemDelivery("child_allowance", [fed], process)], stop)
        )
        await until(store.versions, 60)
        town.moved.time += timedelta(days=1)
        await until(process.lanes.stopped, 60)
        await town.publish("resident", TWO, 1)
        await passes(0.1)
        (lane,) = process.lanes.all.values()
        said = ill(process)
        stop.set()
        await running

    assert lane.code == NotEntitled.code
    assert said == ["child_allowance/resident/0 stopped RK-301"]
    assert store.versions() == {ONE: 1}


async def test_metrics_say_how_lanes_stand(town: Town, sinks, store) -> None:
    """Lag in events and seconds, lanes by status, exceptions, how long somebody is stuck."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(2)
        observe(bus.process, bus.deliveries)
        metrics = bus.process.runtime.metrics
        lane = {"system": "child_allowance", "stream": "resident"}
        await metrics.render()
        assert metrics.value("renkei_deliver_lag_events", **lane) == 0
        assert metrics.value("renkei_deliver_lanes", **lane, status="running") == 1
        assert metrics.value("renkei_exceptions_open", **lane, state="PARKED") == 1
        assert metrics.value("renkei_deliver_parked_total", **lane) == 1
        assert metrics.value("renkei_deliver_applied_total", **lane) == 1
        assert metrics.value("renkei_deliver_stuck_seconds", **lane) == 0

        store.is_away = True
        await town.publish("resident", TWO, 2)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        waited = len(town.moved.slept) + 6
        await bus.until(lambda: len(town.moved.slept) > waited)
        await metrics.render()
        assert metrics.value("renkei_deliver_lag_events", **lane) == 1
        assert metrics.value("renkei_deliver_lanes", **lane, status="retrying") == 1
        assert (metrics.value("renkei_deliver_stuck_seconds", **lane) or 0) > 1
        assert (metrics.value("renkei_deliver_retries_total", **lane) or 0) > 3
        store.is_away = False
        await bus.at(3)


async def test_a_stop_waits_for_lanes_that_the_group_is_taking_away(town: Town, store) -> None:
    """They finish their batches on a consumer and a store that are still open."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemorySink):
        async def apply(self, batch: Delivery) -> Applied:
            begun.set()
            await go_on.wait()
            return await super().apply(batch)

    await town.publish("resident", ONE, 1)
    sinks = {"child_allowance": lambda _: Slow(MemoryOptions(store=store))}
    async with hosted(town, sinks) as bus:
        await begun.wait()
        (fleet,) = [delivery.fleet for delivery in bus.deliveries]
        releasing = asyncio.create_task(fleet.release(list(fleet.roster.owned)))
        await until(lambda: not fleet.roster.owned)
        leaving = asyncio.create_task(fleet.leave())
        _, waiting = await asyncio.wait({leaving}, timeout=0.1)
        assert waiting == {leaving}
        go_on.set()
        await asyncio.gather(leaving, releasing)
        assert fleet.at_work == {}

    assert store.versions() == {ONE: 1}
