"""On which records coverage rests that a process finds when it begins to look.

A store that was told of coverage before may hold rows that were masked since then, by whoever had
read more. Were the same persons covered all the time in between? They were, in whatever order
somebody read, if everything that covers them now was said before the store was told: nobody took it
back, or it would not be the newest word. So it is enough to know how far the newest records go that
cover somebody now.

Pure. Kept only while a process reads the logs for the first time: twelve bytes a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bus.model import Reached
from bus.policy.closure import Closure


@dataclass(frozen=True, slots=True)
class _Piece:
    """The records of one log that were read together: whose they are, and where they lie."""

    log: str
    are_homes: bool
    numbers: pa.Int64Array
    first: int
    places: pa.Int32Array  # behind the first


class Grounds:
    """How far the records go that what *closure* says rests on, by log."""

    def __init__(self, closure: Closure) -> None:
        self._closure = closure
        self._words: dict[str, tuple[str, int]] = {}  # of protections, by subject
        self._pieces: list[_Piece] = []

    def protection(self, log: str, subject: str, offset: int) -> None:
        """Note where the newest record of *subject*'s protection lies."""
        self._words[subject] = log, offset

    def households(self, log: str, records: pa.RecordBatch, offsets: Sequence[int]) -> None:
        """Note where each of *records* lies; column: header."""
        self._note(log, records, offsets, are_homes=True)

    def nonresidents(self, log: str, records: pa.RecordBatch, offsets: Sequence[int]) -> None:
        """Note where each of *records* lies; column: header."""
        self._note(log, records, offsets, are_homes=False)

    def _note(
        self, log: str, records: pa.RecordBatch, offsets: Sequence[int], *, are_homes: bool
    ) -> None:
        if offsets:
            first = offsets[0]
            places = pa.array([offset - first for offset in offsets], pa.int32())
            numbers = self._closure.numbers_of(records)
            self._pieces.append(_Piece(log, are_homes, numbers, first, places))

    def reach(self, reached: Mapping[str, int]) -> Reached:
        """By log the offset after the last record on which rests who is covered now.

        All that was *reached*, if somebody is covered because of a move: that rests on records
        that hold no longer. A log on which nobody's coverage rests is left out.
        """
        if self._closure.rests_on_moves:
            return dict(reached)
        ends: dict[str, int] = {}
        for subject, (log, offset) in self._words.items():
            if self._closure.protects(subject):
                ends[log] = max(ends.get(log, 0), offset + 1)
        for piece in self._pieces:
            covered = self._closure.covered_among(piece.numbers, are_homes=piece.are_homes)
            last = pc.max(piece.places.filter(covered)).as_py()
            if last is not None:
                ends[piece.log] = max(ends.get(piece.log, 0), piece.first + last + 1)
        return ends
