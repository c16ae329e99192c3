"""The port of the log: topics, producers and consumers in the shape the bus needs them.

``bus.broker.kafka`` is the real one, ``bus.broker.memory`` the one for fast tests; both pass
the suite in ``bus.conformance.broker_suite``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from bus.errors import EventTooLarge

TopicPartition = tuple[str, int]

ENVELOPE_BYTES = 82
"""What Kafka's batch and record headers add to one message, at most."""


def group_of(system: str) -> str:
    """The name of a receiving system's consumer group, as any Kafka tool shows it."""
    return f"renkei.{system}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """Consecutive records of one partition, ascending by offset; parallel lists.

    A value of None erases the key's subject. Offsets may have holes (compaction).
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    timestamps_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """Records to append to one partition, in this order; parallel lists.

    A value of None erases the key's subject.
    """

    topic: str
    partition: int
    keys: Sequence[bytes]
    values: Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Message:
    """One record to append."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None


class Consumer(Protocol):
    """Reads partitions, assigned by a group or by name."""

    async def start(self) -> None: ...

    async def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Awaitable[None]],
        on_revoked: Callable[[Sequence[TopicPartition]], Awaitable[None]],
    ) -> None:
        """Join the group; the callbacks run while the group settles, before further fetches.

        May be called again, with other topics and the same callbacks: all partitions are taken
        back, and dealt anew. Until then nothing is assigned.
        """

    async def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read exactly these partitions, without a group."""

    async def fetch(
        self, max_records: int, timeout: timedelta, places: Collection[TopicPartition] | None = None
    ) -> Sequence[Fetched]:
        """What is there, at most one entry per partition; empty after *timeout* of silence.

        With *places*, only from these; what was read ahead of the others is kept for later
        (:meth:`pause` throws it away).

        Raises:
            PositionForeign: One of the partitions does not hold the position that is set; the
                error's ``sought`` is it.
            BrokerUnavailable: The broker does not answer.
        """

    def seek(self, place: TopicPartition, offset: int) -> None: ...

    async def position(self, place: TopicPartition) -> int:
        """The offset after everything fetched or passed over; it equals the end offset once all
        is read, also where the log ends in a hole (compaction, a transaction's marker)."""

    def pause(self, *places: TopicPartition) -> None: ...

    def resume(self, *places: TopicPartition) -> None: ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets for lag tools; the bus never reads them back to resume."""

    async def end_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...

    async def close(self) -> None: ...


class Producer(Protocol):
    """Appends records, acknowledged by all in-sync replicas, in order per partition."""

    @property
    def most_bytes(self) -> int:
        """Of key and value of a record together."""

    async def start(self) -> None: ...

    async def append(self, batches: Sequence[PartitionBatch]) -> Sequence[Sequence[int]]:
        """Append all; the offsets of each batch, once every record is acknowledged.

        Raises:
            EventTooLarge: A record is above the limit, and nothing was appended; which it is
                :func:`first_too_large` says. Or the broker itself refused it, by a limit lower
                than ours, and others may have been appended.
            ConfigurationError: A topic or partition does not exist; nothing was appended.
            BrokerUnavailable: Not all were acknowledged in time; some may have been appended.
        """

    async def send(self, messages: Sequence[Message]) -> Sequence[int]:
        """:meth:`append` for a few records of any topics; the offset of each, in order.

        Raises what that raises.
        """
        indices: dict[TopicPartition, list[int]] = {}
        for index, message in enumerate(messages):
            indices.setdefault((message.topic, message.partition), []).append(index)
        batches = [
            PartitionBatch(
                *place, [messages[i].key for i in mine], [messages[i].value for i in mine]
            )
            for place, mine in indices.items()
        ]
        appended = await self.append(batches)
        found = [0] * len(messages)
        for mine, offsets in zip(indices.values(), appended, strict=True):
            for index, offset in zip(mine, offsets, strict=True):
                found[index] = offset
        return found

    async def close(self) -> None: ...


def first_too_large(keys: Sequence[bytes], values: Sequence[bytes | None], most: int) -> int | None:
    """The first record whose key and value have more than *most* bytes together, if there is one;
    by its place in these parallel lists."""
    if max(map(len, keys), default=0) + max(map(len, filter(None, values)), default=0) <= most:
        return None
    sizes = (len(key) + len(value or b"") for key, value in zip(keys, values, strict=True))
    return next((index for index, size in enumerate(sizes) if size > most), None)


def refuse_too_large(batch: PartitionBatch, most: int) -> None:
    """Raise if a record's key and value have more than *most* bytes together."""
    if first_too_large(batch.keys, batch.values, most) is not None:
        raise EventTooLarge(
            "an event is above the broker's limit", topic=batch.topic, partition=batch.partition
        )


class Broker(Protocol):
    """A cluster."""

    async def start(self) -> None: ...

    async def cluster_id(self) -> str: ...

    async def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        """How many partitions each existing topic has; topics that do not exist are absent."""

    async def topic_config(self, topic: str) -> Mapping[str, str]: ...

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None: ...

    async def alter_topic_config(self, topic: str, config: Mapping[str, str]) -> None: ...

    async def committed(self, group: str) -> Mapping[TopicPartition, int]:
        """A group's committed offsets."""

    async def members(self, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The client ids of those who are in each of these groups, as the cluster judges it: who
        dies is out of it when the session has run out by the cluster's own clock."""

    def consumer(self, group: str | None = None, *, client_id: str = "renkei") -> Consumer: ...

    def producer(self, *, client_id: str = "renkei") -> Producer: ...

    async def close(self) -> None: ...
