"""Open sealed items for a view that shows them; other views never open anything.

By then the view has chosen rows and columns. What comes out is handed to the sink and nowhere
else: what is remembered of a batch (bytes, decoded columns, what is parked) stays sealed.
"""

from __future__ import annotations

import asyncio

import pyarrow as pa

from bus.deliver.context import LARGE
from bus.errors import LaneError
from bus.model import View
from bus.sealing import Seals
from bus.sealing.seals import key_ids, unseal_column_to_the_stop

Stop = tuple[int, LaneError]
"""A row that cannot be opened, and why."""


class Unsealing:
    """The sealed columns of one lane's view, and the process's keys."""

    def __init__(self, view: View, seals: Seals) -> None:
        self._stream = view.stream
        self._seals = seals
        self._sealed = [
            (at, column.path) for at, column in enumerate(view.columns) if column.is_sealed
        ]

    async def open(
        self, shown: pa.RecordBatch, records: pa.RecordBatch, kept: pa.Int64Array
    ) -> tuple[pa.RecordBatch, Stop | None]:
        """*shown* with its sealed columns opened; or the first row that cannot be opened.

        Args:
            shown: What the view shows.
            records: The events that it was made of, whole.
            kept: Which of them it shows.

        Raises:
            KeysUnusable, KeysUnavailable: There are no keys.
        """
        if not self._sealed or not shown.num_rows:
            return shown, None
        header = records.column("header").take(kept)
        needed = set[str]().union(*(key_ids(shown.column(at)) for at, _ in self._sealed))
        ring = await self._seals.ring(needed)

        def opened() -> tuple[pa.RecordBatch, Stop | None]:
            found = shown
            for at, path in self._sealed:
                values, stop = unseal_column_to_the_stop(
                    self._stream, path, found.column(at), header, ring
                )
                if stop is not None:
                    return shown, stop
                found = found.set_column(at, found.schema.field(at), values)
            return found, None

        return await asyncio.to_thread(opened) if shown.num_rows >= LARGE else opened()
