"""Find and read the recent past of the receipts."""

from __future__ import annotations

from collections.abc import Mapping

from bus.broker.port import Broker, TopicPartition
from bus.catalog.wire import Reader
from bus.log.partition import opened, places_of
from bus.monitor.receipts import read_receipts
from bus.monitor.windows import Windows

_CLIENT = "renkei-monitor"
MOST_RECEIPTS = 20_000  # of each partition: some minutes at full load, days in a quiet town


async def recent_past(
    broker: Broker, topic: str, most: int = MOST_RECEIPTS
) -> Mapping[TopicPartition, tuple[int, int]]:
    """By partition, the offset where its last *most* receipts begin, and its end."""
    places = await places_of(broker, topic)
    async with opened(broker, _CLIENT) as log:
        bounds = await log.bounds_of(places)
    return {place: (max(begin, end - most), end) for place, (begin, end) in bounds.items()}


async def read_recent(broker: Broker, topic: str, reader: Reader) -> Windows:
    """Windows of the recent past, read from the log without the monitor.

    Raises:
        BrokerUnavailable: The broker does not answer, or does not give what it has.
    """
    windows = Windows()
    bounds = await recent_past(broker, topic)
    async with opened(broker, _CLIENT) as log:
        async for piece in log.read_together(bounds, at_once=MOST_RECEIPTS):
            present = [
                (value, at)
                for value, at in zip(piece.values, piece.timestamps_ms, strict=True)
                if value is not None
            ]
            seen, _ = await read_receipts(
                reader, [value for value, _ in present], [at for _, at in present]
            )
            for one in seen:
                windows.add(one)
    return windows
