"""Which events of a stream's partition were ever set aside, in any system.

An event of another stream's schema stops a publisher, as it stops a lane: ids may mean something
else than they did. Once an operator has set that very event aside (``renkei parked add``), a
person has judged it, and the publisher passes it over like any other that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bus.broker.port import Broker, Place
from bus.catalog import Catalog
from bus.catalog.reading import read_what_can_be
from bus.catalog.registry import SchemaIds
from bus.catalog.wire import Reader
from bus.errors import BrokerUnavailable, SchemaMismatch

_FETCH_RECORDS = 10_000
_STEP = timedelta(seconds=1)
_PATIENCE = 20  # such waits before the broker counts as away


async def set_aside(
    broker: Broker, catalog: Catalog, registry: SchemaIds, stream: str, partition: int
) -> set[int]:
    """Offsets of the partition for which there is an exception, whatever became of it.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    exceptions = catalog.stream("exception")
    reader = Reader(exceptions, catalog, registry)
    found: set[int] = set()
    count = (await broker.partitions([exceptions.topic])).get(exceptions.topic, 0)
    for number in range(count):
        for row in await _rows(reader, await _values(broker, (exceptions.topic, number))):
            if (row["stream"], row["partition"]) == (stream, partition):
                found.add(row["offset"])
    return found


async def _values(broker: Broker, place: Place) -> list[bytes]:
    consumer = broker.consumer(client_id="renkei-publish-exceptions")
    values: list[bytes] = []
    try:
        await consumer.start()
        await consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        silent = 0
        while await consumer.position(place) < end:
            pieces = await consumer.fetch(_FETCH_RECORDS, _STEP)
            values += [value for piece in pieces for value in piece.values if value is not None]
            silent = 0 if pieces else silent + 1
            if silent > _PATIENCE:
                raise BrokerUnavailable("the log does not give what it has", topic=place[0])
    finally:
        await consumer.close()
    return values


async def _rows(reader: Reader, values: Sequence[bytes]) -> list[dict[str, Any]]:
    readable = await read_what_can_be(reader, values, refuse=(SchemaMismatch,))
    return readable.records.to_pylist() if readable.records is not None else []
