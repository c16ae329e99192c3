"""Rows of a view, with the events they were made of.

Pure values. On the good path nothing here loops over events in Python, and not even over keys
where nothing of the lane is set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from bus.model import Reached


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a view and, in parallel lists, the events they were made of."""

    records: pa.RecordBatch
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes]
    masked_under: Reached | None = None
    """Where the view is fenced: how far the mask knows the logs that coverage rests on."""

    def __len__(self) -> int:
        return len(self.offsets)

    def part(self, first: int, last: int) -> Rows:
        """The rows from index *first* up to, and without, *last*; the columns are not copied."""
        return Rows(
            self.records.slice(first, last - first),
            self.offsets[first:last],
            self.keys[first:last],
            self.values[first:last],
            self.masked_under,
        )

    def without(self, dropped: Sequence[bool]) -> Rows:
        """The rows that are not in *dropped*."""
        return self.picked([index for index, is_dropped in enumerate(dropped) if not is_dropped])

    def picked(self, indices: Sequence[int]) -> Rows:
        """The rows at *indices*, ascending: columns copied, because a store takes whole batches,
        and only where rows between them are left out."""
        return Rows(
            self.records.take(pa.array(indices, pa.int64())),
            [self.offsets[index] for index in indices],
            [self.keys[index] for index in indices],
            [self.values[index] for index in indices],
            self.masked_under,
        )


def ranges(offsets: Sequence[int]) -> str:
    """:func:`bus.model.multirange` of ascending, distinct offsets, computed without a loop."""
    if not offsets:
        return "{}"
    if offsets[-1] - offsets[0] == len(offsets) - 1:
        return f"{{[{offsets[0]},{offsets[-1] + 1})}}"
    column = pa.array(offsets, pa.int64())
    jumps = pc.not_equal(pc.subtract(column[1:], column[:-1]), pa.scalar(1, pa.int64()))
    last_of_range = [*cast("list[int]", pc.indices_nonzero(jumps).to_pylist()), len(offsets) - 1]
    first_of_range = [0, *(index + 1 for index in last_of_range[:-1])]
    return (
        "{"
        + ",".join(
            f"[{offsets[first]},{offsets[last] + 1})"
            for first, last in zip(first_of_range, last_of_range, strict=True)
        )
        + "}"
    )


def event_id(records: pa.RecordBatch, row: int) -> str | None:
    """The event id of a row, decoded or of a view; None for streams of the bus itself."""
    flat = records.schema.get_field_index("event_id")
    header = records.schema.get_field_index("header")
    if flat >= 0:
        found = records.column(flat)[row].as_py()
    elif header >= 0:
        found = pc.struct_field(records.column(header), "event_id")[row].as_py()
    else:
        return None
    return str(found)
