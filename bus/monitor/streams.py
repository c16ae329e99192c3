"""Follow the event streams to know which change each event is part of, and since when.

Headers only are looked at, in columns, and nothing of a record is kept but its change's id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pyarrow.compute as pc
import structlog

from bus.backoff import BackOff
from bus.broker.port import Broker, Consumer, Fetched, TopicPartition
from bus.catalog.decoding import read_what_can_be
from bus.catalog.wire import Reader
from bus.errors import BusError, SchemaMismatch
from bus.log.partition import places_of
from bus.model import Stream
from bus.monitor.open_changes import MOST_TAIL, OpenChanges
from bus.retry import retried

MOST_RECORDS = 5_000
T = TypeVar("T")
_WAIT = timedelta(seconds=2)

log = structlog.get_logger()


async def follow(
    broker: Broker,
    streams: Sequence[Stream],
    reader: Callable[[Stream], Reader],
    changes: OpenChanges,
    passed: Mapping[TopicPartition, int],
) -> None:
    """Tell *changes* of every event in the logs of *streams*; does not end.

    Args:
        passed: Offset of each partition before which nothing is open; absent: unknown.
    """
    by_topic = {stream.topic: (stream, reader(stream)) for stream in streams}
    consumer = broker.consumer(client_id="renkei-monitor")
    await consumer.start()
    try:
        places = await places_of(broker, *by_topic)
        await consumer.assign(places)
        await _begin(consumer, places, by_topic, changes, passed)
        while True:
            for piece in await consumer.fetch(MOST_RECORDS, _WAIT):
                stream, records = by_topic[piece.topic]
                await _take(stream, records, piece, changes)
    finally:
        await consumer.close()


async def _begin(
    consumer: Consumer,
    places: Sequence[TopicPartition],
    by_topic: Mapping[str, tuple[Stream, Reader]],
    changes: OpenChanges,
    passed: Mapping[TopicPartition, int],
) -> None:
    """Start each log where its oldest open event may be, but not too far from its end."""
    ends = await consumer.end_offsets(places)
    begins = await consumer.beginning_offsets(places)
    for place in places:
        name = by_topic[place[0]][0].name
        begin = max(begins[place], ends[place] - MOST_TAIL, passed.get(place, 0))
        begin = min(begin, ends[place])
        if begin > begins[place]:
            changes.skipped(name, place[1], begin)
        changes.appended(name, place[1], (), begin if begin == ends[place] else 0)
        consumer.seek(place, begin)


async def _take(stream: Stream, reader: Reader, piece: Fetched, changes: OpenChanges) -> None:
    """Take in a piece of a stream; erasures and unreadable events belong to no change."""
    rows = [
        (value, offset, at / 1e3)
        for value, offset, at in zip(piece.values, piece.offsets, piece.timestamps_ms, strict=True)
        if value is not None
    ]
    ids = await _change_ids(reader, [value for value, _, _ in rows])
    events = [
        (offset, change, at)
        for (_, offset, at), change in zip(rows, ids, strict=True)
        if change is not None
    ]
    changes.appended(stream.name, piece.partition, events, piece.offsets[-1] + 1)


async def until_read(read: Callable[[], Awaitable[T]]) -> T:
    """What *read* gives, once the registry answers."""

    async def wait(error: BusError, length: timedelta) -> None:
        log.warning("monitor-waits", code=error.code)
        await asyncio.sleep(length.total_seconds())

    return await retried(read, BackOff(_WAIT, _WAIT), wait)


async def _change_ids(reader: Reader, values: Sequence[bytes]) -> list[str | None]:
    found: list[str | None] = [None] * len(values)
    readable = await until_read(partial(read_what_can_be, reader, values, refuse=(SchemaMismatch,)))
    for _, error in readable.refused:
        log.warning("monitor-passes", code=error.code)
    if readable.records is not None:
        header = readable.records.column("header")
        ids = pc.struct_field(header, "change_id").to_pylist()
        for index, change in zip(readable.good, ids, strict=True):
            found[index] = change
    return found
