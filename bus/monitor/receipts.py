"""Read from receipts, as columns, what the monitor needs."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from bus.catalog.decoding import read_what_can_be
from bus.catalog.wire import Reader
from bus.errors import SchemaMismatch
from bus.monitor.windows import ReceiptTimes

COLUMNS = ("system", "stream", "partition", "end", "rows", "chain", "applied_at", "is_replay")


async def read_receipts(
    reader: Reader, values: Sequence[bytes], told_ms: Sequence[int]
) -> tuple[list[ReceiptTimes], int]:
    """The receipts in *values*, in order, and how many values are none (another stream's, say).

    Args:
        told_ms: When the log took each value.

    Raises:
        RegistryUnavailable: A schema id was seen for the first time, and the registry is away.
    """
    readable = await read_what_can_be(reader, values, refuse=(SchemaMismatch,))
    if (batch := readable.records) is None:
        return [], len(readable.refused)
    times = [told_ms[index] for index in readable.good]
    micros = batch.column("applied_at").cast(pa.int64())
    columns = [
        (micros if name == "applied_at" else batch.column(name)).to_pylist() for name in COLUMNS
    ]
    return [
        ReceiptTimes(
            system=system,
            stream=stream,
            partition=partition,
            end=end,
            rows=rows,
            chain=chain,
            applied_at=applied_at / 1e6,
            told_at=at / 1e3,
            is_replay=is_replay,
        )
        for (system, stream, partition, end, rows, chain, applied_at, is_replay), at in zip(
            zip(*columns, strict=True), times, strict=True
        )
    ], len(readable.refused)
