"""The lanes of one stream are made into one sink, which all of them share."""

from __future__ import annotations

from datetime import timedelta

from bus.broker import TopicPartition
from bus.deliver.pulse import StorePulse
from bus.hosting.lane_maker import LaneMaker
from bus.hosting.roster import Roster
from bus.rebuild.filling import OwnConsumer
from connectors.memory.sink import MemoryStore
from tests.support.lanes import Town
from tests.unit.hosting.test_host import feed, opened

SYSTEM = "child_allowance"


async def test_lanes_of_a_stream_share_a_sink(town: Town, store: MemoryStore) -> None:
    """And each is of its own partition, asks for its position when it runs, and not before."""
    fed = feed(town, store, SYSTEM)
    asked: list[TopicPartition] = []

    async with opened(town) as process:
        consumer = process.cluster.broker.consumer()

        def consumer_for(place: TopicPartition) -> OwnConsumer:
            asked.append(place)
            return OwnConsumer(consumer, place)

        roster, pulse = Roster(SYSTEM, [fed], process), StorePulse(town.clock)
        make = LaneMaker(
            roster, process, pulse, consumer_for, sends_receipts=True, gather=timedelta()
        )

        one, other = make.lane((fed.topic, 0)), make.lane((fed.topic, 1))

    assert asked == [(fed.topic, 0), (fed.topic, 1)]
    assert [lane.state.partition for lane in (one, other)] == [0, 1]
    assert list(roster.sinks) == [fed.topic]
    assert roster.sinks[fed.topic].pulse is pulse
    assert not one.is_open
