"""A cluster in this process, for fast tests, with every promise of the port kept.

Passes the same suite as the real one (``bus.conformance.broker_suite``). Everything lives in one
event loop and dies with the object. What a test may want on top is here too, and nowhere in
the port: :meth:`MemoryBroker.compact`, :meth:`MemoryBroker.truncate` and ``is_away``.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bus.broker.port import (
    ENVELOPE_BYTES,
    Fetched,
    PartitionBatch,
    Producer,
    TopicPartition,
    TopicSpec,
    refuse_too_large,
)
from bus.errors import BrokerUnavailable, ConfigurationError, PositionForeign


@dataclass(slots=True)
class _Log:
    """One partition: parallel lists, ascending by offset, with holes after compaction."""

    begin: int = 0
    end: int = 0
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)

    def append(self, key: bytes, value: bytes | None) -> int:
        self.offsets.append(self.end)
        self.keys.append(key)
        self.values.append(value)
        self.timestamps_ms.append(time.time_ns() // 1_000_000)
        self.end += 1
        return self.end - 1

    def keep(self, kept: Sequence[int]) -> None:
        self.offsets = [self.offsets[index] for index in kept]
        self.keys = [self.keys[index] for index in kept]
        self.values = [self.values[index] for index in kept]
        self.timestamps_ms = [self.timestamps_ms[index] for index in kept]


@dataclass(slots=True)
class _Topic:
    spec: TopicSpec
    config: dict[str, str]
    logs: list[_Log]


class MemoryBroker:
    """Topics, groups and their members, all in memory.

    ``is_away``: while true, everything that would need the cluster raises
    :class:`~bus.errors.BrokerUnavailable`, as a broker that does not answer would.
    """

    def __init__(self, cluster_id: str = "memory", *, max_message_bytes: int = 1_000_000) -> None:
        self.is_away = False
        self._cluster_id = cluster_id
        self._max_message_bytes = max_message_bytes
        self._topics: dict[str, _Topic] = {}
        self._groups: dict[str, _Group] = {}
        self._news = asyncio.Event()

    async def start(self) -> None:
        self._answer()

    async def close(self) -> None:
        """Do nothing; topics stay readable for the test that asks."""

    async def cluster_id(self) -> str:
        self._answer()
        return self._cluster_id

    async def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        self._answer()
        return {name: len(self._topics[name].logs) for name in topics if name in self._topics}

    async def topic_config(self, topic: str) -> Mapping[str, str]:
        return dict(self._topic(topic).config)

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        self._answer()
        for spec in specs:
            if spec.name not in self._topics:
                logs = [_Log() for _ in range(spec.partitions)]
                self._topics[spec.name] = _Topic(spec, dict(spec.config), logs)

    async def alter_topic_config(self, topic: str, config: Mapping[str, str]) -> None:
        self._topic(topic).config.update(config)

    async def committed(self, group: str) -> Mapping[TopicPartition, int]:
        self._answer()
        return dict(self._group(group).committed)

    async def members(self, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        self._answer()
        return {group: self._group(group).client_ids for group in groups}

    def consumer(self, group: str | None = None, *, client_id: str = "renkei") -> MemoryConsumer:
        return MemoryConsumer(self, self._group(group) if group else None, client_id)

    def producer(self, *, client_id: str = "renkei") -> MemoryProducer:
        return MemoryProducer(self, client_id)

    def compact(self, topic: str) -> None:
        """Keep only each key's newest record, erasures included, as Kafka's cleaner does."""
        for log in self._topic(topic).logs:
            newest = {key: index for index, key in enumerate(log.keys)}
            log.keep(sorted(newest.values()))

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Drop what is before an offset, as retention does."""
        log = self._topic(topic).logs[partition]
        log.begin = before
        first = bisect_left(log.offsets, before)
        log.keep(range(first, len(log.offsets)))

    def _answer(self) -> None:
        if self.is_away:
            raise BrokerUnavailable("the broker does not answer")

    def _topic(self, name: str) -> _Topic:
        self._answer()
        try:
            return self._topics[name]
        except KeyError:
            raise ConfigurationError(
                "the topic does not exist; make it with: renkei topics apply", topic=name
            ) from None

    def _log(self, place: TopicPartition) -> _Log:
        topic, partition = place
        return self._topic(topic).logs[partition]

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group(self))

    def _tell(self) -> None:
        """Wake every waiting fetch."""
        self._news.set()
        self._news = asyncio.Event()


class MemoryProducer(Producer):
    """Appends at once; acknowledged means appended."""

    def __init__(self, broker: MemoryBroker, client_id: str) -> None:
        self._broker = broker
        self._is_open = False
        self.client_id = client_id

    @property
    def most_bytes(self) -> int:
        return self._broker._max_message_bytes - ENVELOPE_BYTES

    async def start(self) -> None:
        self._broker._answer()
        self._is_open = True

    async def append(self, batches: Sequence[PartitionBatch]) -> Sequence[Sequence[int]]:
        if not self._is_open:
            raise BrokerUnavailable("this producer is closed")
        for batch in batches:
            refuse_too_large(batch, self.most_bytes)
            if batch.partition >= len(self._broker._topic(batch.topic).logs):
                raise ConfigurationError(
                    "the topic has no such partition",
                    topic=batch.topic,
                    partition=batch.partition,
                )
        await asyncio.sleep(0)
        offsets = [
            [
                self._broker._log((batch.topic, batch.partition)).append(key, value)
                for key, value in zip(batch.keys, batch.values, strict=True)
            ]
            for batch in batches
        ]
        self._broker._tell()
        return offsets

    async def close(self) -> None:
        """Do nothing: no send is ever under way."""
        self._is_open = False


