"""Decode a batch of which some events may be unreadable: find them by halving, keep the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from bus.errors import BusError, Reaction


class Reads(Protocol):
    """What :class:`bus.catalog.wire.Reader` does."""

    async def read(self, values: Sequence[bytes]) -> pa.RecordBatch: ...


@dataclass(frozen=True, slots=True)
class Readable:
    """What could be decoded, and what could not and why."""

    records: pa.RecordBatch | None  # one row per index of ``good``; None if there is none
    good: Sequence[int]
    refused: Sequence[tuple[int, BusError]]


async def read_what_can_be(
    reader: Reads, values: Sequence[bytes], *, refuse: tuple[type[BusError], ...] = ()
) -> Readable:
    """Decode *values*; those that break their contract are told apart from the rest.

    Args:
        reader: Reads them, or fails as a whole.
        values: Framed values, no erasures.
        refuse: Errors that count as an event's own, though elsewhere they stop.

    Raises:
        BusError: Anything whose reaction is not to park; nothing is known then. If it stops,
            ``where["index"]`` is the first of *values* that it concerns.
    """
    if not values:
        return Readable(None, [], [])
    batches: list[pa.RecordBatch] = []
    good: list[int] = []
    refused: list[tuple[int, BusError]] = []
    spans = [(0, len(values))]
    while spans:
        first, last = spans.pop()
        try:
            batches.append(await reader.read(values[first:last]))
        except BusError as error:
            if error.reaction is Reaction.RETRY:
                raise
            if last - first == 1:
                if error.reaction is not Reaction.PARK and not isinstance(error, refuse):
                    error.where["index"] = first
                    raise
                refused.append((first, error))
                continue
            middle = (first + last) // 2
            spans += [(middle, last), (first, middle)]
        else:
            good.extend(range(first, last))
    if len(batches) > 1:
        table = pa.Table.from_batches(batches).combine_chunks()
        return Readable(table.to_batches()[0], good, refused)
    return Readable(batches[0] if batches else None, good, refused)
