"""Members of a group in memory come and go as on a real cluster: also if they do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from bus.broker import TopicPartition, TopicSpec
from bus.broker.memory import MemoryBroker, MemoryConsumer
from tests.support.madeup import passes


@pytest.mark.parametrize("step", ["joins", "leaves"])
@pytest.mark.made_up_time
async def test_a_member_that_does_not_wait_takes_nothing_with_it(step: str) -> None:
    """Cancelled while another one gives up its partitions: that one is dealt all of them anew,
    and not before it has given them up."""
    broker = MemoryBroker()
    await broker.create_topics([TopicSpec("linkage.resident", 4, 1, {})])
    said: list[str] = []
    owned: list[TopicPartition] = []

    async def assigned(places: Sequence[TopicPartition]) -> None:
        said.append("taken")
        owned[:] = places

    async def revoked(_: Sequence[TopicPartition]) -> None:
        said.append("giving up")
        await passes(0.02)
        said.append("given up")

    async def nothing(_: Sequence[TopicPartition]) -> None:
        return

    async def member() -> MemoryConsumer:
        consumer = broker.consumer("group")
        await consumer.start()
        return consumer

    first, second = await member(), await member()
    await first.subscribe(["linkage.resident"], assigned, revoked)
    await first.fetch(1, timedelta())
    if step == "leaves":
        await second.subscribe(["linkage.resident"], nothing, nothing)
        await first.fetch(1, timedelta())
    said.clear()
    does = second.subscribe(["linkage.resident"], nothing, nothing)
    going = asyncio.ensure_future(does if step == "joins" else second.close())
    if step == "leaves":
        does.close()
    await passes(0.01)
    going.cancel()
    await passes(0.03)
    if step == "joins":
        await second.close()
    await first.fetch(1, timedelta())

    assert len(owned) == 4
    assert said[:2] == ["giving up", "given up"]
    assert said[-1] == "taken"
