"""When the log took an event: asked of the log, by place and offset."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bus.broker import Message, TopicSpec
from bus.broker.memory import MemoryBroker
from bus.errors import BrokerUnavailable
from bus.log.times import appended, logged_at

TOPIC = "linkage.resident"


async def test_the_log_s_time_of_each_event() -> None:
    """What compaction took, or is not there yet, has none."""
    broker = MemoryBroker()
    await broker.create_topics([TopicSpec(TOPIC, 2, 1, {})])
    producer = broker.producer()
    await producer.start()
    before = datetime.now(UTC).replace(microsecond=0)
    await producer.send([Message(TOPIC, 0, key, b"v") for key in (b"a", b"b", b"a")])
    await producer.send([Message(TOPIC, 1, b"c", b"v")])
    await producer.close()
    broker.compact(TOPIC)

    wanted = [((TOPIC, 0), offset) for offset in (0, 1, 2, 7)] + [((TOPIC, 1), 0)]
    found = await logged_at(broker, wanted)

    assert found.keys() == {((TOPIC, 0), 1), ((TOPIC, 0), 2), ((TOPIC, 1), 0)}
    assert all(before <= at <= datetime.now(UTC) for at in found.values())
    assert await logged_at(broker, []) == {}
    reader = broker.consumer()
    of_the_next = await appended(reader, wanted)
    assert {place: event.offset for place, event in of_the_next.items()} == {
        ((TOPIC, 0), 0): 1,
        ((TOPIC, 0), 1): 1,
        ((TOPIC, 0), 2): 2,
        ((TOPIC, 1), 0): 0,
    }
    broker.is_away = True
    with pytest.raises(BrokerUnavailable):
        await logged_at(broker, wanted)
