"""A broker on which one test has every topic to itself, whatever streams it publishes.

Topic names follow from streams; tests that run side by side on one cluster would meet in them.
So names get a prefix on the way to the cluster and lose it on the way back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bus.broker.port import (
    Broker,
    Consumer,
    Fetched,
    PartitionBatch,
    Producer,
    TopicPartition,
    TopicSpec,
)


class OwnTopics:
    """*inner* under other topic names; closing it closes *inner*."""

    def __init__(self, inner: Broker, prefix: str) -> None:
        self._inner = inner
        self.prefix = prefix

    def there(self, topic: str) -> str:
        """The cluster's name of a topic."""
        return self.prefix + topic

    def here(self, topic: str) -> str:
        """The test's name of a topic."""
        return topic.removeprefix(self.prefix)

    async def start(self) -> None:
        await self._inner.start()

    async def cluster_id(self) -> str:
        return await self._inner.cluster_id()

    async def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        found = await self._inner.partitions([self.there(topic) for topic in topics])
        return {self.here(topic): count for topic, count in found.items()}

    async def topic_config(self, topic: str) -> Mapping[str, str]:
        return await self._inner.topic_config(self.there(topic))

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        await self._inner.create_topics(
            [replace(spec, name=self.there(spec.name)) for spec in specs]
        )

    async def alter_topic_config(self, topic: str, config: Mapping[str, str]) -> None:
        await self._inner.alter_topic_config(self.there(topic), config)

    async def committed(self, group: str) -> Mapping[TopicPartition, int]:
        return self.places_here(await self._inner.committed(self.prefix + group))

    async def members(self, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = await self._inner.members([self.prefix + group for group in groups])
        return {group: found[self.prefix + group] for group in groups}

    def consumer(self, group: str | None = None, *, client_id: str = "renkei") -> Consumer:
        own = None if group is None else self.prefix + group
        return _Consumer(self._inner.consumer(own, client_id=client_id), self)

    def producer(self, *, client_id: str = "renkei") -> Producer:
        return _Producer(self._inner.producer(client_id=client_id), self)

    async def close(self) -> None:
        await self._inner.close()

    def places_here(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The test's names of partitions, with what is said of each."""
        return {(self.here(topic), number): at for (topic, number), at in offsets.items()}

    def places_there(self, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        """The cluster's names of partitions."""
        return [(self.there(topic), number) for topic, number in places]


class _Producer(Producer):
    def __init__(self, inner: Producer, names: OwnTopics) -> None:
        self._inner = inner
        self._names = names

    @property
    def most_bytes(self) -> int:
        return self._inner.most_bytes

    async def start(self) -> None:
        await self._inner.start()

    async def append(self, batches: Sequence[PartitionBatch]) -> Sequence[Sequence[int]]:
        return await self._inner.append(
            [replace(batch, topic=self._names.there(batch.topic)) for batch in batches]
        )

    async def close(self) -> None:
        await self._inner.close()


class _Consumer:
    def __init__(self, inner: Consumer, names: OwnTopics) -> None:
        self._inner = inner
        self._names = names

    async def start(self) -> None:
        await self._inner.start()

    async def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], Awaitable[None]],
        on_revoked: Callable[[Sequence[TopicPartition]], Awaitable[None]],
    ) -> None:
        def renamed(
            call: Callable[[Sequence[TopicPartition]], Awaitable[None]],
        ) -> Callable[[Sequence[TopicPartition]], Awaitable[None]]:
            async def told(places: Sequence[TopicPartition]) -> None:
                await call([(self._names.here(topic), number) for topic, number in places])

            return told

        await self._inner.subscribe(
            [self._names.there(topic) for topic in topics],
            renamed(on_assigned),
            renamed(on_revoked),
        )

    async def assign(self, places: Sequence[TopicPartition]) -> None:
        await self._inner.assign(self._names.places_there(places))

    async def fetch(
        self, max_records: int, timeout: timedelta, places: Collection[TopicPartition] | None = None
    ) -> Sequence[Fetched]:
        chosen = None if places is None else self._names.places_there(list(places))
        found = await self._inner.fetch(max_records, timeout, chosen)
        return [replace(piece, topic=self._names.here(piece.topic)) for piece in found]

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._inner.seek(self._names.places_there([place])[0], offset)

    async def position(self, place: TopicPartition) -> int:
        return await self._inner.position(self._names.places_there([place])[0])

    def pause(self, *places: TopicPartition) -> None:
        self._inner.pause(*self._names.places_there(places))

    def resume(self, *places: TopicPartition) -> None:
        self._inner.resume(*self._names.places_there(places))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._inner.commit(
            {(self._names.there(topic), number): at for (topic, number), at in offsets.items()}
        )

    async def end_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._names.places_here(
            await self._inner.end_offsets(self._names.places_there(places))
        )

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        return self._names.places_here(
            await self._inner.beginning_offsets(self._names.places_there(places))
        )

    async def close(self) -> None:
        await self._inner.close()
