"""Rows to measure with: residents of the synthetic municipality, as columns."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.catalog import Catalog
from bus.sample.municipality import Municipality

SEED = 20_260_401


def resident_rows(catalog: Catalog, count: int, batch: int = 10_000) -> Sequence[pa.RecordBatch]:
    """*count* resident events in the stream's own columns, in batches of *batch*."""
    town = Municipality(SEED, count + count // 20)
    table = pa.Table.from_batches(list(town.columns(catalog.stream("resident"))))
    del town
    gc.collect()  # millions of objects: no later collection should have to walk through them
    return table.slice(0, count).combine_chunks().to_batches(max_chunksize=batch)


def updated(batch: pa.RecordBatch, number: int) -> pa.RecordBatch:
    """The same records, some versions later, with events and changes of their own."""
    header: Any = batch.column("header")
    named = dict(zip((entry.name for entry in header.type), header.flatten(), strict=True))
    named["version"] = pc.add(named["version"], pa.scalar(number, pa.int32()))
    for name in ("event_id", "change_id"):
        # of an earlier year: an id of the future is refused
        named[name] = pc.binary_replace_slice(named[name], 2, 4, format(number, "02x"))
    updated = pa.StructArray.from_arrays(list(named.values()), fields=list(header.type))
    place = batch.schema.get_field_index("header")
    return batch.set_column(place, batch.schema.field(place), updated)


def protection_of(protections: pa.RecordBatch, subject: str, household: str) -> pa.RecordBatch:
    """The first of *protections* as another's, who lives in *household* and shares with nobody."""
    (record,) = updated(protections.slice(0, 1), 0xF).to_pylist()
    record["header"] |= {"subject_id": subject, "version": 1}
    record |= {"shared_with": [], "household_number": household}
    return pa.RecordBatch.from_pylist([record], schema=protections.schema)
