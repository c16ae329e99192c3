"""A race in memory: one town, one store, and everything that can disturb its lanes.

Families and judge are those of :mod:`tests.unit.deliver.protection_race`. Time is made up
(:mod:`tests.support.madeup`), so that a seed's order is the same each time where
``PYTHONHASHSEED`` is 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import structlog

import bus.hosting.system_delivery as delivery
import tests.unit.deliver.protection_race as races
from bus.backoff import BackOff
from bus.errors import LaneLost, RebuildBusy
from bus.failpoints import Point
from bus.rebuild.rebuild import TableRebuild
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import CATALOG, Hosted, Town, hosted
from tests.support.madeup import passes
from tests.unit.deliver.protection_race import EVERY, STREAMS, SYSTEM, Family, Judge

FEW = 25
"""Families of a race, where each is varied."""
SOON = 5  # seconds, made up, in which everything has settled
LONGEST = 30  # in which everything has happened


def without_logs() -> None:
    """Show none of the thousands of lines that a race logs: to render them is a seventh of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))


class Race:
    """One town, one store, and everything that can disturb its lanes."""

    def __init__(
        self, seed: int, monkeypatch: pytest.MonkeyPatch, *, is_varied: bool = False
    ) -> None:
        self.dice = Random(seed)
        self.judge = Judge(EVERY if is_varied else STREAMS)
        self._streams = (*self.judge.streams, "protection")
        self._is_varied = is_varied
        self.store = MemoryStore()
        self.town = Town(partitions=2)
        self.town.settings = self.town.settings.model_copy(
            update={"idle_wait": timedelta(milliseconds=5)}
        )
        self._patch = monkeypatch
        self._is_over = False
        self.rebuilt = 0
        self.store.on_point = self._look

    async def run(self, families: int) -> None:
        """Let all happen, then wait until everything is as it must be in the end; then some move
        once more, and nothing else is said."""
        self._patch.setattr(BackOff.__init__, "__defaults__", (self.dice,))
        await self.town.build()
        lives = [
            Family(n, self.town, self.judge, self.dice, is_varied=self._is_varied)
            for n in range(families)
        ]
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(self._process())
            try:
                async with asyncio.timeout(LONGEST):
                    await self._trouble(first, lives)
            except TimeoutError:
                self._judge()
                raise AssertionError("not settled: something goes round for ever") from None
            for stream in self._streams:
                await first.resume(SYSTEM, stream)
            await self._settled(first)
            await asyncio.gather(*(family.move() for family in lives))
            await self._settled(first)
        assert self.judge.looks > families
        assert self.rebuilt
        self._judge()

    async def _trouble(self, first: Hosted, lives: Sequence[Family]) -> None:
        troubles = [self._pauses(first), self._outages(), self._tries(first)]
        troubles += [self._takeovers(), self._two_owners(), self._rebuilds()]
        async with asyncio.TaskGroup() as running:
            for trouble in troubles:
                running.create_task(self._until_over(trouble))
            await asyncio.gather(*(family.live() for family in lives))
            for _ in range(self.dice.randint(1, 20)):
                await passes(0.001)
            self._is_over = True

    def _judge(self) -> None:
        assert self.judge.failures == [], "an address was seen"

    async def _settled(self, bus: Hosted) -> None:
        wrong: list[str] = []
        try:
            async with asyncio.timeout(SOON):
                while wrong := self.judge.is_settled(self._rows):
                    self._judge()
                    await bus.news()
                    await passes(0.05)
        except TimeoutError:
            lanes = [f"{s.stream}/{s.partition} {s.status} {s.offset} {s.code}" for s in bus.lanes]
            taken = len(self.store.taken)
            raise AssertionError(f"not settled: {wrong[:5]}, {lanes}, {taken}") from None

    def _rows(self, stream: str) -> Any:
        return list(self.store.tables.get(stream, {}).values())

    def _reached(self, log: str) -> int:
        return self.store.fence.get(log, 0)

    def _look(self, point: Point) -> None:
        if point is Point.SINK_COMMITTED:
            self.judge.look(self._rows, self._reached)

    def _process(self) -> Any:
        sinks = {SYSTEM: lambda _view: _sink(self.store)}
        return hosted(self.town, sinks, streams=self._streams, views=races.view_of)

    async def _until_over(self, trouble: Callable[[], Any]) -> None:
        while not self._is_over:
            await trouble()
            for _ in range(self.dice.randint(1, 40)):
                await asyncio.sleep(0)

    def _pauses(self, bus: Hosted) -> Callable[[], Any]:
        async def pause() -> None:
            stream = self.dice.choice(self._streams)
            await bus.pause(SYSTEM, stream)
            await passes(self.dice.random() / 100)
            await bus.resume(SYSTEM, stream)

        return pause

    def _outages(self) -> Callable[[], Any]:
        async def be_away() -> None:
            self.store.is_away = self.dice.random() < 0.5
            for _ in range(self.dice.randint(1, 40)):
                await asyncio.sleep(0)
            self.store.is_away = False  # a rebuild under way waits for it, however long

        return be_away

    def _tries(self, bus: Hosted) -> Callable[[], Any]:
        async def try_again() -> None:
            await bus.news()
            if parked := bus.parked():
                await bus.process.control.parked.ask_retry([self.dice.choice(parked)])
            await passes(0.002)

        return try_again

    def _takeovers(self) -> Callable[[], Any]:
        """Another process joins the group and leaves it again: lanes go from one to the other."""

        async def take_over() -> None:
            async with self._process():
                await passes(self.dice.random() / 20)

        return take_over

    def _two_owners(self) -> Callable[[], Any]:
        """A process that does not know of the others owns every lane, too."""

        async def own_as_well() -> None:
            with self._patch.context() as patch:
                patch.setattr(delivery, "group_of", lambda system: f"another.{system}")
                other = self._process()
                await other.__aenter__()
            await passes(self.dice.random() / 20)
            await other.__aexit__(None, None, None)

        return own_as_well

    def _rebuilds(self) -> Callable[[], Any]:
        """A stream's table is filled anew from the log and put in the place of the old one."""

        async def rebuild() -> None:
            stream = CATALOG.stream(self.dice.choice(self._streams))
            if not any(name == stream.name for name, _ in self.store.checkpoints):
                return  # nothing was delivered of it yet
            async with hosted(self.town, {}) as bus:
                made = TableRebuild(
                    races.view_of(SYSTEM, stream.name),
                    stream.topic,
                    reader=self.town.reader(stream.name),
                    sink=_sink(self.store),
                    process=bus.process,
                    progress=lambda *_: None,
                )
                with suppress(RebuildBusy, LaneLost):
                    await made.run()
                    self.rebuilt += 1

        return rebuild


def _sink(store: MemoryStore) -> MemorySink:
    return MemorySink(MemoryOptions(store=store))
