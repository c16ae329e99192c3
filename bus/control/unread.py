"""Find an event that cannot be read, for an operator who sets it aside by reference."""

from __future__ import annotations

from dataclasses import dataclass

from bus.broker import Broker, group_of
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.errors import ConfigurationError, SchemaMismatch, UnknownName
from bus.log.readback import read_back
from bus.model import LaneName


@dataclass(frozen=True, slots=True)
class Unread:
    """An event as the log has it, not decoded."""

    offset: int
    key: bytes | None
    value: bytes

    async def can_be_read(self, reader: BatchReader) -> bool:
        """Whether it can be decoded after all.

        Raises:
            Unavailable: The registry does not answer.
        """
        readable = await read_what_can_be(reader, [self.value], refuse=(SchemaMismatch,))
        return not readable.refused


async def unread_at(broker: Broker, topic: str, partition: int, offset: int) -> Unread:
    """The event at this place.

    Raises:
        UnknownName: There is no such event.
        ConfigurationError: It is an erasure.
        BrokerUnavailable: The broker does not answer.
    """
    where = {"topic": topic, "partition": partition, "offset": offset}
    if partition >= (count := (await broker.partitions([topic])).get(topic, 0)):
        raise UnknownName("the stream has no such partition", **where, partitions=count)
    found = (await read_back(broker, (topic, partition), {offset: ""})).found.get(offset)
    if found is None:
        raise UnknownName("the log has no event at this offset", **where)
    key, value = found
    if value is None:
        raise ConfigurationError("an erasure is not set aside", **where)
    return Unread(offset, key, value)


async def has_passed(broker: Broker, lane: LaneName, topic: str, offset: int) -> bool:
    """Whether a lane has passed this place, by its group's committed offset.

    Once a lane has passed an event it is in the store, and setting it aside would only hold up
    its subject. But a store that was restored is further back than its group knows, and then the
    lane's own word that it is stuck there counts more.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    offsets = await broker.committed(group_of(lane.system))
    return offset < offsets.get((topic, lane.partition), 0)
