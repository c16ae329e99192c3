"""Rows to measure with: the synthetic municipality's residents, as columns."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import pyarrow as pa

from bus.catalog import Catalog
from bus.testing.municipality import Municipality

SEED = 20_260_401


def resident_rows(catalog: Catalog, count: int, batch: int = 10_000) -> Sequence[pa.RecordBatch]:
    """*count* resident events in the stream's own columns, in batches of *batch*."""
    town = Municipality(SEED, count + count // 20)
    table = pa.Table.from_batches(list(town.columns(catalog.stream("resident"))))
    del town
    gc.collect()  # millions of objects: no later collection should have to walk through them
    return table.slice(0, count).combine_chunks().to_batches(max_chunksize=batch)
