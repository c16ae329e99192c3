"""Find which events of a stream's partition were ever set aside, in any system.

An event of another stream's schema stops a publisher, as it stops a lane: ids may mean something
else than they did. Once an operator has set that very event aside (``renkei parked add``), a
person has judged it, and the publisher passes it over like any other that says nothing.
"""

from __future__ import annotations

from bus.broker.port import Broker
from bus.catalog.decoding import BatchReader
from bus.log.internal import rows_of
from bus.log.partition import opened
from bus.model import Stream


async def judged(
    broker: Broker, exceptions: Stream, reader: BatchReader, stream: str, partition: int
) -> set[int]:
    """Offsets of the partition that have an exception, open or closed.

    The index of what is parked (:class:`bus.control.parked.ParkedIndex`) forgets what is closed.

    Args:
        exceptions: The bus's own stream of them.
        reader: Of that stream.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    found: set[int] = set()
    count = (await broker.partitions([exceptions.topic])).get(exceptions.topic, 0)
    async with opened(broker, "renkei-exceptions") as log:
        async for piece in log.whole(exceptions.topic, count):
            for _, row in await rows_of(reader, piece):
                if (row["stream"], row["partition"]) == (stream, partition):
                    found.add(row["offset"])
    return found
