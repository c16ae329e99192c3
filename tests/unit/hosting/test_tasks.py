"""Each kind of task of a delivering process, killed from inside: it is seen, begun again, and
nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from bus.app import deliveries
from bus.broker import TopicSpec
from bus.control.fence import Fence
from bus.deliver.lane import Lane
from bus.deliver.pipeline import Pipeline
from bus.deliver.process import ProcessContext
from bus.deliver.shared_sink import SharedSink
from bus.errors import ConfigurationError
from bus.hosting import host as hosting
from bus.hosting.feeds import Feed
from bus.hosting.fleet import Fleet
from bus.hosting.host import host
from bus.hosting.offset_committer import OffsetCommitter
from bus.hosting.overdue import Overdue
from bus.hosting.store_watch import StoreWatch
from bus.hosting.system_delivery import SystemDelivery
from bus.log.internal import InternalTopic
from bus.model import Operation, OperationState
from bus.observe import http
from bus.settings import Settings
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import Town, view_of
from tests.support.waiting import until
from tests.unit.deliver.conftest import WatchedStore
from tests.unit.hosting.test_host import feed, opened

SYSTEM = "child_allowance"
ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"


class Killed(Exception):
    """Nobody expects it."""


class Kill:
    """Raises in place of a method, once, when armed and its turn is reached."""

    def __init__(self, owner: type, name: str, if_so: Callable[..., bool] = lambda *_: True):
        self._owner, self._name, self._if = owner, name, if_so
        self.is_armed = False
        self.has_struck = False

    @contextmanager
    def in_place(self) -> Iterator[None]:
        real = getattr(self._owner, self._name)

        def method(*args: Any, **named: Any) -> Any:
            if self.is_armed and self._if(*args):
                self.is_armed, self.has_struck = False, True
                raise Killed
            return real(*args, **named)

        setattr(self._owner, self._name, method)
        try:
            yield
        finally:
            setattr(self._owner, self._name, real)


def appends(stream: str) -> Callable[..., bool]:
    return lambda topic, *_: topic._stream.name == stream


KILLS = {
    "lane": Kill(Pipeline, "carry"),
    "delivery": Kill(SystemDelivery, "_fetch"),
    "offsets": Kill(OffsetCommitter, "commit"),
    "receipts": Kill(InternalTopic, "append", appends("receipt")),
    "words": Kill(InternalTopic, "append", appends("operation")),
    "follower": Kill(Fence, "follow"),
    "overdue": Kill(Overdue, "look"),
    "store-watch": Kill(StoreWatch, "look"),
}


def fallen(process: ProcessContext) -> list[str]:
    return [each.task for each in process.runtime.tasks.fallen]


@pytest.mark.parametrize("kind", KILLS)
async def test_what_is_killed_is_seen_and_begun_again(
    town: Town, store: WatchedStore, kind: str
) -> None:
    """Not ready while it is down, ready after; what was published before and after is there, with
    a receipt for each, and a stop that was to be told is told."""
    kill = KILLS[kind]
    stop = asyncio.Event()
    await town.publish("resident", ONE, 1)
    with kill.in_place():
        async with opened(town) as process:
            delivery = SystemDelivery(SYSTEM, [feed(town, store, SYSTEM)], process)
            running = asyncio.create_task(host(process, [delivery], stop))
            await until(lambda: len(store.versions()) == 1)
            kill.is_armed = True
            await town.publish("resident", TWO, 1)
            if kind == "words":
                process.control.operations.stopped(next(iter(process.lanes.all)), "RK-000", 7)
            await until(lambda: fallen(process))
            assert fallen(process) == [kind]
            assert "Killed" in process.runtime.tasks.ill()[0]
            await until(lambda: not process.runtime.tasks.fallen)
            assert process.runtime.metrics.value("renkei_tasks_restarted_total", task=kind) == 1
            await town.publish("resident", THREE, 1)
            await until(lambda: len(store.versions()) == 3)
            await until(lambda: process.lanes.is_ready and process.control.receipts.waiting == 0)
            await process.control.parked.catch_up()
            stop.set()
            await asyncio.wait_for(running, 5)

    assert store.versions() == {ONE: 1, TWO: 1, THREE: 1}
    assert {row["end"] for row in town.read_all("receipt")} >= {1, 2, 3}
    assert len(town.read_all("exception")) == 0
    if kind == "words":
        assert [row["offset"] for row in town.read_all("operation") if row["code"]] == [7]


@pytest.mark.parametrize("name", ["exceptions", "operations", "subscriptions", "protection"])
async def test_a_follower_that_is_killed_keeps_no_other(
    town: Town, store: WatchedStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each follows on its own; it is begun again as well."""
    async with opened(town) as process:
        follower = {
            "exceptions": (process.control.parked, "catch_up"),
            "operations": (process.control.operations, "catch_up"),
            "subscriptions": (process.control.editions, "catch_up"),
            "protection": (process.fence, "follow"),
        }[name]
        real, turns = getattr(*follower), iter([True])

        async def follow() -> None:
            if next(turns, False):
                raise Killed
            await real()

        monkeypatch.setattr(*follower, follow)
        followers = hosting.follow(process)
        await until(lambda: process.runtime.tasks.ill() == [f"follower {name} ended Killed"])
        await until(lambda: not process.runtime.tasks.fallen)
        for kept in followers:
            assert not kept.outcome.done()
            await kept.end()


