"""Masks over a batch of records that the rules of several streams share.

A mask is null where there is nothing to judge; a rule finds only where it is true.
"""

from __future__ import annotations

from datetime import timedelta
from functools import reduce

import pyarrow as pa

from bus.model import Nature
from bus.publish.finding import Records
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc

_JAPAN_AHEAD = timedelta(hours=9)


def one_of(column: Column, *values: str) -> Mask:
    """Where the text or symbol is one of *values*."""
    return pc.is_in(text(column), value_set=pa.array([str(value) for value in values]))


def text(column: Column) -> Column:
    """Symbols of an enum as texts; texts unchanged."""
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def happened(records: Records, *endings: str) -> Mask:
    """Where the event type ends so (``lost``) and leaves behind what it says.

    A cancellation puts back what was before, whatever that is.
    """
    event = records.column("header.event_type")
    ends_so = reduce(pc.or_, (pc.ends_with(event, f".{ending}") for ending in endings))
    return pc.and_not(ends_so, one_of(records.column("header.nature"), Nature.CANCELLATION))


def given(records: Records, path: str) -> Mask:
    """Where the item is not null."""
    return pc.is_valid(records.column(path))


def absent(records: Records, path: str) -> Mask:
    """Where the item is null."""
    return pc.is_null(records.column(path))


def empty(records: Records, path: str) -> Mask:
    """Where the list has no entry."""
    return pc.equal(pc.list_value_length(records.column(path)), 0)


def today(records: Records) -> Column:
    """Per record, the day of processing in Japan."""
    return day_in_japan(records.column("header.processed_at"))


def day_in_japan(at: Column) -> Column:
    """The day on which a moment falls in Japan, which has no summer time."""
    micros = pc.add(pc.cast(at, pa.int64()), round(_JAPAN_AHEAD.total_seconds() * 1_000_000))
    return pc.cast(pc.cast(micros, pa.timestamp("us")), pa.date32(), safe=False)


def year(days: Column) -> Column:
    """The year of each day."""
    return pc.cast(pc.year(days), pa.int64())


def parents(lists: Column) -> Column:
    """The row of each entry of a column of lists."""
    return pc.cast(pc.list_parent_indices(lists), pa.int64())


def entries(records: Records, path: str, *names: str) -> tuple[Column, ...]:
    """The row of each entry of the list at *path*, and those items of each as columns."""
    lists = records.column(path)
    inside = pc.list_flatten(lists)
    return (parents(lists), *(pc.struct_field(inside, name) for name in names))


def any_entry(records: Records, path: str, mask: Mask) -> Mask:
    """The rows that have an entry, in the list at *path*, where *mask* is true."""
    lists = records.column(path)
    rows = pc.filter(parents(lists), pc.fill_null(mask, False))
    return pc.is_in(pa.array(range(len(lists)), pa.int64()), value_set=rows)


def again(rows: Column, *columns: Column) -> Mask:
    """Where an entry repeats an earlier entry of the same row."""
    names = (pc.cast(column, pa.string()) for column in (rows, *columns))
    joined = pc.binary_join_element_wise(*names, "/", null_handling="replace")
    if pc.count_distinct(joined).as_py() == len(joined):  # then no two say the same
        return pa.array([False] * len(joined), pa.bool_())
    entries = zip(*(column.to_pylist() for column in (rows, *columns)), strict=True)
    seen: set[tuple[object, ...]] = set()
    repeated = []
    for entry in entries:
        repeated.append(entry in seen)
        seen.add(entry)
    return pa.array(repeated, pa.bool_())