class MemoryConsumer:
    """Reads a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, group: _Group | None, client_id: str) -> None:
        self.client_id = client_id
        self._broker = broker
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._owned: tuple[TopicPartition, ...] = ()  # announced to on_assigned
        self._coming: tuple[TopicPartition, ...] | None = None  # assigned, not yet announced
        self._failure: BaseException | None = None
        self._topics: tuple[str, ...] = ()
        self._on_assigned: Callable[[Sequence[TopicPartition]], Awaitable[None]]
        self._on_revoked: Callable[[Sequence[TopicPartition]], Awaitable[None]]
        self._turn = 0

    async def start(self) -> None:
        self._broker._answer()

    async def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Awaitable[None]],
        on_revoked: Callable[[Sequence[TopicPartition]], Awaitable[None]],
    ) -> None:
        if self._group is None:
            raise ConfigurationError("a consumer without a group cannot subscribe")
        for topic in topics:
            self._broker._topic(topic)
        self._topics = tuple(topics)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        await self._group.join(self)

    async def assign(self, places: Sequence[TopicPartition]) -> None:
        self._owned = tuple(places)
        self._paused.clear()
        self._positions = {place: self._broker._log(place).begin for place in places}

    async def fetch(
        self, max_records: int, timeout: timedelta, places: Collection[TopicPartition] | None = None
    ) -> Sequence[Fetched]:
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        while True:
            await self._settle()
            news = self._broker._news
            found = self._read(max_records, places)
            left = deadline - asyncio.get_running_loop().time()
            if found or left <= 0:
                await asyncio.sleep(0)
                return found
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                continue

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    async def position(self, place: TopicPartition) -> int:
        self._broker._answer()
        return self._positions[place]

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)
        self._broker._tell()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._broker._answer()
        if self._group is None:
            raise ConfigurationError("a consumer without a group cannot commit")
        self._group.committed.update({p: o for p, o in offsets.items() if p in self._owned})

    async def end_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {place: self._broker._log(place).end for place in places}

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        return {place: self._broker._log(place).begin for place in places}

    async def close(self) -> None:
        if self._group is not None:
            await self._group.leave(self)

    async def _settle(self) -> None:
        """Announce a new assignment; raise what a callback raised."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._coming is not None:
            coming = self._coming
            self._paused.clear()
            self._positions = {place: self._broker._log(place).begin for place in coming}
            await self._on_assigned(coming)
            if self._coming is coming:  # not taken back meanwhile
                self._owned, self._coming = coming, None

    async def _revoke(self) -> None:
        self._coming = None
        owned, self._owned = self._owned, ()
        if owned:
            task = asyncio.ensure_future(self._on_revoked(owned))
            await asyncio.wait({task})
            self._failure = task.exception()

    def _read(self, max_records: int, places: Collection[TopicPartition] | None) -> list[Fetched]:
        self._broker._answer()
        found: list[Fetched] = []
        self._turn += 1
        start = self._turn % len(self._owned) if self._owned else 0
        for place in (*self._owned[start:], *self._owned[:start]):
            if place in self._paused or max_records <= 0:
                continue
            if places is not None and place not in places:
                continue
            log, position = self._broker._log(place), self._positions[place]
            if not log.begin <= position <= log.end:
                raise PositionForeign.at(*place, position)
            first = bisect_left(log.offsets, position)
            last = min(first + max_records, len(log.offsets))
            is_all = last == len(log.offsets)  # a hole at the end is passed over too
            self._positions[place] = log.end if is_all else log.offsets[last - 1] + 1
            if last > first:
                max_records -= last - first
                found.append(
                    Fetched(
                        topic=place[0],
                        partition=place[1],
                        offsets=log.offsets[first:last],
                        keys=list(log.keys[first:last]),
                        values=log.values[first:last],
                        timestamps_ms=log.timestamps_ms[first:last],
                    )
                )
        return found


class _Group:
    """Members and their partitions: all are taken back and dealt anew at each change."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self._broker = broker
        self._members: list[MemoryConsumer] = []
        self._changing = asyncio.Lock()

    @property
    def client_ids(self) -> list[str]:
        """The client ids of the members."""
        return [member.client_id for member in self._members]

    async def join(self, member: MemoryConsumer) -> None:
        """Add a member, once the others have begun to give up their partitions."""
        await asyncio.shield(asyncio.ensure_future(self._join(member)))

    async def _join(self, member: MemoryConsumer) -> None:
        async with self._changing:
            if member not in self._members:
                self._members.append(member)
            await self._deal()

    async def leave(self, member: MemoryConsumer) -> None:
        """Remove a member; its partitions are dealt to the others, even if it does not wait."""
        await asyncio.shield(asyncio.ensure_future(self._leave(member)))

    async def _leave(self, member: MemoryConsumer) -> None:
        async with self._changing:
            if member in self._members:
                self._members.remove(member)
                member._owned, member._coming = (), None
                await self._deal()

    async def _deal(self) -> None:
        for member in self._members:
            await member._revoke()
        dealt: dict[int, list[TopicPartition]] = {id(member): [] for member in self._members}
        for turn, place in enumerate(self._places()):
            takers = [member for member in self._members if place[0] in member._topics]
            dealt[id(takers[turn % len(takers)])].append(place)
        for member in self._members:
            member._coming = tuple(dealt[id(member)])
        self._broker._tell()

    def _places(self) -> list[TopicPartition]:
        topics = sorted({topic for member in self._members for topic in member._topics})
        return [(topic, p) for topic in topics for p in range(len(self._broker._topic(topic).logs))]
