"""Append ready batches, in order per partition, acknowledged by all in-sync replicas.

Records wait in a queue per partition. One task per partition fills a batch from the queue and
hands it over; the library takes the next batch while one is under way. So a single record goes
at once, and many share batches. Memory is the callers': each waits for its own records.

Batches are not compressed: on resident events of 500 bytes LZ4 took 8.5 microseconds of this
process's time for each, against 2.1 without (measured).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka

from bus.broker.kafka.translation import translated
from bus.broker.kafka.way_in import WayIn
from bus.broker.port import (
    ENVELOPE_BYTES,
    PartitionBatch,
    Producer,
    TopicPartition,
    refuse_too_large,
)
from bus.errors import BrokerUnavailable, BusError, ConfigurationError

BATCH_BYTES = 256 * 1024
_SLICE = 8192  # most records looked at for one batch


class Topics(Protocol):
    """The part of the cluster that a producer asks."""

    async def known(self, topics: Iterable[str]) -> Mapping[str, int]: ...


@dataclass(slots=True, eq=False)
class _Run:
    """The records of one call for one partition: how many are acknowledged, and their offsets."""

    records: PartitionBatch
    acknowledged: asyncio.Future[None]
    batched: int = 0
    offsets: list[int] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        if not self.acknowledged.done():
            self.acknowledged.set_exception(error)
            self.acknowledged.exception()  # somebody may have stopped waiting; not a defect


class KafkaProducer(Producer):
    """Appends and waits for the acknowledgement; makes a new library client after giving up."""

    def __init__(
        self,
        cluster: Topics,
        way_in: WayIn,
        client_id: str,
        *,
        max_message_bytes: int,
        patience: timedelta,
    ) -> None:
        self._cluster = cluster
        self._way_in = way_in
        self._client_id = client_id
        self._most = max_message_bytes - ENVELOPE_BYTES
        self._batch_bytes = min(BATCH_BYTES, max_message_bytes)
        self._patience = patience.total_seconds()
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._open: set[_Run] = set()
        self._queues: dict[TopicPartition, deque[_Run]] = {}
        self._pumps: dict[TopicPartition, asyncio.Task[None]] = {}
        self._discards: set[asyncio.Task[None]] = set()
        self._acknowledgements = 0
        self._is_closed = False

    @property
    def most_bytes(self) -> int:
        return self._most

    async def start(self) -> None:
        await self._ready()

    async def append(self, batches: Sequence[PartitionBatch]) -> Sequence[Sequence[int]]:
        for records in batches:
            refuse_too_large(records, self._most)
        await self._refuse_unknown(batches)
        producer = await self._ready()
        runs = [self._queue(producer, records) for records in batches if records.keys]
        await self._acknowledged(producer, runs)
        offsets = iter(run.offsets for run in runs)
        return [next(offsets) if records.keys else [] for records in batches]

    async def close(self) -> None:
        """Finish what is under way, for a bounded time; safe to call twice."""
        self._is_closed = True
        async with self._starting:
            producer = self._producer
        if producer is not None:
            if self._open:
                waiting = [run.acknowledged for run in self._open]
                await asyncio.wait(waiting, timeout=self._patience)
            self._abandon(producer, BrokerUnavailable("the producer was closed"))
        if self._discards:
            await asyncio.wait(self._discards)

    async def _refuse_unknown(self, batches: Sequence[PartitionBatch]) -> None:
        partitions = await self._cluster.known({records.topic for records in batches})
        for records in batches:
            if not 0 <= records.partition < partitions[records.topic]:
                raise ConfigurationError(
                    "the topic has no such partition",
                    topic=records.topic,
                    partition=records.partition,
                )

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._is_closed:
                raise BrokerUnavailable("this producer is closed")
            if self._producer is None:
                self._producer = await self._started()
            return self._producer

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._way_in.options,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            max_batch_size=self._batch_bytes,
        )
        try:
            async with self._way_in.opening():
                async with asyncio.timeout(self._patience):
                    await producer.start()
        except BaseException:
            await _discard(producer)
            raise
        return producer

    def _queue(self, producer: AIOKafkaProducer, records: PartitionBatch) -> _Run:
        place = (records.topic, records.partition)
        run = _Run(records, asyncio.get_running_loop().create_future())
        self._open.add(run)
        run.acknowledged.add_done_callback(lambda _: self._open.discard(run))
        self._queues.setdefault(place, deque()).append(run)
        if place not in self._pumps:
            self._pumps[place] = asyncio.create_task(self._pump(producer, place))
        return run

    async def _acknowledged(self, producer: AIOKafkaProducer, runs: Sequence[_Run]) -> None:
        """Wait for acknowledgements while they keep coming in; raise the first failure."""
        pending = {run.acknowledged for run in runs}
        while pending:
            before = self._acknowledgements
            _, pending = await asyncio.wait(
                pending, timeout=self._patience, return_when=asyncio.FIRST_EXCEPTION
            )
            failure = next((e for run in runs if (e := _failure_of(run)) is not None), None)
            if failure is not None:
                raise failure
            if pending and before == self._acknowledgements:
                error = BrokerUnavailable("the broker does not acknowledge")
                self._abandon(producer, error)
                raise error

    async def _pump(self, producer: AIOKafkaProducer, place: TopicPartition) -> None:
        """Send a partition's queue in batches until it is empty."""
        topic, partition = place
        queue = self._queues[place]
        try:
            while queue:
                batch = producer.create_batch()
                shares = _fill(batch, queue)
                batch.close()
                with translated(topic=topic, partition=partition):
                    outcome = await producer.send_batch(batch, topic, partition=partition)
                outcome.add_done_callback(
                    lambda done, shares=shares: self._settle(producer, place, shares, done)
                )
        except BusError as error:
            self._abandon(producer, error)
        finally:
            if self._pumps.get(place) is asyncio.current_task():
                del self._pumps[place], self._queues[place]

    def _settle(
        self,
        producer: AIOKafkaProducer,
        place: TopicPartition,
        shares: Sequence[tuple[_Run, int]],
        outcome: asyncio.Future[Any],
    ) -> None:
        """Set each run's offsets, or its failure."""
        topic, partition = place
        try:
            with translated(topic=topic, partition=partition):
                offset = outcome.result().offset
                if offset < 0:
                    raise kafka.UnknownProducerId  # appended before, nobody knows where
        except BusError as error:
            for run, _ in shares:
                run.fail(error)
            self._abandon(producer, BrokerUnavailable("another batch failed", topic=topic))
            return
        self._acknowledgements += 1
        for run, count in shares:
            run.offsets.extend(range(offset, offset + count))
            offset += count
            if len(run.offsets) == len(run.records.keys) and not run.acknowledged.done():
                run.acknowledged.set_result(None)

    def _abandon(self, producer: AIOKafkaProducer, error: BusError) -> None:
        """Fail all that waits, and drop the library client; the next ``send`` makes a new one."""
        if self._producer is not producer:
            return
        self._producer = None
        pumps, self._pumps = self._pumps, {}
        self._queues = {}
        for pump in pumps.values():
            if pump is not asyncio.current_task():
                pump.cancel()
        for run in list(self._open):
            run.fail(error)
        discard = asyncio.create_task(_discard(producer))
        self._discards.add(discard)
        discard.add_done_callback(self._discards.discard)