async def test_a_switch_that_is_killed_is_done_all_the_same(
    town: Town, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the stream's lanes would never open again."""
    await town.publish("resident", ONE, 1)
    stop, real, turns = asyncio.Event(), SharedSink.close, iter([True])

    async def close(sink: SharedSink) -> None:
        if next(turns, False):
            raise Killed
        await real(sink)

    async with opened(town) as process:
        delivery = SystemDelivery(SYSTEM, [feed(town, store, SYSTEM)], process)
        running = asyncio.create_task(host(process, [delivery], stop))
        await until(lambda: len(store.versions()) == 1)
        monkeypatch.setattr(SharedSink, "close", close)
        other, second = view_of("electoral_roll", "resident"), type(store)()
        delivery.switch(
            [
                Feed(
                    other,
                    "linkage.resident",
                    town.reader("resident"),
                    lambda: MemorySink(MemoryOptions(store=second)),
                )
            ],
            None,
        )
        await until(lambda: fallen(process) == ["switch"])
        await until(lambda: second.versions() == {ONE: 1})
        await until(lambda: not process.runtime.tasks.fallen)
        stop.set()
        await asyncio.wait_for(running, 5)


async def test_a_withdrawal_that_is_killed_is_done_all_the_same(
    town: Town, store: WatchedStore
) -> None:
    """What a system may no longer have goes."""
    turns, gone = iter([True]), asyncio.Event()

    async def withdraw() -> list[str]:
        if next(turns, False):
            raise Killed
        gone.set()
        return []

    stop = asyncio.Event()
    async with opened(town) as process:
        delivery = SystemDelivery(SYSTEM, [feed(town, store, SYSTEM)], process, withdraw=withdraw)
        running = asyncio.create_task(host(process, [delivery], stop))
        await until(lambda: fallen(process) == ["withdrawal"])
        await asyncio.wait_for(gone.wait(), 5)
        stop.set()
        await asyncio.wait_for(running, 5)


@pytest.mark.parametrize(
    ("kind", "kill"),
    [("pause", Kill(Lane, "leave")), ("release", Kill(SharedSink, "close"))],
)
async def test_a_pause_that_is_killed_is_kept_all_the_same(
    town: Town, store: WatchedStore, kind: str, kill: Kill
) -> None:
    """The lane stands and its store is let go of; then it goes on."""

    def word(state: OperationState) -> Operation:
        return Operation(
            system=SYSTEM, stream="resident", state=state, at=town.clock.now(), operator="ops"
        )

    stop = asyncio.Event()
    await town.publish("resident", ONE, 1)
    with kill.in_place():
        async with opened(town) as process:
            delivery = SystemDelivery(SYSTEM, [feed(town, store, SYSTEM)], process)
            running = asyncio.create_task(host(process, [delivery], stop))
            await until(lambda: len(store.versions()) == 1)
            kill.is_armed = True
            await process.control.operations.instruct([word(OperationState.PAUSED)])
            await until(lambda: fallen(process) == [kind])
            await until(lambda: not process.runtime.tasks.fallen and process.lanes.paused())
            await process.control.operations.instruct([word(OperationState.RUNNING)])
            await town.publish("resident", TWO, 1)
            await until(lambda: len(store.versions()) == 2)
            stop.set()
            await asyncio.wait_for(running, 5)


async def test_a_lane_that_cannot_be_opened_again_is_opened_later(
    town: Town, store: WatchedStore
) -> None:
    """What sees to it that a lane goes on is killed as well."""
    stop, lane, again = asyncio.Event(), Kill(Pipeline, "carry"), Kill(Fleet, "_begin")
    await town.publish("resident", ONE, 1)
    with lane.in_place(), again.in_place():
        async with opened(town) as process:
            delivery = SystemDelivery(SYSTEM, [feed(town, store, SYSTEM)], process)
            running = asyncio.create_task(host(process, [delivery], stop))
            await until(lambda: len(store.versions()) == 1)
            lane.is_armed = again.is_armed = True
            await town.publish("resident", TWO, 1)
            await until(lambda: set(fallen(process)) == {"lane", "again"})
            await until(lambda: len(store.versions()) == 2)
            await until(lambda: not process.runtime.tasks.fallen)
            stop.set()
            await asyncio.wait_for(running, 5)


async def test_a_system_that_cannot_run_is_seen_and_tried_again(
    town: Town, store: WatchedStore
) -> None:
    """Its topic is made later: nobody has to start the process anew."""
    await town.publish("resident", ONE, 1)
    stop, late = asyncio.Event(), MemoryStore()
    async with opened(town) as process:
        deliveries = [
            SystemDelivery(
                "electoral_roll", [feed(town, late, "electoral_roll", "linkage.later")], process
            ),
            SystemDelivery(SYSTEM, [feed(town, store, SYSTEM)], process),
        ]
        running = asyncio.create_task(host(process, deliveries, stop))
        await until(lambda: process.runtime.tasks.ill() == ["delivery electoral_roll ended RK-100"])
        await until(lambda: len(store.versions()) == 1)
        spec = (await town.broker.partitions(["linkage.resident"]))["linkage.resident"]
        await town.broker.create_topics([TopicSpec("linkage.later", spec, 1, {})])
        await until(lambda: not process.runtime.tasks.fallen)
        assert len(deliveries[0].lanes) == spec
        stop.set()
        await asyncio.wait_for(running, 5)


async def test_the_process_ends_when_nothing_of_it_can_run(town: Town) -> None:
    """Whoever runs it sees by its status that a person must look."""
    async with opened(town) as process:
        deliveries = [
            SystemDelivery(system, [feed(town, MemoryStore(), system, "linkage.nothing")], process)
            for system in ("electoral_roll", SYSTEM)
        ]
        with pytest.raises(ConfigurationError, match="renkei topics apply"):
            await asyncio.wait_for(host(process, deliveries, asyncio.Event()), 10)


async def test_pages_that_are_killed_are_served_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the same port; who asks readiness meanwhile waits, or is turned away."""
    real, turns = http._Server.main_loop, iter([True])
    strike = asyncio.Event()

    async def main_loop(server: Any) -> None:
        if next(turns, False):
            await strike.wait()
            raise Killed
        await real(server)

    monkeypatch.setattr(http._Server, "main_loop", main_loop)
    async with opened(town) as process:
        pages = http.build(process.runtime.metrics, ready={"tasks": process.runtime.tasks.ill})
        async with http.serving(pages, "127.0.0.1", 0, process.runtime.tasks) as port:
            strike.set()
            await until(lambda: fallen(process) == ["pages"])
            await until(lambda: not process.runtime.tasks.fallen)
            async with httpx.AsyncClient(timeout=5) as client:
                answer = await client.get(f"http://127.0.0.1:{port}/readyz")
            assert answer.json() == {"status": "ok"}


async def test_progress_that_is_killed_is_shown_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What delivers goes on meanwhile, and ends it when it ends."""
    over, shown, turns = asyncio.Event(), asyncio.Event(), iter([True])

    async def show(_: ProcessContext) -> None:
        if next(turns, False):
            raise Killed
        shown.set()
        await asyncio.Event().wait()

    async def connected(*_: Any) -> object:
        return town.broker

    async def hosted(*_: Any, **__: Any) -> None:
        await over.wait()

    async with opened(town) as process:

        @asynccontextmanager
        async def delivering(*_: Any) -> AsyncIterator[Any]:
            yield process, []

        monkeypatch.setattr(deliveries, "connect", connected)
        monkeypatch.setattr(deliveries, "delivering", delivering)
        monkeypatch.setattr(deliveries, "host", hosted)
        running = asyncio.create_task(deliveries.run_deliveries(Settings(), watch=show))
        await until(lambda: process.runtime.tasks.ill() == ["progress ended Killed"])
        await until(lambda: shown.is_set() and not process.runtime.tasks.fallen)
        over.set()
        await asyncio.wait_for(running, 5)
