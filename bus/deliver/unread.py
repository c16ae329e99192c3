"""Find an event that nobody can read, for an operator who sets it aside by reference."""

from __future__ import annotations

from bus.broker import Broker, group_of
from bus.deliver.readback import read_back
from bus.deliver.state import LaneName
from bus.errors import ConfigurationError


async def key_unread(
    broker: Broker, lane: LaneName, topic: str, offset: int, *, is_stuck: bool
) -> bytes | None:
    """The key of the event at *offset*, which *lane* has yet to pass.

    Once a lane has passed an event it is in the store, and setting it aside would only hold up
    its subject. Its group knows how far it is; but a store that was restored is further back, and
    then the lane's own word that it is stuck there (*is_stuck*) counts more.

    Raises:
        ConfigurationError: There is no such event, the lane has passed it, or it is an erasure.
        BrokerUnavailable: The broker does not answer.
    """
    where = {**lane._asdict(), "offset": offset}
    place = (topic, lane.partition)
    if lane.partition >= (await broker.partitions([topic])).get(topic, 0):
        raise ConfigurationError("the stream has no such partition", **where)
    if not is_stuck and offset < (await broker.committed(group_of(lane.system))).get(place, 0):
        raise ConfigurationError("the lane has passed this event already", **where)
    found = (await read_back(broker, place, {offset: ""})).found.get(offset)
    if found is None:
        raise ConfigurationError("the log has no event at this offset", **where)
    key, value = found
    if value is None:
        raise ConfigurationError("an erasure is not set aside", **where)
    return key