def _failure_of(run: _Run) -> BaseException | None:
    return run.acknowledged.exception() if run.acknowledged.done() else None


def _fill(batch: Any, queue: deque[_Run]) -> list[tuple[_Run, int]]:
    """Move records from the queue into a batch until it is full; how many of each run."""
    shares: list[tuple[_Run, int]] = []
    append = batch.append
    while queue:
        run = queue[0]
        records, first = run.records, run.batched
        taken = 0
        ahead = slice(first, first + _SLICE)
        for key, value in zip(records.keys[ahead], records.values[ahead], strict=True):
            if append(timestamp=None, key=key, value=value) is None:
                break
            taken += 1
        run.batched += taken
        if taken:
            shares.append((run, taken))
        if run.batched < len(records.keys):
            break
        queue.popleft()
    return shares


async def _discard(producer: AIOKafkaProducer) -> None:
    """Close a producer without waiting for what it still holds.

    aiokafka's own ``stop`` waits until every batch is delivered, however long the cluster is
    away. So its connections are cut first, then its sender stopped, then its batches forgotten.
    """
    await producer.client.close()
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        await asyncio.wait({sender}, timeout=1.0)
    producer._message_accumulator._batches.clear()
    producer._message_accumulator._pending_batches.clear()
    await producer.stop()
