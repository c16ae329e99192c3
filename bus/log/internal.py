"""The bus's own streams: append rows, and read them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import structlog

from bus.broker import Broker, Fetched, Message, Producer
from bus.broker.partitioner import partition_of
from bus.catalog import columns
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.catalog.registry import SchemaIds
from bus.catalog.wire import frame
from bus.errors import BusError, ConfigurationError, SchemaMismatch
from bus.model import Stream

_log = structlog.get_logger("renkei.deliver")


class InternalTopic:
    """Encodes rows of an internal stream and appends them, acknowledged by all replicas."""

    def __init__(
        self, broker: Broker, producer: Producer, registry: SchemaIds, stream: Stream
    ) -> None:
        self._broker = broker
        self._producer = producer
        self._registry = registry
        self._stream = stream
        self._schema = columns.arrow_schema(stream.latest)
        self._partitions = 0

    async def append(
        self, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[tuple[int, int]]:
        """Append *rows* under *keys*; partition and offset of each, once all are acknowledged.

        Raises:
            ConfigurationError: The topic does not exist.
            Unavailable: Broker or registry does not answer; some may have been appended.
        """
        if not rows:
            return []
        partitions = await self._partitions_of(keys)
        schema_id = await self._registry.id_of(self._stream.latest)
        batch = pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=self._schema)
        values = frame(schema_id, columns.encode(self._stream.latest, batch))
        offsets = await self._producer.send(
            [
                Message(self._stream.topic, partition, key.encode(), value)
                for partition, key, value in zip(partitions, keys, values, strict=True)
            ]
        )
        return list(zip(partitions, offsets, strict=True))

    async def _partitions_of(self, keys: Sequence[str]) -> Sequence[int]:
        if not self._partitions:
            topic = self._stream.topic
            self._partitions = (await self._broker.partitions([topic])).get(topic, 0)
            if not self._partitions:
                raise ConfigurationError(
                    "the topic does not exist; make it with: renkei topics apply", topic=topic
                )
        return partition_of([key.encode() for key in keys], self._partitions)


@dataclass(frozen=True, slots=True)
class DecodedPiece:
    """A fetched piece, decoded; and where in it that lies which holds no record."""

    records: pa.RecordBatch | None  # one row per offset of ``offsets``; None if there is none
    offsets: Sequence[int]
    unreadable: Mapping[int, BusError]  # by offset
    nulls: Sequence[int]  # offsets of null values

    @property
    def no_records(self) -> list[int]:
        """Where there is no record that can be read, ascending."""
        return sorted([*self.unreadable, *self.nulls])

    def rows(self) -> list[tuple[int, dict[str, Any]]]:
        """(offset, row) of each record, oldest first."""
        rows = [] if self.records is None else self.records.to_pylist()
        return list(zip(self.offsets, rows, strict=True))


async def decoded(reader: BatchReader, fetched: Fetched) -> DecodedPiece:
    """The records in *fetched*; for readers to whom it matters what is none.

    Raises:
        Unavailable: The registry does not answer.
    """
    offsets, values = list[int](), list[bytes]()
    nulls = list[int]()
    for offset, value in zip(fetched.offsets, fetched.values, strict=True):
        if value is None:
            nulls.append(offset)
        else:
            offsets.append(offset)
            values.append(value)
    readable = await read_what_can_be(reader, values, refuse=(SchemaMismatch,))
    return DecodedPiece(
        readable.records,
        [offsets[index] for index in readable.good],
        {offsets[index]: error for index, error in readable.refused},
        nulls,
    )


async def rows_of(reader: BatchReader, fetched: Fetched) -> list[tuple[int, dict[str, Any]]]:
    """(offset, row) of each record, oldest first; records that cannot be read are left out.

    Raises:
        Unavailable: The registry does not answer.
    """
    piece = await decoded(reader, fetched)
    for offset, error in piece.unreadable.items():
        _log.warning(
            "record-unreadable",
            code=error.code,
            topic=fetched.topic,
            partition=fetched.partition,
            offset=offset,
        )
    return piece.rows()
