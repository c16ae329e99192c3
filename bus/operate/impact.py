"""Count on the real log how many subjects a change of views would touch.

The topic is read whole, once for all systems. Of each subject what counts is the state that a
store has in the end: its newest event that the view shows, gone when it was erased or no longer
fits the conditions. Two views of it are held against each other: a row that only one of them has,
and items that have a value in only one, or in either where they are masked in different ways.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import cast

import pyarrow as pa

from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.deliver.process import ProcessContext
from bus.errors import SchemaMismatch
from bus.log.partition import opened
from bus.log.run import Run, split_erasures
from bus.model import Stream, View
from bus.policy import project

Progress = Callable[[int, int], None]
Bits = int
"""One for each compared column that has a value."""


@dataclass(frozen=True, slots=True)
class ItemImpact:
    """How many subjects gain a value in one column, and how many lose theirs."""

    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class Impact:
    """How many subjects a change of views touches, for one system and stream."""

    rows: int  # that the system has now
    rows_gained: int
    rows_lost: int
    columns: Mapping[str, ItemImpact]  # compared columns of which any subject is touched
    subjects: int  # touched in any of these ways


class ViewComparison:
    """One system's view of a stream as it is and as it would be; None where it has none."""

    def __init__(self, before: View | None, after: View | None) -> None:
        self._sides = [_Side(before), _Side(after)]
        self._columns = _compared(before, after)
        self._otherwise = 0
        for index, name in enumerate(self._columns):
            shown = [None if view is None else _shown(view, name) for view in (before, after)]
            if None not in shown and shown[0] != shown[1]:
                self._otherwise |= 1 << index

    def take(
        self, run: Run, records: pa.RecordBatch, protected: pa.BooleanArray, partition: int
    ) -> None:
        """Count events, none of which is an erasure."""
        for side in self._sides:
            side.take(run, records, protected, partition, self._columns)

    def erase(self, key: bytes) -> None:
        """Count that a subject was erased."""
        for side in self._sides:
            side.states.pop(key, None)

    @property
    def touched(self) -> Impact:
        """The counts so far."""
        before, after = (side.states for side in self._sides)
        gained: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        subjects = 0
        for key in before.keys() | after.keys():
            old, new = before.get(key, 0), after.get(key, 0)
            gains = new & (~old | self._otherwise)
            loses = old & (~new | self._otherwise)
            gained.update(self._named(gains))
            lost.update(self._named(loses))
            subjects += bool(gains or loses or (key in before) != (key in after))
        return Impact(
            rows=len(before),
            rows_gained=len(after.keys() - before.keys()),
            rows_lost=len(before.keys() - after.keys()),
            columns={
                name: ItemImpact(gained[name], lost[name])
                for name in self._columns
                if gained[name] or lost[name]
            },
            subjects=subjects,
        )

    def _named(self, bits: Bits) -> Iterator[str]:
        return (name for index, name in enumerate(self._columns) if bits >> index & 1)


class _Side:
    """What a store would hold under one view: of each subject, which items have a value."""

    def __init__(self, view: View | None) -> None:
        self._view = view
        self.states: dict[bytes, Bits] = {}

    def take(
        self,
        run: Run,
        records: pa.RecordBatch,
        protected: pa.BooleanArray,
        partition: int,
        columns: Sequence[str],
    ) -> None:
        if self._view is None:
            return
        seen = project(
            self._view,
            records,
            protected=protected,
            partition=partition,
            offsets=pa.array(run.offsets, pa.int64()),
        )
        bits = [0] * seen.records.num_rows
        for index, name in enumerate(columns):
            if seen.records.schema.get_field_index(name) >= 0:
                flag = 1 << index
                for row, has_value in enumerate(seen.records.column(name).is_valid().to_pylist()):
                    bits[row] |= flag if has_value else 0
        said: dict[int, Bits | None] = dict(
            zip(cast("list[int]", seen.kept.to_pylist()), bits, strict=True)
        )
        if seen.outside is not None:
            said |= dict.fromkeys(cast("list[int]", seen.outside.to_pylist()))
        for index in sorted(said):
            key, state = run.keys[index] or b"", said[index]
            if state is None:
                self.states.pop(key, None)
            else:
                self.states[key] = state


def _compared(before: View | None, after: View | None) -> list[str]:
    """Names of the columns in which the two views can differ."""
    sides = [view for view in (before, after) if view is not None]
    names = list(dict.fromkeys(c.name for view in sides for c in view.columns if c.path))
    if len(sides) < 2:
        return names
    one, other = sides
    is_suppressed_otherwise = one.suppression is not other.suppression
    return [
        name
        for name in names
        if _shown(one, name) != _shown(other, name)
        or (is_suppressed_otherwise and name in one.locations)
    ]


def _shown(view: View, name: str) -> str | None:
    """How *view* shows a column; None if it does not have it."""
    return next((f"{c.type} {c.mask}" for c in view.columns if c.name == name), None)


async def count(
    stream: Stream,
    reader: BatchReader,
    comparisons: Sequence[ViewComparison],
    process: ProcessContext,
    progress: Progress = lambda *_: None,
) -> int:
    """Feed all that *stream* holds now to *comparisons*; how many events could not be read.

    Args:
        progress: Told how many offsets of how many were read.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    await process.fence.catch_up()
    topic = stream.topic
    partitions = (await process.cluster.broker.partitions([topic])).get(topic, 0)
    places = [(topic, partition) for partition in range(partitions)]
    unreadable = 0
    async with opened(process.cluster.broker, "renkei-simulate") as log:
        bounds = {place: await log.bounds(place) for place in places}
        total, before = sum(end - begin for begin, end in bounds.values()), 0
        for place, (begin, end) in bounds.items():
            async for run in log.runs(place, begin, end):
                unreadable += await _take(run, place[1], stream, reader, comparisons, process)
                progress(before + run.end - begin, total)
            before += end - begin
    return unreadable


async def _take(
    run: Run,
    partition: int,
    stream: Stream,
    reader: BatchReader,
    comparisons: Sequence[ViewComparison],
    process: ProcessContext,
) -> int:
    unreadable = 0
    for is_erasure, part in split_erasures(run):
        if is_erasure:
            for key, comparison in product(part.keys, comparisons):
                comparison.erase(key or b"")
            continue
        values = cast("Sequence[bytes]", part.values)
        readable = await read_what_can_be(reader, values, refuse=(SchemaMismatch,))
        unreadable += len(readable.refused)
        if readable.records is None:
            continue
        good, records = part.picked(readable.good), readable.records
        protected = process.fence.protected(records, stream.located)
        for comparison in comparisons:
            await asyncio.to_thread(partial(comparison.take, good, records, protected, partition))
    return unreadable
