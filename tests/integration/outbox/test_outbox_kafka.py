"""From a clerk's commit to Kafka: the real publisher, registry and broker."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import structlog

from bus.catalog import load
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.errors import BrokerUnavailable
from bus.failpoints import Point
from bus.local.endpoints import Endpoints
from bus.publish.held_changes import KeyGate
from bus.publish.publisher import Publisher, PublisherSettings
from bus.publish.runner import Runner
from bus.sealing import Seals
from connectors.outbox import upkeep
from tests.support.changes import body, change, record
from tests.support.keys import Pocket
from tests.support.on_kafka import own_topics
from tests.support.outbox import SYSTEM, Outbox, hand_over, until
from tests.support.own_topics import OwnTopics

pytestmark = pytest.mark.service

CATALOG = load()
STREAMS = ("resident", "household", "protection", "individual_number")


@dataclass
class Way:
    """An outbox, and topics of the test's own."""

    outbox: Outbox
    broker: OwnTopics
    registry: Registry

    def publisher(self, guard: Callable[[], None]) -> Publisher:
        return Publisher(CATALOG, self.registry, self.broker, guard=guard)

    def relay(self) -> Runner:
        return self.outbox.relay(publisher=self.publisher)

    async def events(self, name: str = "resident") -> list[dict[str, Any]]:
        """Headers of what is in a stream's topic, with where it is, in the log's order."""
        stream = CATALOG.stream(name)
        reader = Reader(stream, CATALOG, self.registry)
        consumer = self.broker.consumer()
        await consumer.start()
        try:
            count = (await self.broker.partitions([stream.topic]))[stream.topic]
            places = [(stream.topic, number) for number in range(count)]
            await consumer.assign(places)
            ends = await consumer.end_offsets(places)
            for place in places:
                consumer.seek(place, 0)
            found: list[dict[str, Any]] = []
            while len(found) < sum(ends.values()):
                for piece in await consumer.fetch(10_000, timedelta(seconds=5)):
                    batch = await reader.read([value for value in piece.values if value])
                    headers: list[Any] = batch.column("header").to_pylist()
                    found += headers
            return found
        finally:
            await consumer.close()


@pytest.fixture
async def way(outbox: Outbox, engines: Endpoints) -> AsyncIterator[Way]:
    """Topics for the three streams, gone afterwards."""
    streams = [CATALOG.stream(name) for name in STREAMS]
    patience = timedelta(seconds=5)
    async with (
        Registry(engines.registry) as registry,
        own_topics(engines.kafka, streams, partitions=3, patience=patience) as broker,
    ):
        await registry.push(CATALOG, dry_run=False)
        yield Way(outbox, broker, registry)


def numbers(count: int) -> list[str]:
    """宛名番号 that differ; a wrong check digit is a warning."""
    return [f"{number:015d}" for number in range(1, count + 1)]


async def test_a_clerks_change_is_in_kafka(way: Way) -> None:
    """Whole, under its id, with the events of all its records."""
    (name,) = way.outbox.publish(
        change(record(), record("household", subject_id="000000000000019"))
    )

    async with way.outbox.relaying(way.relay()):
        await until(lambda: way.outbox.pending() == 0)

    (resident,), (household,) = await way.events(), await way.events("household")
    assert resident["change_id"] == household["change_id"] == name
    assert {resident["change_size"], household["change_size"]} == {2}
    assert await upkeep.refused(SYSTEM, way.outbox.uri) == []


async def test_faults_of_the_check_are_kept_with_the_change(way: Way) -> None:
    """Codes and Japanese names of items, no values; the next change of a stranger passes."""
    way.outbox.publish(
        change(record(body=body("resident", sex="秘密"))),
        change(record(version=2)),
        change(record(subject_id=numbers(1)[0])),
    )

    async with way.outbox.relaying(way.relay()):
        await until(lambda: way.outbox.pending() == 0)

    wrong, behind = await upkeep.refused(SYSTEM, way.outbox.uri)
    assert [(r["code"], r["field"]) for r in wrong.reasons if "field" in r]
    assert "秘密" not in repr(wrong)
    assert [reason["code"] for reason in behind.reasons] == ["version-gap"]
    assert behind.behind == wrong.seq
    assert [event["subject_id"] for event in await way.events()] == numbers(1)


