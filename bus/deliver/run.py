"""A run: consecutive events of one lane, before and after they became rows of a view.

Pure values. On the good path nothing here loops over events in Python beyond one comprehension
over keys, and not even that where nothing of the lane is set aside.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from bus.broker import Fetched
from bus.model import Reached

_KEY = re.compile(r"[0-9]{6}/\S{1,64}")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive events of one partition, ascending by offset; parallel lists."""

    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def end(self) -> int:
        """Where this run ends: the offset after its last event."""
        return self.offsets[-1] + 1

    def part(self, first: int, last: int) -> Run:
        """The events from index *first* up to, and without, *last*."""
        return Run(self.offsets[first:last], self.keys[first:last], self.values[first:last])

    def picked(self, indices: Sequence[int]) -> Run:
        """The events at *indices*, ascending."""
        return Run(
            [self.offsets[index] for index in indices],
            [self.keys[index] for index in indices],
            [self.values[index] for index in indices],
        )

    def from_offset(self, offset: int) -> Run:
        """What of this run lies at *offset* or later."""
        if not self.offsets or self.offsets[0] >= offset:
            return self
        return self.part(sum(held < offset for held in self.offsets), len(self))


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a view and, parallel to them, the events that they came from."""

    records: pa.RecordBatch
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes]
    masked_under: Reached | None = None
    """Where the view is fenced: how far the mask knows the logs that coverage rests on."""

    def __len__(self) -> int:
        return len(self.offsets)

    def part(self, first: int, last: int) -> Rows:
        """The rows from index *first* up to, and without, *last*."""
        return Rows(
            self.records.slice(first, last - first),
            self.offsets[first:last],
            self.keys[first:last],
            self.values[first:last],
            self.masked_under,
        )

    def halves(self) -> list[Rows]:
        """The later half, then the earlier: as a stack takes them, to come back in log order."""
        middle = len(self) // 2
        return [self.part(middle, len(self)), self.part(0, middle)]

    def without(self, dropped: Sequence[bool]) -> Rows:
        """The rows that *dropped* does not name."""
        return self.picked([index for index, is_dropped in enumerate(dropped) if not is_dropped])

    def picked(self, indices: Sequence[int]) -> Rows:
        """The rows at *indices*, ascending."""
        return Rows(
            self.records.take(pa.array(indices, pa.int64())),
            [self.offsets[index] for index in indices],
            [self.keys[index] for index in indices],
            [self.values[index] for index in indices],
            self.masked_under,
        )


def joined(pieces: Sequence[Fetched]) -> Run:
    """What was fetched of one partition, one piece after the other, as one run."""
    if len(pieces) == 1:
        return Run(pieces[0].offsets, pieces[0].keys, pieces[0].values)
    return Run(
        [offset for piece in pieces for offset in piece.offsets],
        [key for piece in pieces for key in piece.keys],
        [value for piece in pieces for value in piece.values],
    )


def split_erasures(run: Run) -> Iterator[tuple[bool, Run]]:
    """*run* in log order as runs of events (False) and runs of erasures (True)."""
    if None not in run.values:
        yield False, run
        return
    first = 0
    for index in range(1, len(run) + 1):
        is_erasure = run.values[first] is None
        if index == len(run) or (run.values[index] is None) != is_erasure:
            yield is_erasure, run.part(first, index)
            first = index


def ranges(offsets: Sequence[int]) -> str:
    """:func:`bus.model.multirange` of ascending, distinct offsets, without a step for each."""
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


def subject_of(key: bytes | None) -> str:
    """Whom an event is about, as its key says: the key, or a digest of it if it is no such."""
    text = (key or b"").decode("utf-8", "replace")
    if _KEY.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(key or b"").hexdigest()[:32]


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
