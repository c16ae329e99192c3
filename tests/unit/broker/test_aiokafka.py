"""What the bus uses of aiokafka that aiokafka does not promise: this fails first when it changes.

``bus.broker.kafka.consumer`` puts a mapping of its own in place of ``Fetcher._records``, by which
records come as the library decoded them, and ends the library's tasks itself. Nothing else would
tell that a new release does these things in another way: records would come all the same, only
slower, and a close could wait without end.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher as library
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from packaging.requirements import Requirement

from bus.broker.kafka.consumer import _UnwrappedRecords

ROOT = Path(__file__).parents[3]
PLACE = TopicPartition("t", 0)
RECORDS = [(b"k0", b"v0"), (b"k1", None), (b"k2", b"v2")]


def decoded() -> library.PartitionRecords:
    """Three records, as the library makes them of what a broker answers."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    for at, (key, value) in enumerate(RECORDS):
        assert builder.append(at, 1_700_000_000_000 + at, key, value, []) is not None
    return library.PartitionRecords(
        PLACE, MemoryRecords(bytes(builder.build())), [], 0, None, None, True, 0
    )


@pytest.fixture
async def fetcher(monkeypatch: pytest.MonkeyPatch):
    """The library's own, which asks no broker, with a partition that is read from its beginning."""

    async def nothing(_self: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(library.Fetcher, "_fetch_requests_routine", nothing)
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user({PLACE})
    assignment = subscriptions.subscription.assignment
    assignment.state_value(PLACE).seek(0)
    client = SimpleNamespace(_loop=asyncio.get_running_loop(), _metadata_max_age_ms=300_000)
    made = library.Fetcher(client, subscriptions)
    yield made, assignment
    await made.close()


async def fetched(made: library.Fetcher, assignment: object) -> list[Any]:
    made._records[PLACE] = library.FetchResult(
        PLACE, assignment=assignment, partition_records=decoded(), backoff=0
    )
    return (await made.fetched_records([PLACE]))[PLACE]


async def test_the_library_wraps_each_record(fetcher) -> None:
    """By itself: that is what the mapping is for. If not, it can go."""
    made, assignment = fetcher

    rows = await fetched(made, assignment)

    assert type(made._records) is OrderedDict
    assert {type(row) for row in rows} == {ConsumerRecord}


async def test_in_our_mapping_it_wraps_none(fetcher) -> None:
    """And they have what is read of them, to the last."""
    made, assignment = fetcher
    made._records = _UnwrappedRecords()

    rows = await fetched(made, assignment)

    assert not any(isinstance(row, ConsumerRecord) for row in rows)
    assert [(row.offset, row.key, row.value) for row in rows] == [
        (at, key, value) for at, (key, value) in enumerate(RECORDS)
    ]
    assert [row.timestamp for row in rows] == [1_700_000_000_000 + at for at in range(3)]
    assert assignment.state_value(PLACE).position == 3


async def test_the_tasks_that_are_ended_are_there(fetcher) -> None:
    """Those of a fetcher, and the client of a consumer."""
    made, _ = fetcher
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")

    assert isinstance(made._fetch_task, asyncio.Task)
    assert made._pending_tasks == set()
    assert consumer._fetcher is None
    assert callable(consumer._client.close)
    await consumer.stop()


def test_the_dependency_goes_no_further_than_this_was_seen() -> None:
    """A release that nobody has held against the above is not taken."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (asked,) = [r for r in map(Requirement, project["dependencies"]) if r.name == "aiokafka"]

    assert any(part.operator == "<" for part in asked.specifier)
    assert version("aiokafka") in asked.specifier
