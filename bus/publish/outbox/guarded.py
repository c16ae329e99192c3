"""A broker whose producers ask before each append: how a relay's guard reaches a publisher.

Everything else is the broker's own, and so is closing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bus.broker.port import Broker, Consumer, Message, Place, Producer, TopicSpec


class GuardedProducer:
    """Appends only when the guard raises nothing."""

    def __init__(self, inner: Producer, guard: Callable[[], None]) -> None:
        self._inner = inner
        self._guard = guard

    async def start(self) -> None:
        await self._inner.start()

    async def send(self, messages: Sequence[Message]) -> Sequence[int]:
        self._guard()
        return await self._inner.send(messages)

    async def close(self) -> None:
        await self._inner.close()


class GuardedBroker:
    """A view of *inner* for one term of a relay's leadership."""

    def __init__(self, inner: Broker, guard: Callable[[], None]) -> None:
        self._inner = inner
        self._guard = guard

    async def start(self) -> None:
        """Nothing: the broker was started by its owner."""

    async def cluster_id(self) -> str:
        return await self._inner.cluster_id()

    async def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        return await self._inner.partitions(topics)

    async def topic_config(self, topic: str) -> Mapping[str, str]:
        return await self._inner.topic_config(topic)

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        await self._inner.create_topics(specs)

    async def alter_topic_config(self, topic: str, config: Mapping[str, str]) -> None:
        await self._inner.alter_topic_config(topic, config)

    async def committed(self, group: str) -> Mapping[Place, int]:
        return await self._inner.committed(group)

    def consumer(self, group: str | None = None, *, client_id: str = "renkei") -> Consumer:
        return self._inner.consumer(group, client_id=client_id)

    def producer(self, *, client_id: str = "renkei") -> Producer:
        return GuardedProducer(self._inner.producer(client_id=client_id), self._guard)

    async def close(self) -> None:
        """Nothing: the broker is closed by its owner."""
