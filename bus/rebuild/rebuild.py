"""Rebuild what a system holds of one stream: fill a staging table, and put it in place.

The staging table is filled beside the one in use, which goes on serving: it is read and delivered
to as before. When the staging table has nearly come to where the lanes stand, they are held, it is
filled up to exactly there, and it takes the place of the table in use, positions and all, in one
transaction. Nothing of a lane is lost: it goes on from where it stood. One that stands still
because it was away too long (RK-503) is taken to the log's end instead, and can be opened again.

What the log no longer has cannot be rebuilt: of a subject whose newest selected event compaction
took, there is no row then, as in the store of a system that starts today.

A rebuild that was cut off is taken up where the staging table stands. That one is dropped if it
cannot be trusted: filled from another log, or so long ago that it may have missed an erasure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog

from bus.broker import TopicPartition
from bus.catalog.decoding import BatchReader
from bus.connect import LockedTarget, Merged, Sink, Stages, Staging, Transactional
from bus.control.parked import SetAside
from bus.deliver.context import LaneContext
from bus.deliver.pipeline import Pipeline
from bus.deliver.process import ProcessContext
from bus.deliver.pulse import StorePulse
from bus.deliver.shared_sink import SharedSink
from bus.errors import (
    BusError,
    ConfigurationError,
    EditionOutdated,
    Remedy,
    StoreForged,
    Unready,
)
from bus.failpoints import Point, passed
from bus.model import Checkpoint, LaneName, Position, View
from bus.rebuild.filling import OwnConsumer, RebuildLane
from bus.retry import retried

T = TypeVar("T")
_log = structlog.get_logger("renkei.deliver")
NEAR = 500  # events that may be left to fill while the lanes are held
_ROUNDS = 20  # of catching up with lanes that go on, before they are held all the same
Progress = Callable[[int, int], None]
"""Told how many events of how many are in the staging table."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild."""

    events: int  # of the log, that the staging table was filled with
    merged: Merged | None  # None: the store's answer was lost, and it had been done


def stages_of(sink: Sink) -> Stages:
    """The capability of *sink* to be filled in a staging table.

    Raises:
        ConfigurationError: The store is not filled anew.
    """
    stages = sink.capabilities.stages
    if stages is None:
        raise ConfigurationError(
            "this store is not rebuilt: its connector cannot fill a table beside the one in use"
        )
    return stages


def kept_with(sink: Sink) -> Transactional:
    """The capability that says where the lanes of the table in use are.

    Raises:
        ConfigurationError: The store keeps no positions with what it holds.
    """
    transactional = sink.capabilities.transactional
    if transactional is None:
        raise ConfigurationError("this store is not rebuilt: it keeps no positions with its rows")
    return transactional


