"""Erase a subject (消去): append null values under its keys, and a record of the erasure.

The fact goes first, as BEGUN, so that an erasure that was cut off is known and can be finished;
once every null value is acknowledged it is ERASED, with their places. It is kept in the compacted
stream *erasure* without the subject's number: under a digest that only the key's holder can make.
Lanes take the rows out of their stores when they come to the null values, like any other event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bus.broker import Broker, Fetched, Message, Producer
from bus.broker.partitioner import partition_of
from bus.catalog.decoding import BatchReader
from bus.clock import Clock
from bus.connect.source import Guard
from bus.errors import ConfigurationError
from bus.log.internal import InternalTopic, rows_of
from bus.log.tail import Follower
from bus.model import Stream
from bus.model.erasure import Erasure, ErasureState


class Erasures(Follower):
    """The newest record of every erasure in the stream; makes new ones."""

    def __init__(
        self,
        broker: Broker,
        producer: Producer,
        topic: InternalTopic,
        stream: Stream,
        reader: BatchReader,
        clock: Clock,
    ) -> None:
        super().__init__(broker, stream)
        self._broker = broker
        self._producer = producer
        self._topic = topic
        self._reader = reader
        self._clock = clock
        self._known: dict[str, Erasure] = {}

    def of(self, subject_digest: str) -> Erasure | None:
        """The newest record of a subject's erasure."""
        return self._known.get(subject_digest)

    async def erase(
        self, begun: Erasure, keys: Sequence[tuple[Stream, str]], guard: Guard
    ) -> Erasure:
        """Append a null value under each of *keys*; the erasure with their places.

        Args:
            begun: The erasure as it is to be recorded, without places.
            keys: Streams and the Kafka keys in them, in the order in which they are appended.
            guard: Asked immediately before each append.

        Raises:
            LeaseLost, IntakeDiffers: As *guard* says; erasing again finishes it.
            ConfigurationError: A topic does not exist.
            Unavailable: Broker or registry does not answer; erasing again finishes it.
        """
        topics = {stream.topic for stream, _ in keys}
        counts = await self._broker.partitions(sorted(topics))
        if missing := topics - counts.keys():
            raise ConfigurationError(
                "a topic does not exist; make it with: renkei topics apply",
                topics=", ".join(sorted(missing)),
            )
        guard()
        await self._record(replace(begun, state=ErasureState.BEGUN))
        messages = [
            Message(stream.topic, partition, key.encode(), None)
            for stream, key in keys
            for partition in partition_of([key.encode()], counts[stream.topic])
        ]
        guard()
        offsets = await self._producer.send(messages)
        erased = replace(
            begun,
            state=ErasureState.ERASED,
            streams=tuple(stream.name for stream, _ in keys),
            partitions=tuple(message.partition for message in messages),
            offsets=tuple(offsets),
            at=self._clock.now(),
        )
        guard()
        await self._record(erased)
        return erased

    async def _record(self, erasure: Erasure) -> None:
        await self._topic.append([erasure.subject_digest], [_row(erasure)])
        self._known[erasure.subject_digest] = erasure

    async def _take(self, fetched: Fetched) -> None:
        for _, row in await rows_of(self._reader, fetched):
            erasure = _erasure(row)
            self._known[erasure.subject_digest] = erasure


def _row(erasure: Erasure) -> dict[str, Any]:
    return {
        "subject_digest": erasure.subject_digest,
        "municipality_code": erasure.municipality_code,
        "state": erasure.state.value,
        "streams": list(erasure.streams),
        "partitions": [str(partition) for partition in erasure.partitions],
        "offsets": [str(offset) for offset in erasure.offsets],
        "at": erasure.at,
        "operator": erasure.operator,
        "reason": erasure.reason,
    }


def _erasure(row: Mapping[str, Any]) -> Erasure:
    return Erasure(
        subject_digest=row["subject_digest"],
        municipality_code=row["municipality_code"],
        state=ErasureState(row["state"]),
        streams=tuple(row["streams"]),
        partitions=tuple(int(partition) for partition in row["partitions"]),
        offsets=tuple(int(offset) for offset in row["offsets"]),
        at=row["at"],
        operator=row["operator"],
        reason=row["reason"],
    )
