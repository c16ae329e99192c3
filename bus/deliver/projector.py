"""Make rows of events: decoded, masked as the fence says now, shown by the view.

What is sealed in the log is opened last, and only for the rows and columns that the view shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import pyarrow as pa

from bus.catalog.decoding import BatchReader, DecodedBatch, read_to_the_stop
from bus.control.fence import Fence
from bus.deliver.context import LARGE, LaneContext
from bus.deliver.leaving import part
from bus.deliver.retrier import Retrier
from bus.deliver.rows import Rows
from bus.deliver.unsealing import Unsealing
from bus.errors import BusError, LaneError
from bus.failpoints import Point, passed
from bus.log.run import Run
from bus.log.tail import Asked
from bus.policy import project
from bus.sealing import Seals

_NOBODY = Run([], [], [])


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows that a view makes of a run."""

    readable: DecodedBatch
    rows: Rows
    leaving: Run
    """Of each subject that no longer fits the view's conditions, its last event."""
    returning: Run
    """Of each that fits them again by the run's end, the last event that did not."""
    stop: tuple[int, BusError] | None = None
    """The offset of an event that stops the lane, and why; then nothing else is seen."""


class Projector:
    """Makes one lane's rows of bytes."""

    def __init__(
        self,
        context: LaneContext,
        retrier: Retrier,
        reader: BatchReader,
        fence: Fence,
        seals: Seals,
    ) -> None:
        self._context = context
        self._retrier = retrier
        self._reader = reader
        self._fence = fence
        self._has_flag = context.view.flag_column is not None
        self._unsealing = Unsealing(context.view, seals)

    async def read(self, run: Run, *, refuse: tuple[type[BusError], ...] = ()) -> DecodedBatch:
        """Decode the events of *run* that can be decoded; it holds no erasures."""
        values, reader = cast("Sequence[bytes]", run.values), self._reader
        readable = await self._retrier.persist(
            lambda: read_to_the_stop(reader, values, refuse=refuse)
        )
        if readable.stop is not None:
            index, error = readable.stop
            error.where |= {**self._context.where, "offset": run.offsets[index]}
        return readable

    async def insist(self, run: Run, *, refuse: tuple[type[BusError], ...] = ()) -> Seen:
        """As :meth:`see`, of a run in which nothing may stop.

        Raises:
            BusError: An event cannot be read, and is none of *refuse*; or something sealed cannot
                be opened.
        """
        seen = await self.see(run, refuse=refuse)
        if seen.stop is not None:
            raise self._context.stuck(*seen.stop)
        return seen

    async def see(self, run: Run, *, refuse: tuple[type[BusError], ...] = ()) -> Seen:
        """The rows that the view shows of *run*, masked as of this call.

        *run* was fetched before, so everything appended before its events counts.

        The fence is asked while the events are decoded; nobody waits for both.
        """
        asked = self._fence.ask() if self._has_flag and len(run) else None
        readable = await self.read(run, refuse=refuse)
        seen = Seen(readable, self._context.no_rows, _NOBODY, _NOBODY)
        if readable.stop is not None:
            index, error = readable.stop
            return replace(seen, stop=(run.offsets[index], error))
        if readable.records is not None:
            readable_run = run.picked(readable.good) if readable.refused else run
            seen = await self._projected(seen, readable_run, readable.records, asked)
        if seen.stop is None:
            passed(Point.LANE_VIEWED)
        return seen

    async def anew(self, rows: Rows) -> Rows:
        """The same *rows*, masked as of now."""
        seen = await self.insist(Run(rows.offsets, rows.keys, rows.values))
        if seen.readable.records is None or seen.readable.refused:
            raise LaneError("an event that was read can be read no longer", **self._context.where)
        again = seen.rows
        if list(again.offsets) != list(rows.offsets):
            raise LaneError("a view shows other events than it did", **self._context.where)
        return again

    async def _projected(
        self, found: Seen, run: Run, records: pa.RecordBatch, asked: Asked | None
    ) -> Seen:
        context, protected, masked_under = self._context, None, None
        if self._has_flag:
            fence = self._fence
            await self._retrier.persist(lambda: fence.catch_up(asked))
            if context.view.locations:
                await self._retrier.persist(fence.insist_on_ties)
            protected = fence.protected(records, context.view.located)
            masked_under = fence.reached if context.view.is_fenced else None
        see = partial(
            project,
            context.view,
            records,
            protected=protected,
            partition=context.place[1],
            offsets=pa.array(run.offsets, pa.int64()),
        )
        seen = await asyncio.to_thread(see) if len(run) >= LARGE else see()
        kept, indices = run, seen.kept
        if len(seen.kept) != len(run):
            context.metrics.filtered(*context.labels, len(run) - len(seen.kept))
            kept = run.picked(cast("list[int]", seen.kept.to_pylist()))
        values = cast("Sequence[bytes]", kept.values)  # erasures were split off
        rows = Rows(seen.records, kept.offsets, kept.keys, values, masked_under)
        if seen.outside is not None and len(seen.outside):
            parted = part(
                run,
                cast("list[int]", seen.kept.to_pylist()),
                cast("list[int]", seen.outside.to_pylist()),
            )
            found = replace(found, leaving=parted.leaving, returning=parted.returning)
            if len(parted.inside) != len(rows):
                rows = rows.picked(parted.inside)
                indices = indices.take(pa.array(parted.inside, pa.int64()))
        try:
            shown, unopened = await self._retrier.persist(
                lambda: self._unsealing.open(rows.records, records, indices)
            )
        except BusError as error:
            error.where |= self._context.where
            raise
        if unopened is not None:
            index, broken = unopened
            broken.where |= {**self._context.where, "offset": rows.offsets[index]}
            return replace(found, stop=(rows.offsets[index], broken))
        return replace(found, rows=replace(rows, records=shown))
