"""Find which events of a stream's partition were ever set aside, in any system.

An event of another stream's schema stops a publisher, as it stops a lane: ids may mean something
else than they did. Once an operator has set that very event aside (``renkei parked add``), a
person has judged it, and the publisher passes it over like any other that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bus.broker.port import Broker
from bus.catalog import Catalog
from bus.catalog.decoding import read_what_can_be
from bus.catalog.registry import SchemaIds
from bus.catalog.wire import Reader
from bus.errors import SchemaMismatch
from bus.log.partition import opened


async def set_aside(
    broker: Broker, catalog: Catalog, registry: SchemaIds, stream: str, partition: int
) -> set[int]:
    """Offsets of the partition that have an exception, open or closed.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    exceptions = catalog.stream("exception")
    reader = Reader(exceptions, catalog, registry)
    found: set[int] = set()
    count = (await broker.partitions([exceptions.topic])).get(exceptions.topic, 0)
    async with opened(broker, "renkei-publish-exceptions") as log:
        for number in range(count):
            place = (exceptions.topic, number)
            async for piece in log.read(place, *await log.bounds(place)):
                values = [value for value in piece.values if value is not None]
                for row in await _rows(reader, values):
                    if (row["stream"], row["partition"]) == (stream, partition):
                        found.add(row["offset"])
    return found


async def _rows(reader: Reader, values: Sequence[bytes]) -> list[dict[str, Any]]:
    readable = await read_what_can_be(reader, values, refuse=(SchemaMismatch,))
    return readable.records.to_pylist() if readable.records is not None else []
