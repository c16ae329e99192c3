"""Ask the log when it took an event, by the broker's clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from bus.broker import Broker, TopicPartition

_READ_WITHIN = timedelta(seconds=2)


async def logged_at(
    broker: Broker, wanted: Collection[tuple[TopicPartition, int]]
) -> dict[tuple[TopicPartition, int], datetime]:
    """By place and offset, when the log took each event; absent if it is not in the log.

    Raises:
        Unavailable: The broker does not answer.
    """
    found: dict[tuple[TopicPartition, int], datetime] = {}
    if not wanted:
        return found
    reader = broker.consumer(client_id="renkei-times")
    await reader.start()
    try:
        for place, offset in sorted(wanted):
            if offset >= (await reader.end_offsets([place]))[place]:
                continue
            await reader.assign([place])
            reader.seek(place, offset)
            for piece in await reader.fetch(1, _READ_WITHIN):
                if piece.offsets[0] == offset:
                    at = piece.timestamps_ms[0] / 1_000
                    found[place, offset] = datetime.fromtimestamp(at, UTC)
    finally:
        await reader.close()
    return found
