"""Stop lanes and tell of it; close everything in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bus.broker import Consumer, TopicPartition
from bus.deliver.lane import Lane
from bus.deliver.process import ProcessContext
from bus.deliver.shared_sink import SharedSink
from bus.errors import BusError
from bus.hosting.background import BackgroundTasks
from bus.hosting.roster import LOOK_AGAIN, Roster, end

DEFECT = "RK-000"


class StopReports:
    """Tells that lanes of one system have stopped: in the log, in their state, to all processes."""

    def __init__(
        self, roster: Roster, process: ProcessContext, background: BackgroundTasks, log: Any
    ) -> None:
        self._roster = roster
        self._process = process
        self._background = background
        self._log = log

    def log_of(self, place: TopicPartition) -> Any:
        """The log, with the lane in each line."""
        return self._log.bind(stream=self._roster.streams[place[0]], partition=place[1])

    def see_out(self, lane: Lane, task: asyncio.Task[None]) -> None:
        """End a lane; if its store is away, without waiting for the batch in hand."""

        async def look() -> None:
            while not task.done():
                end(lane, task)
                await asyncio.wait({task}, timeout=LOOK_AGAIN.total_seconds())

        self._background.keep_until_done("pause", look, lane.state.stream)

    def on_error(self, place: TopicPartition, error: BusError, stuck_at: int | None) -> None:
        """Tell that a lane has stopped by an error and waits for a person.

        Args:
            stuck_at: The offset that it cannot pass; None: the error is of none, and the lane
                is told to stand where its store does.
        """
        state = self._roster.state(place)
        offset = state.offset if stuck_at is None else stuck_at
        state.stops(error.code, self._process.runtime.clock.now())
        self.log_of(place).error(
            "lane-stopped", code=error.code, reason=error.message, offset=offset
        )
        self._process.control.operations.stopped(self._roster.name(place), error.code, offset)

    def on_defect(
        self, place: TopicPartition, error: BaseException, again: Callable[[], None]
    ) -> None:
        """Tell that a lane has stopped by a defect, and open another one after a while."""
        state, name = self._roster.state(place), self._roster.name(place)
        state.stops(DEFECT, self._process.runtime.clock.now())
        wait = self._process.runtime.tasks.fell("lane", error, **name._asdict())
        self._process.control.operations.stopped(name, DEFECT, state.offset)

        async def open_again() -> None:
            await asyncio.sleep(wait.total_seconds())
            again()

        self._background.keep_until_done("again", open_again, name.stream)


class Targets:
    """The logs' ends when it was first asked whether everything is delivered."""

    def __init__(self, roster: Roster, consumer: Consumer, process: ProcessContext) -> None:
        self._roster = roster
        self._consumer = consumer
        self._process = process
        self._ends: Mapping[TopicPartition, int] | None = None
        self._partitions: int | None = None  # of what the system may have; None: not asked
        self._dealings = 0
        self._waits_until: datetime | None = None

    def forget(self) -> None:
        """Ask for the ends again, because there is another lane."""
        self._ends = None

    def deal_anew(self) -> None:
        """Ask for the partitions again: the group has dealt, or the system may have others.

        A topic that gets partitions is dealt out again, too.
        """
        self._partitions = None
        self._dealings += 1

    async def are_passed(self) -> bool:
        """Whether every lane has passed its log's end.

        A partition that this process does not have may be held by one that died: the group deals
        it out again once that is noticed. Who has it after that is another process's affair.
        """
        if not await self._has_all() and not self._has_waited():
            return False
        if self._ends is None:
            self._ends = await self._consumer.end_offsets(list(self._roster.lanes))
        for place, (lane, task) in list(self._roster.lanes.items()):
            if task.done():
                continue  # stopped or paused: it waits for a person
            target = self._ends[place]
            if not lane.is_idle or await self._consumer.position(place) < target:
                return False
        return True

    async def _has_all(self) -> bool:
        """Whether all partitions of what the system may have are here; asked once a dealing."""
        while (partitions := self._partitions) is None:
            dealing = self._dealings
            counts = await self._process.cluster.broker.partitions(sorted(self._roster.feeds))
            if dealing == self._dealings:
                self._partitions = sum(counts.values())
        return partitions <= len(self._roster.owned)

    def _has_waited(self) -> bool:
        """Whether that has been asked for as long as it takes to notice that a process died."""
        now, settings = self._process.runtime.clock.now(), self._process.runtime.settings
        if self._waits_until is None:
            self._waits_until = now + 2 * settings.session_timeout
        return now >= self._waits_until


async def ended(tasks: Collection[asyncio.Task[None]], within: float) -> int:
    """Wait for *tasks*, for so many seconds at most; how many had to be cancelled."""
    if not tasks:
        return 0
    _, late = await asyncio.wait(tasks, timeout=within)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
    return len(late)


async def closed(consumer: Consumer, sinks: Sequence[SharedSink], within: float) -> list[BusError]:
    """Leave the group and close the stores; those that do not answer in time are left."""
    closing = [asyncio.ensure_future(consumer.close())]
    closing += [asyncio.ensure_future(sink.close()) for sink in sinks]
    done, late = await asyncio.wait(closing, timeout=within)
    for task in late:
        task.cancel()
    errors = []
    for task in done:
        if isinstance(error := task.exception(), BusError):
            errors.append(error)
        else:
            task.result()
    return errors
