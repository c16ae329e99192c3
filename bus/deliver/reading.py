"""A reader that caches: the systems of one process decode the same few events once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import pyarrow as pa

from bus.catalog.decoding import BatchReader

MOST_EVENTS_REMEMBERED = 8  # in one batch
MOST_BATCHES_REMEMBERED = 64


class Remembering:
    """Decodes a batch once for all systems of a process that read it.

    A change reaches sixteen systems as sixteen small batches of the same bytes. Decoding one
    costs as much as decoding a hundred events of a large batch, so small ones are remembered.
    """

    def __init__(self, reader: BatchReader) -> None:
        self._reader = reader
        self._known: OrderedDict[tuple[bytes, ...], pa.RecordBatch] = OrderedDict()

    async def read(self, values: Sequence[bytes]) -> pa.RecordBatch:
        """As :meth:`bus.catalog.wire.Reader.read`."""
        if len(values) > MOST_EVENTS_REMEMBERED:
            return await self._reader.read(values)
        key = tuple(values)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = await self._reader.read(values)
            if len(self._known) > MOST_BATCHES_REMEMBERED:
                self._known.popitem(last=False)
        return known
