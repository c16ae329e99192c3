"""Learn versions from topics: read each from its beginning once, and then only what is new.

A publisher catches up before each batch, so that it knows what another publisher, or its own
predecessor, appended. What it appends itself it need not read: it moves past its own offsets
where nothing of others lies between. Partitions are paused in between, so nothing is fetched
that nobody asks for.

An event that cannot be read (garbage, an unknown schema) says nothing about its subject; it is
passed over and counted, and the receiving side parks it. One of another stream's schema stops the
publisher, unless an operator has set it aside.

This is not :class:`bus.log.tail.Tail`, which follows a fixed set of topics for many who ask at
once, and reads ahead: here the streams are those of the batch in hand, more are taken on as they
come, only these are asked for, one asks at a time, and what this process appended is skipped. What
both do, to read partitions up to given ends with a bound on silence, is
:func:`bus.log.partition.read_to`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bus.broker.port import Broker, Consumer, Fetched, TopicPartition
from bus.catalog import Catalog
from bus.catalog.decoding import read_what_can_be
from bus.catalog.registry import SchemaIds
from bus.catalog.wire import Reader
from bus.control.judged import judged
from bus.errors import ConfigurationError, SchemaMismatch
from bus.log.partition import places_of, read_to, unread
from bus.model import PROTECTION, Stream
from bus.policy.cases import CaseIndex, said
from bus.publish.batch import entries_of
from bus.publish.versions import VersionIndex

PATIENCE = timedelta(seconds=30)
"""How long a log that is not read to its end may stay silent."""
_FETCH_RECORDS = 20_000
_WAIT = timedelta(milliseconds=500)


class VersionTail:
    """The version indexes of some streams, kept up to date with their topics."""

    def __init__(
        self,
        catalog: Catalog,
        registry: SchemaIds,
        broker: Broker,
        *,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._broker = broker
        self._patience = patience
        self._consumer: Consumer | None = None
        self._reading = asyncio.Lock()
        self._positions: dict[TopicPartition, int] = {}
        self._indexes: dict[str, VersionIndex] = {}
        self._readers: dict[str, Reader] = {}
        self.cases = CaseIndex()
        """Everybody's cases, once the stream *protection* was caught up with."""
        self.partitions: dict[str, int] = {}
        """How many partitions the topic of each stream has that was read."""
        self.unreadable = 0
        """Events that were passed over."""

    def index(self, stream: str) -> VersionIndex:
        """The index of a stream, as of the last :meth:`catch_up`."""
        return self._indexes[stream]

    async def catch_up(self, streams: Collection[Stream]) -> None:
        """Read what was appended to the streams' topics until now.

        Raises:
            ConfigurationError: A topic does not exist.
            BrokerUnavailable: The broker does not answer, or a topic ends before what was read of
                it.
            RegistryUnavailable: An event names a schema id not seen before, and nobody answers.
            SchemaMismatch: An event is of another stream's schema, and nobody has set it aside.
        """
        if streams:
            async with self._reading:
                await self._catch_up(streams)

    async def _catch_up(self, streams: Collection[Stream]) -> None:
        new = [stream for stream in streams if stream.name not in self._indexes]
        if new:
            await self._take_on(new)
        places = [
            (stream.topic, partition)
            for stream in streams
            for partition in range(self.partitions[stream.name])
        ]
        consumer = self._started()
        ends = await consumer.end_offsets(places)
        behind = unread(ends, self._positions)
        if not behind:
            return
        for place in behind:
            consumer.seek(place, self._positions[place])
        consumer.resume(*behind)
        try:
            await self._read_to(consumer, behind)
        finally:
            consumer.pause(*behind)

    def passed(self, offsets: Mapping[TopicPartition, Sequence[int]]) -> None:
        """Skip *offsets*, which this process appended itself and knows already."""
        for place, own in offsets.items():
            first, last = min(own), max(own)
            if self._positions.get(place) == first and last - first + 1 == len(own):
                self._positions[place] = last + 1

    async def close(self) -> None:
        """Close the consumer; safe to call twice."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.close()

    async def _take_on(self, streams: Sequence[Stream]) -> None:
        fresh = await places_of(self._broker, *(stream.topic for stream in streams))
        if self._consumer is None:
            consumer = self._broker.consumer(client_id="renkei-publish")
            await consumer.start()
            self._consumer = consumer
        begin = await self._consumer.beginning_offsets(fresh)
        places = [*self._positions, *fresh]
        await self._consumer.assign(places)
        self._consumer.pause(*places)
        self._positions.update(begin)
        counts = Counter(topic for topic, _ in fresh)
        for stream in streams:
            self.partitions[stream.name] = counts[stream.topic]
            self._readers[stream.name] = Reader(stream, self._catalog, self._registry)
            self._indexes[stream.name] = VersionIndex()

    async def _read_to(self, consumer: Consumer, ends: Mapping[TopicPartition, int]) -> None:
        pieces = read_to(
            consumer,
            ends,
            at_once=_FETCH_RECORDS,
            step=_WAIT,
            silence=self._patience,
            is_only=True,
        )
        async for fetches in pieces:
            for fetched in fetches:
                try:
                    await self._learn(fetched)
                except SchemaMismatch:  # what was learnt already may be learnt again
                    await self._learn(await self._without_set_aside(fetched))
            await self._stand(consumer, ends)
        await self._stand(consumer, ends)

    async def _stand(self, consumer: Consumer, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self._positions[place] = await consumer.position(place)

    async def _learn(self, fetched: Fetched) -> None:
        """Take in one partition's records, erasures in their order."""
        stream = self._catalog.by_topic(fetched.topic).name
        index, run = self._indexes[stream], list[tuple[bytes, bytes]]()
        for key, value in zip(fetched.keys, fetched.values, strict=True):
            if key is None:
                self.unreadable += 1
            elif value is not None:
                run.append((key, value))
            else:
                await self._learn_run(stream, run)
                run = []
                index.forget(key)
                if stream == PROTECTION:
                    self.cases.forget(key.decode(errors="replace"))
        await self._learn_run(stream, run)

    async def _without_set_aside(self, fetched: Fetched) -> Fetched:
        """*fetched* without events of another schema that an operator has set aside."""
        stream = self._catalog.by_topic(fetched.topic).name
        exceptions = self._catalog.stream("exception")
        reader = Reader(exceptions, self._catalog, self._registry)
        known = await judged(self._broker, exceptions, reader, stream, fetched.partition)
        said = [
            (index, value)
            for index, (offset, value) in enumerate(
                zip(fetched.offsets, fetched.values, strict=True)
            )
            if offset in known and value is not None
        ]
        readable = await read_what_can_be(
            self._readers[stream], [value for _, value in said], refuse=(SchemaMismatch,)
        )
        foreign = {said[n][0] for n, e in readable.refused if isinstance(e, SchemaMismatch)}
        self.unreadable += len(foreign)
        left = [index for index in range(len(fetched.offsets)) if index not in foreign]
        return replace(
            fetched,
            offsets=[fetched.offsets[index] for index in left],
            keys=[fetched.keys[index] for index in left],
            values=[fetched.values[index] for index in left],
            timestamps_ms=[fetched.timestamps_ms[index] for index in left],
        )

    async def _learn_run(self, stream: str, run: Sequence[tuple[bytes, bytes]]) -> None:
        readable = await read_what_can_be(self._readers[stream], [value for _, value in run])
        self.unreadable += len(readable.refused)
        if readable.records is not None:
            keys = [run[index][0] for index in readable.good]
            self._indexes[stream].learn(entries_of(keys, readable.records.column("header")))
            if stream == PROTECTION:
                for record in said(readable.records):
                    self.cases.take(record)

    def _started(self) -> Consumer:
        if self._consumer is None:
            raise ConfigurationError("nothing was ever caught up with")
        return self._consumer
