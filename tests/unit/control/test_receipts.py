"""Receipts on their way: in order, many at once, without end while nobody answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bus.backoff import BackOff
from bus.broker import Message, TopicSpec
from bus.broker.memory import MemoryBroker
from bus.control.receipts import Receipts
from bus.errors import EventTooLarge
from bus.log.internal import InternalTopic
from bus.model import Receipt
from bus.observe.tasks import Tasks
from tests.support.lanes import CATALOG, Town

AT = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)


def receipt(number: int, partition: int = 0) -> Receipt:
    return Receipt(
        system="child_allowance",
        stream="resident",
        partition=partition,
        start=number,
        end=number + 1,
        delivered=f"{{[{number},{number + 1})}}",
        view="f" * 64,
        rows=1,
        digest="d" * 64,
    )


@pytest.fixture
async def receipts(town: Town):
    producer = town.broker.producer()
    await producer.start()
    topic = InternalTopic(town.broker, producer, town.registry, CATALOG.stream("receipt"))
    back_off = BackOff(timedelta(milliseconds=1), timedelta(milliseconds=2))
    made = Receipts(topic, "cluster", town.clock, back_off, Tasks(), town.proofs)
    made.start()
    yield made
    await made.close()


async def test_says_everything(town: Town, receipts: Receipts) -> None:
    """All fields, the chain, the store's own time and the cluster."""
    said = receipt(7)
    await receipts.send(said, AT)

    (row,) = town.read_all("receipt")
    assert row["chain"] == said.chain
    assert row["applied_at"] == AT
    assert row["cluster_id"] == "cluster"
    assert not row["is_replay"]
    assert {name: row[name] for name in ("start", "end", "delivered", "rows")} == {
        "start": 7,
        "end": 8,
        "delivered": "{[7,8)}",
        "rows": 1,
    }


async def test_many_go_together(town: Town, receipts: Receipts, monkeypatch) -> None:
    """What is there at one time is one request, in the order given."""
    sent: list[int] = []
    real = receipts._topic._producer.send

    async def send(messages: list[Message]) -> object:
        sent.append(len(messages))
        return await real(messages)

    monkeypatch.setattr(receipts._topic._producer, "send", send)

    await asyncio.gather(*(receipts.send(receipt(n), AT) for n in range(50)))

    assert sent == [50]
    assert [row["start"] for row in town.read_all("receipt")] == list(range(50))


@pytest.mark.parametrize("away", ["memory", "registry"])
async def test_waits_without_end(town: Town, receipts: Receipts, away: str) -> None:
    """Neither a broker nor a registry that is away loses a receipt."""
    getattr(town, away).is_away = True
    waiting = receipts.send(receipt(1), AT)
    while len(town.moved.slept) < 5:  # noqa: ASYNC110 - the clock tells nobody
        await asyncio.sleep(0)
    assert not waiting.done()

    getattr(town, away).is_away = False
    await waiting

    assert len(town.read_all("receipt")) == 1


async def test_a_refusal_reaches_whoever_waits(town: Town, monkeypatch) -> None:
    """A receipt that can never be sent stops its lane instead of waiting silently."""
    broker = MemoryBroker(max_message_bytes=200)
    await broker.create_topics([TopicSpec("linkage.receipt", 1, 1, {})])
    producer = broker.producer()
    await producer.start()
    topic = InternalTopic(broker, producer, town.registry, CATALOG.stream("receipt"))
    back_off = BackOff(timedelta(1), timedelta(1))
    receipts = Receipts(topic, "cluster", town.clock, back_off, Tasks(), town.proofs)
    receipts.start()

    with pytest.raises(EventTooLarge):
        await receipts.send(receipt(1), AT)
    await receipts.close()
