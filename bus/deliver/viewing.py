"""Make rows of events: decoded, masked by what the protection fence says now, seen by the view.

What is sealed in the log is opened last, and only for the rows and columns that the view shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import cast

import pyarrow as pa

from bus.catalog.reading import Readable, read_what_can_be
from bus.deliver.kit import LARGE, Kit
from bus.deliver.patience import Patience
from bus.deliver.run import Rows, Run
from bus.deliver.unsealing import Unsealing
from bus.deliver.waiting import flag_of
from bus.errors import BusError
from bus.points import Point, passed
from bus.policy import project


class Viewer:
    """One lane's way from bytes to rows."""

    def __init__(self, kit: Kit, patience: Patience) -> None:
        self._kit = kit
        self._patience = patience
        self._has_flag = flag_of(kit.view) is not None
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

    async def see(self, run: Run, readable: Readable) -> Rows:
        """What the view shows of the readable events of *run*, masked as of now."""
        rows = self._kit.no_rows
        if readable.records is not None:
            readable_run = run.picked(readable.good) if readable.refused else run
            rows = await self._projected(readable_run, readable.records)
        passed(Point.LANE_VIEWED)
        return rows

    async def _projected(self, run: Run, records: pa.RecordBatch) -> Rows:
        kit, protected = self._kit, None
        if self._has_flag:
            await self._patience.persist(kit.shared.fence.catch_up)
            protected = kit.shared.fence.protected(records)
        see = partial(
            project,
            kit.view,
            records,
            protected=protected,
            partition=kit.place[1],
            offsets=pa.array(run.offsets, pa.int64()),
        )
        seen = await asyncio.to_thread(see) if len(run) >= LARGE else see()
        if len(seen.kept) != len(run):
            kit.shared.metrics.filtered(*kit.labels, len(run) - len(seen.kept))
            run = run.picked(cast("list[int]", seen.kept.to_pylist()))
        shown = await self._patience.persist(
            lambda: self._unsealed(run, seen.records, records, seen.kept)
        )
        values = cast("Sequence[bytes]", run.values)  # erasures were split off
        return Rows(shown, run.offsets, run.keys, values)

    async def _unsealed(
        self, run: Run, shown: pa.RecordBatch, records: pa.RecordBatch, kept: pa.Int64Array
    ) -> pa.RecordBatch:
        try:
            return await self._unsealing.open(shown, records, kept)
        except BusError as error:
            index = error.where.pop("index", None)
            offset = run.offsets[index] if isinstance(index, int) else None
            error.where |= self._kit.where | ({} if offset is None else {"offset": offset})
            raise
