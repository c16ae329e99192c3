"""Find and read the recent past of the receipts."""

from __future__ import annotations

from collections.abc import Mapping

from bus.broker.port import Broker, TopicPartition
from bus.catalog.wire import Reader
from bus.log.partition import places_of, read_to
from bus.monitor.receipts import read_receipts
from bus.monitor.windows import Windows

MOST_RECEIPTS = 20_000  # of each partition: some minutes at full load, days in a quiet town


async def recent_past(
    broker: Broker, topic: str, most: int = MOST_RECEIPTS
) -> Mapping[TopicPartition, tuple[int, int]]:
    """By partition, the offset where its last *most* receipts begin, and its end."""
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
    """Windows of the recent past, read from the log without the monitor.

    Raises:
        BrokerUnavailable: The broker does not answer, or does not give what it has.
    """
    windows = Windows()
    bounds = await recent_past(broker, topic)
    consumer = broker.consumer(client_id="renkei-monitor")
    await consumer.start()
    try:
        await consumer.assign(list(bounds))
        for place, (begin, _) in bounds.items():
            consumer.seek(place, begin)
        ends = {place: end for place, (_, end) in bounds.items()}
        async for pieces in read_to(consumer, ends, at_once=MOST_RECEIPTS):
            for piece in pieces:
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
    finally:
        await consumer.close()
    return windows
