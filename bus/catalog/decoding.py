"""Decode a batch in which some events may be unreadable: find those by halving, keep the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from bus.errors import BusError, Reaction
from bus.halving import spans


class BatchReader(Protocol):
    """The part of :class:`bus.catalog.wire.Reader` that decoding a batch needs."""

    async def read(self, values: Sequence[bytes]) -> pa.RecordBatch: ...


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """The rows that could be decoded, and the events that could not, each with its error."""

    records: pa.RecordBatch | None  # one row per index of ``good``; None if there is none
    good: Sequence[int]
    refused: Sequence[tuple[int, BusError]]
    stop: tuple[int, BusError] | None = None
    """The first that is not to be passed over, and why; then nothing else is known."""


async def read_what_can_be(
    reader: BatchReader, values: Sequence[bytes], *, refuse: tuple[type[BusError], ...] = ()
) -> DecodedBatch:
    """Decode *values*; those that break their contract are told apart from the rest.

    Args:
        reader: Reads them, or fails as a whole.
        values: Framed values, no erasures.
        refuse: Errors that count as an event's own, though elsewhere they stop.

    Raises:
        BusError: Anything whose reaction is not to park; nothing is known then.
    """
    readable = await read_to_the_stop(reader, values, refuse=refuse)
    if readable.stop is not None:
        raise readable.stop[1]
    return readable


async def read_to_the_stop(
    reader: BatchReader, values: Sequence[bytes], *, refuse: tuple[type[BusError], ...] = ()
) -> DecodedBatch:
    """As :func:`read_what_can_be`; an event on which somebody must look is a value, too.

    What is decoded in one piece is handed on as it is. Only where an event in the middle could not
    be read are the pieces around it copied into one, because a view is made of one batch.

    Raises:
        BusError: Something outside does not answer.
    """
    if not values:
        return DecodedBatch(None, [], [])
    batches: list[pa.RecordBatch] = []
    good: list[int] = []
    refused: list[tuple[int, BusError]] = []
    halves = spans(values)
    for span in halves:
        try:
            batches.append(await reader.read(values[span.start : span.stop]))
        except BusError as error:
            if error.reaction is Reaction.RETRY:
                raise
            if halves.halve(span):
                continue
            if error.reaction is not Reaction.PARK and not isinstance(error, refuse):
                return DecodedBatch(None, [], [], (span.start, error))
            refused.append((span.start, error))
        else:
            good.extend(span)
    if len(batches) > 1:
        table = pa.Table.from_batches(batches).combine_chunks()
        return DecodedBatch(table.to_batches()[0], good, refused)
    return DecodedBatch(batches[0] if batches else None, good, refused)