class TableRebuild:
    """The rebuild of one stream of one system, in a process of its own."""

    def __init__(
        self,
        view: View,
        topic: str,
        *,
        reader: BatchReader,
        sink: Sink,
        process: ProcessContext,
        progress: Progress = lambda *_: None,
    ) -> None:
        self._view = view
        self._topic = topic
        self._reader = reader
        self._live = sink
        self._positions = kept_with(sink)
        self._process = process
        self._progress = progress
        self._back_off = process.runtime.settings.back_off()
        self._staging: Staging = stages_of(sink).staging()
        self._table = SharedSink(self._staging, view, StorePulse(process.runtime.clock))
        self._fillings: dict[int, RebuildLane] = {}
        self._events = 0
        self._total = 0

    async def run(self) -> Rebuilt:
        """Fill the staging table, and put it in place.

        Raises:
            RebuildBusy: Another process rebuilds this table.
            ConfigurationError: There is nothing to rebuild, or the table cannot be.
            LaneLost: Somebody else filled the same staging table.
            BusError: Anything that stops a lane.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._live.close)
            stack.push_async_callback(self._table.close)
            await self._persist(lambda: self._live.open(self._view))
            held = await self._held()
            if not held:
                raise ConfigurationError(
                    "nothing was ever delivered of this stream; there is nothing to rebuild",
                    system=self._view.system, stream=self._view.stream,
                )  # fmt: skip
            await self._make_fillings(stack, sorted(held))
            await self._take_up()
            await self._catch_up(held)
            passed(Point.REBUILD_FILLED)
            merged = await self._put_in_place()
        return Rebuilt(self._events, merged)

    async def _held(self) -> dict[int, Checkpoint | None]:
        """The checkpoints of the table in use; None: what stands there the bus never wrote."""
        try:
            return dict(await self._persist(self._positions.checkpoints))
        except StoreForged:
            found = await self._persist(
                lambda: self._process.cluster.broker.partitions([self._topic])
            )
            return {p: await self._read(p) for p in range(found.get(self._topic, 0))}

    async def _read(self, partition: int) -> Checkpoint | None:
        """A lane's checkpoint; None too if what stands there is nothing that the bus wrote."""
        try:
            return await self._persist(partial(self._positions.checkpoint, partition))
        except StoreForged as error:
            _log.warning(
                "rebuild-believes-nothing", code=error.code, **self._where, partition=partition
            )
            return None

    # -- filling

    async def _make_fillings(self, stack: AsyncExitStack, partitions: list[int]) -> None:
        process = self._process
        for partition in partitions:
            place: TopicPartition = (self._topic, partition)
            consumer = process.cluster.broker.consumer(client_id="renkei-rebuild")
            stack.push_async_callback(consumer.close)
            await consumer.start()
            await consumer.assign([place])
            pipeline = Pipeline(
                LaneContext(self._view, place, process),
                self._table,
                self._reader,
                OwnConsumer(consumer, place),
                process,
                sends_receipts=True,
                protects=False,
            )
            parked = process.control.parked
            self._fillings[partition] = RebuildLane(pipeline, parked, consumer, self._count)

    async def _take_up(self) -> None:
        """Go on with the staging table that was left, or drop it and begin anew.

        What was set aside when the staging table passed it matters until the swap. What another
        process filled was filled when nobody knows what was; then whatever ever was counts.
        """
        await self._persist(self._process.control.parked.catch_up)
        for partition in self._fillings:
            if not await self._is_to_be_taken_up(partition):
                _log.warning("rebuild-begins-anew", **self._where, partition=partition)
                await self._staging.drop()
                self._table.renew()
                break
        for filling in self._fillings.values():
            await filling.stand()
        if not any(filling.position.offset for filling in self._fillings.values()):
            for lane in self._set_aside():
                lane.begin_anew()

    async def _is_to_be_taken_up(self, partition: int) -> bool:
        """Whether the staging table's lane is at its beginning, or where it can go on."""
        try:
            found = await self._persist(partial(self._table.checkpoint, partition))
        except StoreForged:
            return False
        return found is None or await self._can_go_on(found)

    async def _can_go_on(self, found: Checkpoint) -> bool:
        """Whether a checkpoint is of this log, within it, not too old, and written by the bus."""
        position, process = found.position, self._process
        if (position.cluster_id, position.topic) != (process.cluster.id, self._topic):
            return False
        begin, end = await self._ends(position.partition)
        is_old = (
            process.runtime.clock.now() - found.applied_at > process.runtime.settings.compaction_lag
        )
        return not is_old and begin <= position.offset <= end and await self._is_ours(found)

    async def _is_ours(self, found: Checkpoint) -> bool:
        """Whether the bus wrote the checkpoint that a store has of one of its lanes."""
        name = LaneName(self._view.system, self._view.stream, found.position.partition)
        place: TopicPartition = (self._topic, found.position.partition)
        return await self._persist(
            lambda: self._process.control.testimony.bears_out(name, place, found)
        )

    async def _catch_up(self, held: Mapping[int, Checkpoint | None]) -> None:
        """Fill up to the lanes' positions, again and again until little is left."""
        for _ in range(_ROUNDS):
            ends = {p: await self._end_of(p, held.get(p)) for p in self._fillings}
            left = {
                p: max(ends[p].offset - f.position.offset, 0) for p, f in self._fillings.items()
            }
            self._total = self._events + sum(left.values())
            for partition, filling in self._fillings.items():
                await filling.fill(ends[partition])
            if sum(left.values()) <= NEAR:
                return
            held = {p: await self._read(p) for p in self._fillings}

    async def _end_of(self, partition: int, held: Checkpoint | None) -> Position:
        """How far the staging table must be filled: up to the lane, if that can go on."""
        if held is not None and await self._can_go_on(held):
            return held.position
        _, end = await self._ends(partition)
        return Position(
            cluster_id=self._process.cluster.id, topic=self._topic, partition=partition, offset=end
        )

    # -- taking its place

    async def _put_in_place(self) -> Merged | None:
        """Once; None if that had been done, and the answer was lost."""
        has_tried = False

        async def act() -> Merged | None:
            nonlocal has_tried
            if has_tried and await self._is_done():
                return None
            has_tried = True
            async with self._staging.lock() as held:
                return await self._merge(held)

        return await self._persist(act)

    async def _merge(self, held: LockedTarget) -> Merged:
        for partition, filling in self._fillings.items():
            lane = held.checkpoints.get(partition)
            await filling.fill(await self._end_of(partition, lane))
            # the store will have forgotten it: it may not have been sent
            if lane is not None and await self._is_ours(lane):
                await self._process.control.receipts.send(lane.receipt, lane.applied_at)
        await self._process.control.parked.catch_up()
        fence = self._process.fence
        protected = await self._persist(fence.all_by_now) if self._view.protects else None
        touched = {subject for lane in self._set_aside() for subject in lane.touched}
        while True:
            try:
                merged = await held.merge(touched, protected)
            except BusError as error:  # another process's lane told the store of newer coverage
                if error.remedy is not Remedy.MASK_AGAIN:
                    raise
                protected = await self._persist(fence.all_by_now)
            else:
                break
        passed(Point.REBUILD_SWAPPED)
        if merged.kept:
            _log.warning("rebuild-kept-newer", **self._where, rows=merged.kept)
        return merged

    async def _is_done(self) -> bool:
        """Whether a merge was done whose answer was lost: its staging table is new then."""
        filled = any(filling.position.offset for filling in self._fillings.values())
        self._table.renew()
        for filling in self._fillings.values():
            await filling.stand()
        if not filled or any(filling.position.offset for filling in self._fillings.values()):
            return False
        await self._staging.drop()
        return True

    def _set_aside(self) -> list[SetAside]:
        name = self._view.system, self._view.stream
        return [self._process.control.parked.lane(LaneName(*name, p)) for p in self._fillings]

    # -- what does not answer

    async def _persist(self, act: Callable[[], Awaitable[T]]) -> T:
        return await retried(act, self._back_off, self._wait)

    async def _wait(self, error: BusError, length: timedelta) -> None:
        """Wait before another try; raise *error* if trying again cannot help."""
        if isinstance(error, EditionOutdated | Unready):
            raise error
        _log.warning("rebuild-waits", code=error.code, **self._where)
        await self._process.runtime.clock.sleep(length)

    async def _ends(self, partition: int) -> tuple[int, int]:
        place: TopicPartition = (self._topic, partition)
        consumer = self._fillings[partition].consumer
        begin = await self._persist(lambda: consumer.beginning_offsets([place]))
        end = await self._persist(lambda: consumer.end_offsets([place]))
        return begin[place], end[place]

    def _count(self, events: int) -> None:
        self._events += events
        self._progress(self._events, max(self._total, self._events))

    @property
    def _where(self) -> dict[str, str]:
        return {"system": self._view.system, "stream": self._view.stream}
