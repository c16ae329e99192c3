"""Fill one partition of a staging table from the log, up to an offset, without a group.

It goes the same way as what a lane is fed (:mod:`bus.deliver.pipeline`), and its receipts are a
chain of their own, from the log's beginning. What is set aside it leaves out; it tries nothing
again. Nor does it protect anybody: what it fills is old until it takes the place of what is in use.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from bus.broker import Consumer, TopicPartition
from bus.control.parked import ParkedIndex
from bus.deliver.pipeline import Pipeline
from bus.errors import BusError
from bus.log.readback import next_run
from bus.log.run import Run
from bus.model import Position


class RebuildLane:
    """Fills one partition of the staging table."""

    def __init__(
        self,
        pipeline: Pipeline,
        parked: ParkedIndex,
        consumer: Consumer,
        on_events: Callable[[int], None],
    ) -> None:
        self.consumer = consumer
        self._place = pipeline.context.place
        self._pipeline = pipeline
        self._parked = parked
        self._on_events = on_events
        self._is_placed = False

    @property
    def position(self) -> Position:
        """The staging table's position."""
        return self._pipeline.position

    @property
    def chain(self) -> str:
        """The chain value of the last receipt."""
        return self._pipeline.applier.chain

    async def stand(self) -> None:
        """Take over the staging table's checkpoint."""
        self._is_placed = False
        await self._pipeline.stand(await self._pipeline.ask())

    async def fill(self, end: Position) -> None:
        """Apply everything before *end*, up to which the staging table then is."""
        pipeline = self._pipeline
        persist = pipeline.retrier.persist
        while self.position.offset < end.offset:
            await persist(self._parked.catch_up)
            run = await persist(lambda: self._next(end.offset))
            if run is None:
                await pipeline.applier.move(pipeline.context.no_rows, end)
            else:
                pipeline.applier.begin()
                await pipeline.carry(run)
                self._on_events(len(run))
        await pipeline.applier.settle()

    async def _next(self, end: int) -> Run | None:
        """The next events before *end*; None if there are none."""
        consumer, place = self.consumer, self._place
        try:
            if not self._is_placed:
                begin = (await consumer.beginning_offsets([place]))[place]
                consumer.seek(place, max(self.position.offset, begin))
                self._is_placed = True
            run = await next_run(consumer, place, end)
        except BusError:
            self._is_placed = False
            raise
        if run is None:
            return None
        within = bisect_left(run.offsets, end)
        if within < len(run):
            self._is_placed = False  # what was read too far is read again
        return run.part(0, within) if within else None


class OwnConsumer:
    """The consumer of a rebuild, as its lane uses it: nobody else reads from it."""

    def __init__(self, consumer: Consumer, place: TopicPartition) -> None:
        self._consumer = consumer
        self._place = place

    async def ends(self) -> tuple[int, int]:
        begin = await self._consumer.beginning_offsets([self._place])
        end = await self._consumer.end_offsets([self._place])
        return begin[self._place], end[self._place]

    def seek(self, offset: int) -> None:
        self._consumer.seek(self._place, offset)

    def pause(self) -> None:
        """Do nothing: it reads only when the lane wants to."""

    def resume(self) -> None:
        """Do nothing: it reads only when the lane wants to."""

    def done(self, offset: int) -> None:
        """Do nothing: there is no group."""

    def has_room(self) -> None:
        """Do nothing: nobody feeds it."""
