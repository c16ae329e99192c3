"""Read topics from their beginnings, and catch up with them on demand.

:meth:`Tail.catch_up` promises that everything appended before the call has been taken in when it
returns. Callers share round trips: one that comes while an answer is on its way waits for the
next question, because the answer on its way may be older than what the caller has seen.

A publisher learns versions with a tail of its own (:mod:`bus.publish.tail`), of the streams that
its batches name, without what it appended itself.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from bus.broker import Broker, Consumer, Fetched, TopicPartition
from bus.errors import BrokerUnavailable
from bus.log.partition import places_of, read_to, unread
from bus.model import Stream

Asked: TypeAlias = asyncio.Task[None]
"""What was asked of topics; done once the answer is taken in."""


class Tail:
    """Follows *topics*. *take* is given each fetched piece in log order, and again if it raised."""

    def __init__(
        self, broker: Broker, topics: Sequence[str], take: Callable[[Fetched], Awaitable[None]]
    ) -> None:
        self._broker = broker
        self._topics = tuple(topics)
        self._take = take
        self._consumer: Consumer | None = None
        self._places: list[TopicPartition] = []
        self._next: dict[TopicPartition, int] = {}  # the offset after what was read
        self._pending: list[Fetched] = []  # read, not yet taken in
        self._waiting: asyncio.Task[None] | None = None  # not yet asking
        self._rounds: set[asyncio.Task[None]] = set()
        self._round = asyncio.Lock()

    async def start(self) -> None:
        """Read everything that is in the topics.

        Raises:
            ConfigurationError: A topic does not exist.
            BrokerUnavailable: The broker does not answer.
        """
        self._places = await places_of(self._broker, *self._topics)
        consumer = self._broker.consumer(client_id="renkei-tail")
        try:
            await consumer.start()
            await consumer.assign(self._places)
            begin = await consumer.beginning_offsets(self._places)
            for place in self._places:
                consumer.seek(place, begin[place])
                self._next[place] = begin[place]
        except BaseException:
            await consumer.close()
            raise
        self._consumer = consumer
        await self.catch_up()

    def ask(self) -> Asked:
        """Begin to catch up with everything that was appended before this call.

        For a caller that has other work to do meanwhile; it hands the answer to :meth:`catch_up`,
        or drops it.
        """
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._read_to_end())
            self._rounds.add(self._waiting)
            self._waiting.add_done_callback(self._ended)
        return self._waiting

    async def catch_up(self, asked: Asked | None = None) -> None:
        """Return once everything appended before this call is taken in.

        With *asked*, everything appended before that was asked, unless it failed.

        Raises:
            BrokerUnavailable: The broker does not answer, or a topic ends before what was read of
                it; ask again.
        """
        if asked is None or _has_failed(asked):
            asked = self.ask()
        await asyncio.shield(asked)

    @property
    def reached(self) -> Mapping[TopicPartition, int]:
        """By partition, the offset up to which everything has been taken in."""
        return dict(self._next)

    @property
    def _names(self) -> str:
        return ", ".join(self._topics)

    async def close(self) -> None:
        """Close the consumer; safe to call twice."""
        for task in list(self._rounds):
            task.cancel()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.close()

    async def _read_to_end(self) -> None:
        async with self._round:
            self._waiting = None  # who comes from here on has to ask anew
            consumer = self._consumer
            if consumer is None:
                raise BrokerUnavailable("these topics are not open", topic=self._names)
            await self._take_pending()
            ends = await consumer.end_offsets(self._places)
            behind = unread(ends, self._next)
            async for pieces in read_to(consumer, behind):
                self._pending.extend(pieces)
                await self._take_pending()
                await self._stand(consumer, behind)
            await self._stand(consumer, behind)

    async def _stand(self, consumer: Consumer, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self._next[place] = await consumer.position(place)

    async def _take_pending(self) -> None:
        while self._pending:
            await self._take(self._pending[0])
            del self._pending[0]

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Retrieve the error of a catch-up whose callers may all be gone."""
        self._rounds.discard(task)
        if self._waiting is task:
            self._waiting = None
        if not task.cancelled():
            task.exception()


def _has_failed(asked: Asked) -> bool:
    """Whether a catch-up has ended by an error."""
    return asked.done() and (asked.cancelled() or asked.exception() is not None)


class Follower(ABC):
    """Knows everything that some streams say, as far as they have been read."""

    def __init__(self, broker: Broker, *streams: Stream) -> None:
        self._tail = Tail(broker, [stream.topic for stream in streams], self._take)

    async def start(self) -> None:
        """Read everything that the streams hold.

        Raises:
            ConfigurationError: A topic does not exist.
            Unavailable: Broker or registry does not answer.
        """
        await self._tail.start()

    def ask(self) -> Asked:
        """Begin to learn what was appended before this call; see :meth:`Tail.ask`."""
        return self._tail.ask()

    async def catch_up(self, asked: Asked | None = None) -> None:
        """Return once everything appended before this call, or before *asked*, is known.

        Raises:
            Unavailable: Broker or registry does not answer; what depends on it has to wait.
        """
        await self._tail.catch_up(asked)

    async def close(self) -> None:
        """Close the tail; safe to call twice."""
        await self._tail.close()

    @abstractmethod
    async def _take(self, fetched: Fetched) -> None:
        """Take in a fetched piece; given again if it raised."""
