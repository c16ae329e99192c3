"""Ask the log when it took an event, by the broker's clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bus.broker import Broker, Consumer, TopicPartition

READ_WITHIN = timedelta(seconds=2)
"""How long a single event is waited for; what does not come has no time."""


class Appended(NamedTuple):
    """Where an event is, and when the log took it."""

    offset: int
    at: datetime


async def appended(
    reader: Consumer,
    wanted: Collection[tuple[TopicPartition, int]],
    within: timedelta = READ_WITHIN,
) -> Mapping[tuple[TopicPartition, int], Appended]:
    """Of each of these places in the log, the event there or, where that is gone, the next one;
    absent where nothing is there, or comes *within* that time.

    Args:
        reader: A started consumer of nobody else's: it is sent from place to place.

    Raises:
        Unavailable: The broker does not answer.
    """
    found: dict[tuple[TopicPartition, int], Appended] = {}
    ends = await reader.end_offsets(sorted({place for place, _ in wanted}))
    for place, offset in sorted(wanted):
        if offset >= ends[place]:
            continue
        await reader.assign([place])
        reader.seek(place, offset)
        for piece in await reader.fetch(1, within):
            at = datetime.fromtimestamp(piece.timestamps_ms[0] / 1_000, UTC)
            found[place, offset] = Appended(piece.offsets[0], at)
    return found


async def logged_at(
    broker: Broker, wanted: Collection[tuple[TopicPartition, int]]
) -> dict[tuple[TopicPartition, int], datetime]:
    """By place and offset, when the log took each event; absent if it is not in the log.

    Raises:
        Unavailable: The broker does not answer.
    """
    if not wanted:
        return {}
    reader = broker.consumer(client_id="renkei-times")
    await reader.start()
    try:
        found = await appended(reader, wanted)
    finally:
        await reader.close()
    return {place: event.at for place, event in found.items() if event.offset == place[1]}
