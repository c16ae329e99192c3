"""Read partitions of the log once: up to given ends, or from one offset to another.

Whoever reads says how long the log may stay silent before it has all been given; then the broker
counts as away, so that nobody waits for ever for what compaction or a fault has taken.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from bus.broker import Broker, Consumer, Fetched, TopicPartition
from bus.errors import BrokerUnavailable, ConfigurationError
from bus.log.run import Run

AT_ONCE = 10_000
"""Most records that are fetched at once."""
STEP = timedelta(seconds=1)
"""Longest single wait for records that must be there."""
SILENCE = timedelta(seconds=20)
"""How long a log that is not read to its end may stay silent."""


async def read_to(
    consumer: Consumer,
    ends: Mapping[TopicPartition, int],
    *,
    at_once: int = AT_ONCE,
    step: timedelta = STEP,
    silence: timedelta = SILENCE,
    is_only: bool = False,
) -> AsyncGenerator[Sequence[Fetched]]:
    """What the partitions of *ends* hold from where *consumer* stands, fetch by fetch, until all
    of them are read up to there; a piece may reach beyond.

    Args:
        is_only: Whether nothing is fetched of partitions that are read up to their end.

    Raises:
        BrokerUnavailable: Nothing came for *silence*, and there must be more.
    """
    left, silent = await _left(consumer, ends), timedelta()
    while left:
        pieces = await consumer.fetch(at_once, step, tuple(left) if is_only else None)
        silent = timedelta() if pieces else silent + step
        if pieces:
            yield pieces
        left = await _left(consumer, left)
        if left and silent >= silence:
            topic, partition = next(iter(left))
            raise BrokerUnavailable(
                "the log does not give what it has", topic=topic, partition=partition
            )


async def _left(
    consumer: Consumer, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    return {place: end for place, end in ends.items() if await consumer.position(place) < end}


def unread(
    ends: Mapping[TopicPartition, int], reached: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Those of *ends* up to which not everything is read, if so much is as *reached* says.

    Raises:
        BrokerUnavailable: A log ends before what was read of it. A broker that does not know yet
            that another has taken over may say so for a moment; if it stays so, it is another log
            under the same name, or lost its end, and whoever goes on from here hears nothing of it.
    """
    for (topic, partition), end in ends.items():
        if end < (offset := reached[topic, partition]):
            raise BrokerUnavailable(
                "a topic ends before what this process has read of it: if that stays so, it was"
                " made anew or lost its end; start all processes again",
                topic=topic,
                partition=partition,
                offset=offset,
                end=end,
            )
    return {place: end for place, end in ends.items() if reached[place] < end}


async def places_of(broker: Broker, *topics: str) -> list[TopicPartition]:
    """The partitions of some topics.

    Raises:
        ConfigurationError: One does not exist.
        BrokerUnavailable: The broker does not answer.
    """
    counts = await broker.partitions(topics)
    for topic in topics:
        if topic not in counts:
            raise ConfigurationError(
                "the topic does not exist; make it with: renkei topics apply", topic=topic
            )
    return [(topic, partition) for topic in topics for partition in range(counts[topic])]


class Log:
    """One consumer that reads one partition after another, or several side by side."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """The first offset in the log, and the one after the last."""
        return (await self.bounds_of([place]))[place]

    async def bounds_of(
        self, places: Collection[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """As :meth:`bounds`, of several partitions."""
        begins = await self._consumer.beginning_offsets([*places])
        ends = await self._consumer.end_offsets([*places])
        return {place: (begins[place], ends[place]) for place in places}

    async def read(
        self,
        place: TopicPartition,
        first: int,
        end: int,
        *,
        at_once: int = AT_ONCE,
        step: timedelta = STEP,
        silence: timedelta = SILENCE,
    ) -> AsyncIterator[Fetched]:
        """The records from *first* up to, and without, *end*, in order.

        Raises:
            BrokerUnavailable: The log does not give what it has.
        """
        ranges = {place: (first, end)}
        async for piece in self.read_together(ranges, at_once=at_once, step=step, silence=silence):
            yield piece

    async def read_together(
        self,
        ranges: Mapping[TopicPartition, tuple[int, int]],
        *,
        at_once: int = AT_ONCE,
        step: timedelta = STEP,
        silence: timedelta = SILENCE,
    ) -> AsyncIterator[Fetched]:
        """As :meth:`read`, from several partitions as the broker gives them: each in order, so
        that what is of one time in all of them comes at about the same time.

        Raises:
            BrokerUnavailable: The log does not give what it has.
        """
        ends = {place: end for place, (first, end) in ranges.items() if first < end}
        if not ends:
            return
        await self._consumer.assign([*ends])
        for place in ends:
            self._consumer.seek(place, ranges[place][0])
        async for pieces in read_to(
            self._consumer, ends, at_once=at_once, step=step, silence=silence
        ):
            for piece in pieces:
                if (kept := _before(piece, ends[piece.topic, piece.partition])).offsets:
                    yield kept

    async def whole(self, topic: str, partitions: int) -> AsyncIterator[Fetched]:
        """What a topic holds now, one partition after the other, each in order.

        Raises:
            BrokerUnavailable: The log does not give what it has.
        """
        for partition in range(partitions):
            place = (topic, partition)
            async for piece in self.read(place, *await self.bounds(place)):
                yield piece

    async def runs(self, place: TopicPartition, first: int, end: int) -> AsyncIterator[Run]:
        """As :meth:`read`, as runs of events.

        Raises:
            BrokerUnavailable: The log does not give what it has.
        """
        async for piece in self.read(place, first, end):
            yield Run(piece.offsets, piece.keys, piece.values)


@asynccontextmanager
async def opened(broker: Broker, client_id: str) -> AsyncIterator[Log]:
    """A :class:`Log`; closed on the way out.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    consumer = broker.consumer(client_id=client_id)
    try:
        await consumer.start()
        yield Log(consumer)
    finally:
        await consumer.close()


def _before(piece: Fetched, end: int) -> Fetched:
    """The part of *piece* before *end*."""
    if not piece.offsets or piece.offsets[-1] < end:
        return piece
    last = sum(offset < end for offset in piece.offsets)
    return replace(
        piece,
        offsets=piece.offsets[:last],
        keys=piece.keys[:last],
        values=piece.values[:last],
        timestamps_ms=piece.timestamps_ms[:last],
    )
