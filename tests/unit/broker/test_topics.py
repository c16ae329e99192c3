"""Topics follow from the streams; what exists is compared, changed where that is safe."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.broker import Message, TopicSpec
from bus.broker.memory import MemoryBroker
from bus.broker.topics import TopicShape, apply, specs, states
from bus.errors import ConfigurationError
from bus.model import Stream

SHAPE = TopicShape(
    partitions=4, replication=1, compaction_lag=timedelta(days=30), max_message_bytes=1_000_000
)


def stream(name: str) -> Stream:
    return Stream(name=name, ja=name, versions=(), event_types=(), items=())


def test_a_streams_topic_keeps_the_newest_of_everyone() -> None:
    """Compacted after 30 days; an erasure stays for 35, so that no lane misses it."""
    (spec,) = specs([stream("resident")], SHAPE)

    assert spec == TopicSpec(
        "linkage.resident",
        4,
        1,
        {
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": "2592000000",
            "delete.retention.ms": "3024000000",
            "max.message.bytes": "1000000",
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": "1",
        },
    )


def test_receipts_are_never_compacted() -> None:
    """Every receipt is a statement of its own; exceptions are states."""
    exception, receipt = specs([stream("receipt"), stream("exception")], SHAPE)

    assert exception.config["cleanup.policy"] == "compact"
    assert receipt.config["cleanup.policy"] == "delete"
    assert int(receipt.config["retention.ms"]) > 5 * 365 * 86_400_000


@pytest.mark.parametrize(("replication", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_two_replicas_acknowledge_where_there_are_three(replication: int, in_sync: str) -> None:
    """An acknowledged event survives the loss of one broker."""
    shape = TopicShape(4, replication, timedelta(days=30), 1_000_000)

    (spec,) = specs([stream("resident")], shape)

    assert spec.replication == replication
    assert spec.config["min.insync.replicas"] == in_sync


async def test_applying_makes_and_mends() -> None:
    """What is missing is made, what differs is changed, and a second time there is nothing."""
    broker = MemoryBroker()
    wanted = specs([stream("resident"), stream("household")], SHAPE)
    await broker.create_topics([TopicSpec("linkage.household", 4, 1, {"cleanup.policy": "delete"})])

    before = await states(broker, wanted)
    await apply(broker, before)
    after = await states(broker, wanted)

    household, resident = before
    assert household.drift["cleanup.policy"] == ("delete", "compact")
    assert resident.partitions is None
    assert [(state.partitions, state.drift) for state in after] == [(4, {}), (4, {})]


async def test_the_number_of_partitions_is_never_changed() -> None:
    """A topic with another number is named and refused, and nothing else is touched."""
    broker = MemoryBroker()
    await broker.create_topics([TopicSpec("linkage.resident", 3, 1, {})])
    wanted = specs([stream("resident"), stream("household")], SHAPE)

    with pytest.raises(ConfigurationError) as refused:
        await apply(broker, await states(broker, wanted))

    assert refused.value.where == {"topics": "linkage.resident", "has": "3", "wanted": 4}
    assert await broker.partitions(["linkage.household"]) == {}


async def test_size_in_events() -> None:
    """A topic's size is what lies between its ends, over all partitions."""
    broker = MemoryBroker()
    wanted = specs([stream("resident")], SHAPE)
    await apply(broker, await states(broker, wanted))
    producer = broker.producer()
    await producer.start()
    await producer.send([Message("linkage.resident", p, b"k", b"v") for p in (0, 1, 1, 3)])

    (state,) = await states(broker, wanted)

    assert state.events == 4
