"""The publisher on the real Kafka and registry."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, TopicPartition

from bus.broker.port import ENVELOPE_BYTES
from bus.catalog.columns import arrow_schema
from bus.model import Change
from bus.publish.body import Fitter
from bus.publish.identity import change_id_from, event_id_of
from bus.publish.rows import StreamRows, add_rows
from tests.support.changes import body, change, record

pytestmark = pytest.mark.service


def changed(value: dict[str, Any]) -> Change:
    """A change as it is read from a file, with an id that follows from it."""
    text = json.dumps(value)
    parsed = Change.model_validate_json(text, strict=True)
    made = change_id_from(text.encode(), parsed.processed_at, bytes(32))
    return parsed.model_copy(update={"change_id": parsed.change_id or made})


async def test_a_change_arrives_as_it_was(cluster: Any) -> None:
    """What goes in comes out for any reader, under the key that any client agrees on."""
    name = "辻\U000e0100﨑ｶﾞ𠮷"
    given = changed(change(record(body=body("resident", name__full=name)), record("household")))

    async with cluster.publisher() as publisher:
        (outcome,) = await publisher.publish([given])

    assert outcome.is_published
    (event,) = await cluster.events("resident")
    assert event["name"]["full"] == name
    assert event["header"]["event_id"] == event_id_of(given.change_id or "", 0)
    assert len(await cluster.events("household")) == 1


async def test_publishers_one_after_the_other(cluster: Any) -> None:
    """The next one knows from the log where each subject stands, and doubles nothing."""
    first = [
        changed(change(record(subject_id=f"{n:015d}", nature="RECORD", version=3)))
        for n in range(50)
    ]
    second = [changed(change(record(subject_id=f"{n:015d}", version=4))) for n in range(50)]
    async with cluster.publisher() as publisher:
        await publisher.publish(first)

    async with cluster.publisher(learn=["resident"]) as publisher:
        assert len(publisher._tail.index("resident")) == 50
        outcomes = await publisher.publish([*first, *second])

    assert all(outcome.is_published for outcome in outcomes)
    assert sum(outcome.resent for outcome in outcomes) == 50
    events = await cluster.events("resident")
    versions: dict[str, list[int]] = {}
    for event in events:
        versions.setdefault(event["header"]["subject_id"], []).append(event["header"]["version"])
    assert versions == {f"{number:015d}": [3, 4] for number in range(50)}


async def test_two_publishers_in_turns(cluster: Any) -> None:
    """Each reads what the other appended before it sends."""
    async with cluster.publisher() as one, cluster.publisher() as two:
        for version in range(1, 11):
            publisher = one if version % 2 else two
            (outcome,) = await publisher.publish([changed(change(record(version=version)))])
            assert outcome.is_published, outcome.faults

    events = await cluster.events("resident")
    assert [event["header"]["version"] for event in events] == list(range(1, 11))


async def test_the_size_that_is_let_through_is_accepted(cluster: Any) -> None:
    """An event just below the topic's limit is appended; one byte more is refused unsent."""

    def household(size: int) -> dict[str, Any]:
        members = [{"subject_id": f"{n:015d}"} for n in range(size)]
        return body("household", members=members, member_count=size, head_subject_id=None)

    async with cluster.publisher() as publisher:
        sizes = range(5_840, 5_880)
        outcomes = await publisher.publish(
            [
                changed(
                    change(record("household", subject_id=f"{10_000 + n:015d}", body=household(n)))
                )
                for n in sizes
            ]
        )

    refused = [n for n, outcome in zip(sizes, outcomes, strict=True) if not outcome.is_published]
    assert 0 < len(refused) < len(sizes)
    assert refused == list(range(refused[0], sizes.stop))
    assert {outcomes[-1].faults[-1].code} == {"too-large"}
    assert len(await cluster.events("household")) == len(sizes) - len(refused)
    consumer = Consumer({"bootstrap.servers": cluster.engines.kafka, "group.id": cluster.prefix})
    try:
        topic = cluster.prefix + "linkage.household"
        largest = 0
        for partition in range(3):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            consumer.assign([TopicPartition(topic, partition, 0)])
            for _ in range(end):
                message = consumer.poll(10)
                assert message is not None
                largest = max(largest, len(message.key() or b"") + len(message.value() or b""))
    finally:
        consumer.close()
    assert 100_000 - ENVELOPE_BYTES - 18 < largest <= 100_000 - ENVELOPE_BYTES


async def test_columns_in_bulk(cluster: Any) -> None:
    """Batches keep their order, arrive once, and are recognised when they come again."""
    stream = cluster.catalog.stream("resident")
    schema = arrow_schema(stream.latest)

    def batch(version: int) -> pa.RecordBatch:
        rows, fitters = {"resident": StreamRows()}, {"resident": Fitter(stream)}
        for number in range(1_000):
            value = record(subject_id=f"{number:015d}", version=version, nature="RECORD")
            one = changed(change(value))
            add_rows(rows, fitters, number, one, one.change_id or "")
        return rows["resident"].batch(schema)

    batches = [await asyncio.to_thread(batch, version) for version in (1, 2, 3)]
    async with cluster.publisher() as publisher:
        first = [found async for found in publisher.publish_batches(stream, batches)]
        again = [found async for found in publisher.publish_batches(stream, batches)]

    assert [found.published for found in first] == [1_000] * 3
    assert [found.resent for found in again] == [1_000] * 3
    events = await cluster.events("resident")
    assert len(events) == 3_000
    by_subject: dict[str, list[int]] = {}
    for event in events:
        by_subject.setdefault(event["header"]["subject_id"], []).append(event["header"]["version"])
    assert set(map(tuple, by_subject.values())) == {(1, 2, 3)}
