"""Count the sealed values in a stream's topic by key, and whether they open: is a key still needed?

Everything in the log counts, also what a newer event has overtaken: as long as it is there, a
system that starts anew reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow as pa

from bus.broker import Broker, TopicPartition
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.errors import BusError, LaneError, SchemaMismatch
from bus.log.partition import Log, opened
from bus.log.run import split_erasures
from bus.model import Stream
from bus.sealing import KeyRing, Seals
from bus.sealing.seals import unseal_column
from bus.sealing.texts import key_id_of


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """The sealed values of one stream under one key."""

    stream: str
    key: str | None  # None: no sealed text at all
    values: int
    opened: int  # how many of them open
    code: str | None = None  # of the first that does not, and where it is
    partition: int | None = None
    offset: int | None = None


async def sealed_in(
    broker: Broker, stream: Stream, reader: BatchReader, seals: Seals
) -> list[KeyUsage]:
    """The sealed values in the topic of *stream*, counted by key; opened values are dropped.

    Raises:
        KeysUnusable, KeysUnavailable: There are no keys.
        Unavailable: Broker or registry does not answer.
    """
    ring = await seals.ring()
    tally = _Tally(stream, ring)
    partitions = (await broker.partitions([stream.topic])).get(stream.topic, 0)
    async with opened(broker, "renkei-keys") as log:
        for partition in range(partitions):
            await _read(log, (stream.topic, partition), reader, tally)
    return tally.found()


async def _read(log: Log, place: TopicPartition, reader: BatchReader, tally: _Tally) -> None:
    async for run in log.runs(place, *await log.bounds(place)):
        for is_erasure, part in split_erasures(run):
            if is_erasure:
                continue
            values = cast("Sequence[bytes]", part.values)
            readable = await read_what_can_be(reader, values, refuse=(SchemaMismatch,))
            if readable.records is not None:
                offsets = part.picked(readable.good).offsets
                tally.take(readable.records, place[1], offsets)


class _Tally:
    """Counts, by key."""

    def __init__(self, stream: Stream, ring: KeyRing) -> None:
        self._stream = stream
        self._ring = ring
        self._values: Counter[str | None] = Counter()
        self._opened: Counter[str | None] = Counter()
        self._first: dict[str | None, tuple[str, int, int]] = {}

    def take(self, records: pa.RecordBatch, partition: int, offsets: Sequence[int]) -> None:
        for path in self._stream.sealed:
            texts = records.column(path).to_pylist()
            for row, text in enumerate(texts):
                if text is None:
                    continue
                key = key_id_of(text)
                self._values[key] += 1
                error = self._fault(path, records.slice(row, 1))
                if error is None:
                    self._opened[key] += 1
                else:
                    self._first.setdefault(key, (error.code, partition, offsets[row]))

    def _fault(self, path: str, record: pa.RecordBatch) -> BusError | None:
        try:
            unseal_column(
                self._stream.name, path, record.column(path), record.column("header"), self._ring
            )
        except LaneError as error:
            return error
        return None

    def found(self) -> list[KeyUsage]:
        keys = sorted({*self._values, *self._ring.keys}, key=lambda key: key or "")
        return [
            KeyUsage(
                self._stream.name,
                key,
                self._values[key],
                self._opened[key],
                *self._first.get(key, ()),
            )
            for key in keys
        ]
