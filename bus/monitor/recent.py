"""The recent past of the receipts: where it begins, and reading it without the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bus.broker.port import Broker, Place
from bus.catalog.wire import Reader
from bus.errors import ConfigurationError
from bus.monitor.receipts import read_receipts
from bus.monitor.windows import Windows

MOST_RECEIPTS = 20_000  # of each partition: some minutes at full load, days in a quiet town
_STEP = timedelta(seconds=1)


async def places_of(broker: Broker, topic: str) -> list[Place]:
    """The partitions of a topic.

    Raises:
        ConfigurationError: It does not exist.
    """
    count = (await broker.partitions([topic])).get(topic)
    if count is None:
        raise ConfigurationError(
            "the topic does not exist; make it with: renkei topics apply", topic=topic
        )
    return [(topic, number) for number in range(count)]


async def recent_past(
    broker: Broker, topic: str, most: int = MOST_RECEIPTS
) -> Mapping[Place, tuple[int, int]]:
    """Where the last *most* records of each partition begin, and where they end."""
    places = await places_of(broker, topic)
    consumer = broker.consumer(client_id="renkei-monitor")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(places)
        begins = await consumer.beginning_offsets(places)
    finally:
        await consumer.close()
    return {place: (max(begins[place], ends[place] - most), ends[place]) for place in places}


async def read_recent(broker: Broker, topic: str, reader: Reader) -> Windows:
    """The windows of the recent past, from the log itself."""
    windows = Windows()
    bounds = await recent_past(broker, topic)
    consumer = broker.consumer(client_id="renkei-monitor")
    await consumer.start()
    try:
        await consumer.assign(list(bounds))
        left = {}
        for place, (begin, end) in bounds.items():
            consumer.seek(place, begin)
            if begin < end:
                left[place] = end
        while left:
            for piece in await consumer.fetch(MOST_RECEIPTS, _STEP):
                place = (piece.topic, piece.partition)
                told = [
                    (value, at)
                    for value, at in zip(piece.values, piece.timestamps_ms, strict=True)
                    if value is not None
                ]
                seen, _ = await read_receipts(
                    reader, [value for value, _ in told], [at for _, at in told]
                )
                for one in seen:
                    windows.add(one)
                if place in left and piece.offsets[-1] + 1 >= left[place]:
                    del left[place]
    finally:
        await consumer.close()
    return windows
