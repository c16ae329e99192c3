"""Make rows of events: decoded, masked by what the protection fence says now, seen by the view.

What is sealed in the log is opened last, and only for the rows and columns that the view shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import pyarrow as pa

from bus.catalog.reading import Readable, read_what_can_be
from bus.deliver.kit import LARGE, Kit
from bus.deliver.leaving import part
from bus.deliver.patience import Patience
from bus.deliver.run import Rows, Run
from bus.deliver.unsealing import Unsealing
from bus.errors import BusError, LaneError
from bus.points import Point, passed
from bus.policy import project


@dataclass(frozen=True, slots=True)
class Seen:
    """What a view makes of a run."""

    rows: Rows
    leaving: Run = field(default_factory=lambda: Run([], [], []))
    """Of each subject that no longer fits the view's conditions, its last event."""


class Viewer:
    """One lane's way from bytes to rows."""

    def __init__(self, kit: Kit, patience: Patience) -> None:
        self._kit = kit
        self._patience = patience
        self._has_flag = kit.view.flag_column is not None
        self._unsealing = Unsealing(kit.view, kit.shared.seals)

    async def read(self, run: Run, *, refuse: tuple[type[BusError], ...] = ()) -> Readable:
        """Decode what can be decoded of *run*, which holds no erasures.

        Raises:
            BusError: It stops, and is none of *refuse*; ``where`` says at which offset.
        """
        values, reader = cast("Sequence[bytes]", run.values), self._kit.reader
        try:
            return await self._patience.persist(
                lambda: read_what_can_be(reader, values, refuse=refuse)
            )
        except BusError as error:
            index = error.where.pop("index", None)
            if isinstance(index, int):
                error.where |= {**self._kit.where, "offset": run.offsets[index]}
            raise

    async def see(self, run: Run, readable: Readable) -> Seen:
        """What the view shows of the readable events of *run*, masked as of now."""
        seen = Seen(self._kit.no_rows)
        if readable.records is not None:
            readable_run = run.picked(readable.good) if readable.refused else run
            seen = await self._projected(readable_run, readable.records)
        passed(Point.LANE_VIEWED)
        return seen

    async def anew(self, rows: Rows) -> Rows:
        """*rows* again, which were seen before, masked as of now."""
        run = Run(rows.offsets, rows.keys, rows.values)
        readable = await self.read(run)
        if readable.records is None or readable.refused:
            raise LaneError("an event that was read can be read no longer", **self._kit.where)
        again = (await self._projected(run, readable.records)).rows
        if list(again.offsets) != list(rows.offsets):
            raise LaneError("a view shows other events than it did", **self._kit.where)
        return again

    async def _projected(self, run: Run, records: pa.RecordBatch) -> Seen:
        kit, protected, masked_under = self._kit, None, None
        if self._has_flag:
            fence = kit.shared.fence
            await self._patience.persist(fence.catch_up)
            protected = fence.protected(records, kit.view.located)
            masked_under = fence.reached if kit.view.is_fenced else None
        see = partial(
            project,
            kit.view,
            records,
            protected=protected,
            partition=kit.place[1],
            offsets=pa.array(run.offsets, pa.int64()),
        )
        seen = await asyncio.to_thread(see) if len(run) >= LARGE else see()
        kept, indices = run, seen.kept
        if len(seen.kept) != len(run):
            kit.shared.metrics.filtered(*kit.labels, len(run) - len(seen.kept))
            kept = run.picked(cast("list[int]", seen.kept.to_pylist()))
        values = cast("Sequence[bytes]", kept.values)  # erasures were split off
        rows, leaving = Rows(seen.records, kept.offsets, kept.keys, values, masked_under), None
        if seen.outside is not None and len(seen.outside):
            parted = part(
                run,
                cast("list[int]", seen.kept.to_pylist()),
                cast("list[int]", seen.outside.to_pylist()),
            )
            leaving = parted.leaving
            if len(parted.inside) != len(rows):
                rows = rows.picked(parted.inside)
                indices = indices.take(pa.array(parted.inside, pa.int64()))
        shown = await self._patience.persist(lambda: self._unsealed(rows, records, indices))
        rows = replace(rows, records=shown)
        return Seen(rows) if leaving is None else Seen(rows, leaving)

    async def _unsealed(
        self, rows: Rows, records: pa.RecordBatch, indices: pa.Int64Array
    ) -> pa.RecordBatch:
        try:
            return await self._unsealing.open(rows.records, records, indices)
        except BusError as error:
            index = error.where.pop("index", None)
            offset = rows.offsets[index] if isinstance(index, int) else None
            error.where |= self._kit.where | ({} if offset is None else {"offset": offset})
            raise