async def test_without_keys_a_number_waits_and_others_go(way: Way) -> None:
    """By the real publisher: the relay does not end, and sends it sealed once there is a key."""
    pocket = Pocket()
    seals = Seals(pocket)
    people = numbers(2)
    way.outbox.publish(
        change(record("individual_number", subject_id=people[0])),
        change(record(subject_id=people[1])),
    )

    def publisher(guard: Callable[[], None]) -> Publisher:
        return Publisher(
            CATALOG,
            way.registry,
            way.broker,
            PublisherSettings(asks_keys=False),
            guard=guard,
            seals=seals,
        )

    relay = way.outbox.relay(publisher=publisher, gate=KeyGate(seals, {"individual_number"}))
    with structlog.testing.capture_logs() as logs:
        async with way.outbox.relaying(relay):
            await until(lambda: way.outbox.pending() == 1)
            assert await way.events("individual_number") == []
            pocket.hold("k1")
            await until(lambda: way.outbox.pending() == 0)

    assert [event["subject_id"] for event in await way.events()] == [people[1]]
    assert [event["subject_id"] for event in await way.events("individual_number")] == [people[0]]
    assert "task-ended" not in {log["event"] for log in logs}
    assert await upkeep.refused(SYSTEM, way.outbox.uri) == []


class Died(BaseException):
    """The process, at a point: nothing that a relay could survive."""


@pytest.mark.parametrize("point", [p for p in Point if p.value.startswith("relay-")])
async def test_dying_between_two_steps_doubles_nothing_in_kafka(
    way: Way, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was appended but not marked is recognised by its event id."""

    def die(reached: Point) -> None:
        if reached is point:
            raise Died

    changes = [change(record(subject_id=n, version=v)) for v in (1, 2, 3) for n in numbers(20)]
    way.outbox.publish(*changes)
    with monkeypatch.context() as patched:
        patched.setattr("bus.publish.runner.passed", die)
        with pytest.raises(Died):
            await way.relay().run()

    async with way.outbox.relaying(way.relay()):
        await until(lambda: way.outbox.pending() == 0)

    events = await way.events()
    assert len(events) == len({event["event_id"] for event in events}) == 60
    by_subject: dict[str, list[int]] = {}
    for event in events:
        by_subject.setdefault(event["subject_id"], []).append(event["version"])
    assert set(map(tuple, by_subject.values())) == {(1, 2, 3)}


async def test_an_answer_that_was_lost_doubles_nothing(way: Way) -> None:
    """Appended, but the broker's answer never came: asked again, the events are there already."""

    class Deaf(Publisher):
        calls = 0

        async def publish(self, changes: Any) -> Any:
            outcomes = await super().publish(changes)
            Deaf.calls += 1
            if Deaf.calls == 1:
                raise BrokerUnavailable("the answer was lost")
            return outcomes

    way.outbox.publish(*(change(record(subject_id=n)) for n in numbers(5)))
    relay = way.outbox.relay(
        publisher=lambda guard: Deaf(CATALOG, way.registry, way.broker, guard=guard)
    )
    async with way.outbox.relaying(relay):
        await until(lambda: way.outbox.pending() == 0)

    assert Deaf.calls == 2
    assert set(Counter(event["event_id"] for event in await way.events()).values()) == {1}


async def test_commit_to_acknowledged_takes_milliseconds(way: Way) -> None:
    """Twenty changes a second: each is in Kafka long before the next is entered."""
    took: list[float] = []
    async with way.outbox.relaying(way.relay()):
        way.outbox.publish(change(record(subject_id="000000000000000")))
        await until(lambda: way.outbox.pending() == 0)
        with way.outbox.connect() as session:
            for number in numbers(60):
                value = change(record(subject_id=number))
                await asyncio.to_thread(hand_over, session, value)
                await asyncio.sleep(0.05)
    took = [
        float(row[0])
        for row in way.outbox.rows(
            "SELECT extract(epoch FROM sent_at - created_at) * 1000 FROM renkei.outbox"
            " ORDER BY seq OFFSET 1"
        )
    ]

    print(
        f"p50 {statistics.median(took):.1f} ms, p95 {statistics.quantiles(took, n=20)[-1]:.1f} ms"
    )
    assert len(took) == 60
    assert statistics.median(took) < 100


async def test_a_backlog_goes_by_the_thousand(way: Way) -> None:
    """What gathered while a relay was away is sent in large batches."""
    with way.outbox.connect(autocommit=False) as session:
        for at, number in enumerate(numbers(3_000)):
            hand_over(session, change(record(subject_id=number)))
            if at % 500 == 499:
                session.commit()

    began = time.monotonic()
    async with way.outbox.relaying(way.relay()):
        await until(lambda: way.outbox.pending() == 0, within=60)
    rate = 3_000 / (time.monotonic() - began)

    print(f"{rate:.0f} changes/s")
    assert rate > 500
    assert len(await way.events()) == 3_000
