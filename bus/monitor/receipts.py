"""Receipts as the monitor needs them, read from the log's values in columns."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from bus.catalog.wire import Reader
from bus.errors import BusError, Reaction, SchemaMismatch
from bus.monitor.windows import Seen

COLUMNS = ("system", "stream", "partition", "end", "rows", "chain", "applied_at", "is_replay")


async def read_receipts(
    reader: Reader, values: Sequence[bytes], told_ms: Sequence[int]
) -> tuple[list[Seen], int]:
    """The receipts in *values*, in order, and how many values are none (another stream's, say).

    Args:
        told_ms: When the log took each value.

    Raises:
        RegistryUnavailable: A schema id was seen for the first time, and the registry is away.
    """
    if not values:
        return [], 0
    try:
        batch = await reader.read(values)
    except BusError as error:
        if error.reaction is not Reaction.PARK and not isinstance(error, SchemaMismatch):
            raise
        if len(values) == 1:
            return [], 1
        middle = len(values) // 2
        first, some = await read_receipts(reader, values[:middle], told_ms[:middle])
        second, others = await read_receipts(reader, values[middle:], told_ms[middle:])
        return first + second, some + others
    micros = batch.column("applied_at").cast(pa.int64())
    columns = [
        (micros if name == "applied_at" else batch.column(name)).to_pylist() for name in COLUMNS
    ]
    return [
        Seen(
            system=system,
            stream=stream,
            partition=partition,
            end=end,
            rows=rows,
            chain=chain,
            applied_at=applied_at / 1e6,
            told_at=told / 1e3,
            is_replay=is_replay,
        )
        for (system, stream, partition, end, rows, chain, applied_at, is_replay), told in zip(
            zip(*columns, strict=True), told_ms, strict=True
        )
    ], 0
