"""Consume: partitions assigned by the group or by name, at positions that the caller sets."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka

from bus.broker.kafka.translation import MEMBERSHIP_LOST, translated
from bus.broker.kafka.way_in import WayIn
from bus.broker.port import Fetched, TopicPartition
from bus.errors import BrokerUnavailable, ConfigurationError

HEARTBEATS = 3  # in a session: one may be lost
REBALANCE_TIMEOUT_MS = 30_000
RETRY_MS = 500
"""How often a cluster that is away is tried, by each of four tasks of a consumer. Seventeen groups
take 4.4 % of a core so (14.8 % by the library's own 100 ms); joining takes no longer."""
LONGEST_POLL_MS = 2**31 - 1  # a lane that retries for hours keeps its membership
_ASK_AGAIN = 0.05  # seconds; a task that was told to end ends at once, if it heard it
_LOOK_UP = 0.25  # seconds; how often a waiting fetch looks for a new assignment

Callback = Callable[[Sequence[TopicPartition]], Awaitable[None]]


class Offsets(Protocol):
    """The part of the cluster that a consumer asks."""

    async def end_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...

    async def known(self, topics: Iterable[str]) -> Mapping[str, int]: ...


class KafkaConsumer:
    """Reads from where it is told to; other partitions begin at the log's beginning."""

    def __init__(
        self,
        cluster: Offsets,
        way_in: WayIn,
        group: str | None,
        client_id: str,
        *,
        idle_wait: timedelta,
        fetch_bytes: int,
        session_timeout: timedelta,
    ) -> None:
        self._cluster = cluster
        self._way_in = way_in
        self._group = group
        self._client_id = client_id
        self._idle_wait = idle_wait
        self._fetch_bytes = fetch_bytes
        self._session_ms = int(session_timeout.total_seconds() * 1000)
        self._consumer: AIOKafkaConsumer | None = None
        self._membership: _Membership | None = None
        self._paused: set[KafkaPartition] = set()
        self._sought: set[KafkaPartition] = set()

    async def start(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **self._way_in.options,
            client_id=self._client_id,
            group_id=self._group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=int(self._idle_wait.total_seconds() * 1000),
            fetch_max_bytes=self._fetch_bytes,
            max_partition_fetch_bytes=self._fetch_bytes,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // HEARTBEATS,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            max_poll_interval_ms=LONGEST_POLL_MS,
            retry_backoff_ms=RETRY_MS,
        )
        try:
            async with self._way_in.opening():
                await self._consumer.start()
            self._consumer._fetcher._records = _UnwrappedRecords()
            await asyncio.sleep(0)  # the library cannot be closed before its own tasks ran once
        except BaseException:
            await self.close()
            raise

    async def subscribe(
        self, topics: Sequence[str], on_assigned: Callback, on_revoked: Callback
    ) -> None:
        if self._group is None:
            raise ConfigurationError("a consumer without a group cannot subscribe")
        await self._cluster.known(topics)
        if self._membership is None:
            self._membership = _Membership(self._started(), on_assigned, on_revoked)
        self._started().subscribe(list(topics), listener=self._membership)

    async def assign(self, places: Sequence[TopicPartition]) -> None:
        begin = await self._cluster.beginning_offsets(places)
        self._started().assign([KafkaPartition(*place) for place in places])
        self._paused.clear()
        for place in places:
            self._started().seek(KafkaPartition(*place), begin[place])

    async def fetch(
        self, max_records: int, timeout: timedelta, places: Collection[TopicPartition] | None = None
    ) -> Sequence[Fetched]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        while True:
            await self._settle()
            left = max(deadline - loop.time(), 0.0)
            found = await self._getmany(max_records, min(left, _LOOK_UP), places)
            if found or left == 0.0:
                return found

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._started().seek(KafkaPartition(*place), offset)
        self._sought.add(KafkaPartition(*place))

    async def position(self, place: TopicPartition) -> int:
        with translated():
            position: int = await self._started().position(KafkaPartition(*place))
        return position

    def pause(self, *places: TopicPartition) -> None:
        wanted = [KafkaPartition(*place) for place in places]
        self._paused.update(wanted)
        self._started().pause(*wanted)

    def resume(self, *places: TopicPartition) -> None:
        wanted = [KafkaPartition(*place) for place in places]
        self._paused.difference_update(wanted)
        self._started().resume(*wanted)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets; those of partitions that this member no longer owns are dropped."""
        if self._group is None:
            raise ConfigurationError("a consumer without a group cannot commit")
        owned = self._started().assignment()
        given = {KafkaPartition(*place): offset for place, offset in offsets.items()}
        mine = {place: offset for place, offset in given.items() if place in owned}
        if not mine:
            return
        with translated(group=self._group):
            try:
                await self._started().commit(mine)
            except MEMBERSHIP_LOST:
                return

    async def end_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return await self._cluster.end_offsets(places)

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        return await self._cluster.beginning_offsets(places)

    async def close(self) -> None:
        """Leave the group at once; safe to call twice. ``on_revoked`` is not called."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            await _end_fetching(consumer)
            await consumer.stop()
        except asyncio.CancelledError:
            # While Kafka is away the library trips over a task that it cancelled itself.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            for left in consumer._fetcher._pending_tasks:
                left.cancel()
            await consumer._client.close()

    async def _settle(self) -> None:
        """Announce a new assignment, if there is one, and resume it."""
        if self._membership is None:
            return
        async with self._membership.announcing() as assigned:
            if not assigned:
                return
            places = [(place.topic, place.partition) for place in assigned]
            begin = await self._cluster.beginning_offsets(places)
            self._paused.clear()
            self._sought.clear()
            await self._membership.on_assigned(places)
            owned = self._started().assignment()
            for place in assigned:
                if place in owned and place not in self._sought:
                    self._started().seek(place, begin[place.topic, place.partition])
            flowing = [p for p in assigned if p in owned and p not in self._paused]
            self._started().resume(*flowing)

    async def _getmany(
        self, max_records: int, seconds: float, places: Collection[TopicPartition] | None
    ) -> list[Fetched]:
        chosen: list[KafkaPartition] = []
        if places is not None:
            owned = self._started().assignment()
            chosen = [place for place in (KafkaPartition(*p) for p in places) if place in owned]
            if not chosen:  # to the library, none would mean all
                await asyncio.sleep(seconds)
                return []
        with translated():
            try:
                records = await self._started().getmany(
                    *chosen, timeout_ms=int(seconds * 1000), max_records=max_records
                )
            except kafka.NoOffsetForPartitionError:
                return []  # asked for before the position was set; it is set by now
        return [_fetched(place, rows) for place, rows in records.items()]

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerUnavailable("this consumer is not open")
        return self._consumer


async def _end_fetching(consumer: AIOKafkaConsumer) -> None:
    """End the library's task that fetches, before the library waits for it without end.

    While that task cancels the fetches of an assignment that is gone it takes a cancellation of
    itself for one of theirs, and goes on; so it is told until it has ended.
    """
    if (fetcher := consumer._fetcher) is None:
        return
    while not fetcher._fetch_task.done():
        fetcher._fetch_task.cancel()
        await asyncio.wait({fetcher._fetch_task}, timeout=_ASK_AGAIN)


class _UnwrappedRecords(OrderedDict[KafkaPartition, Any]):
    """Hands over what the library fetched without a ConsumerRecord around each record.

    The records of aiokafka's own decoder have the attributes that are read here; wrapping each
    costs more than reading it (a third of a fetch, measured). It is done for each consumer by
    itself: Faust, which wants the wrapping, may live in the same process.
    """

    def __setitem__(self, place: KafkaPartition, answer: Any) -> None:
        found = getattr(answer, "_partition_records", None)
        if found is not None:
            found._consumer_record = _as_it_is
        super().__setitem__(place, answer)


def _as_it_is(_: KafkaPartition, record: Any) -> Any:
    return record


def _fetched(place: KafkaPartition, rows: Sequence[Any]) -> Fetched:
    """The library's records as parallel lists, once: from here on nobody holds an object for each
    record, and what is cut, decoded or digested is a list. Keys and values are not copied."""
    return Fetched(
        topic=place.topic,
        partition=place.partition,
        offsets=[row.offset for row in rows],
        keys=[row.key for row in rows],
        values=[row.value for row in rows],
        timestamps_ms=[row.timestamp for row in rows],
    )


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """The assignment by the group, kept until the next fetch announces it."""

    def __init__(
        self, consumer: AIOKafkaConsumer, on_assigned: Callback, on_revoked: Callback
    ) -> None:
        self.on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._consumer = consumer
        self._coming: list[KafkaPartition] | None = None
        self._announced: list[KafkaPartition] = []
        self._failure: BaseException | None = None
        self._turn = asyncio.Lock()

    def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        """Pause the partitions. A position, any, keeps the library from looking for one."""
        self._coming = sorted(assigned)
        for place in self._coming:
            self._consumer.seek(place, 0)
        self._consumer.pause(*self._coming)

    async def on_partitions_revoked(self, _revoked: Iterable[KafkaPartition]) -> None:
        """Wait until the owner has finished. An assignment never announced is not told."""
        async with self._turn:
            self._coming = None
            announced, self._announced = self._announced, []
            if not announced:
                return
            places = [(place.topic, place.partition) for place in announced]
            finishing = asyncio.ensure_future(self._on_revoked(places))
            await asyncio.wait({finishing})
            self._failure = finishing.exception()

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[list[KafkaPartition] | None]:
        """What was newly assigned, if anything; nothing is revoked inside the block.

        Where that fails, the same is announced again the next time.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        async with self._turn:
            coming = self._coming
            yield coming
            if coming is not None:
                self._coming, self._announced = None, coming
