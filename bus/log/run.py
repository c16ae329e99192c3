"""A run: consecutive events of one partition, as they are in the log.

Pure values. On the good path nothing here loops over events in Python beyond one comprehension
over keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bus.broker import Fetched
from bus.model.subject import shown


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
        """The offset after its last event."""
        return self.offsets[-1] + 1

    def part(self, first: int, last: int) -> Run:
        """The events from index *first* up to, and without, *last*: a step of their own, in lists
        of their own; their bytes are not copied."""
        return Run(self.offsets[first:last], self.keys[first:last], self.values[first:last])

    def picked(self, indices: Sequence[int]) -> Run:
        """The events at *indices*, ascending, where others between them go another way."""
        return Run(
            [self.offsets[index] for index in indices],
            [self.keys[index] for index in indices],
            [self.values[index] for index in indices],
        )

    def from_offset(self, offset: int) -> Run:
        """The part of this run at *offset* or later."""
        if not self.offsets or self.offsets[0] >= offset:
            return self
        return self.part(sum(held < offset for held in self.offsets), len(self))


def joined(pieces: Sequence[Fetched]) -> Run:
    """Fetched pieces of one partition, one after the other, as one run.

    One piece alone keeps its lists. Several are joined into new ones, because a store is given in
    one step what waited for it; the bytes of the events are not copied.
    """
    if len(pieces) == 1:
        return Run(pieces[0].offsets, pieces[0].keys, pieces[0].values)
    return Run(
        [offset for piece in pieces for offset in piece.offsets],
        [key for piece in pieces for key in piece.keys],
        [value for piece in pieces for value in piece.values],
    )


def split_erasures(run: Run) -> Iterator[tuple[bool, Run]]:
    """*run* in order, as runs of events (False) and runs of erasures (True)."""
    if None not in run.values:
        yield False, run
        return
    first = 0
    for index in range(1, len(run) + 1):
        is_erasure = run.values[first] is None
        if index == len(run) or (run.values[index] is None) != is_erasure:
            yield is_erasure, run.part(first, index)
            first = index


def subject_of(key: bytes | None) -> str:
    """The subject of an event by its key; a digest of the key if that is no subject's."""
    return shown(key or b"")
