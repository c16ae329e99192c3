"""A cluster in memory with the shipped streams, and changes judged without it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from bus.broker import Message, TopicSpec
from bus.broker.memory import MemoryBroker
from bus.broker.partitioner import partition_of
from bus.catalog import Catalog, load
from bus.catalog.columns import decode
from bus.errors import RegistryUnavailable, SchemaUnknown
from bus.model import Change, Fault, SchemaVersion
from bus.publish.body import Fitter
from bus.publish.check import Checker
from bus.publish.finding import faults_of
from bus.publish.publisher import Publisher, PublisherSettings
from bus.publish.rows import StreamRows, add_rows, without_repeats

NOW = datetime(2026, 4, 2, 1, 0, tzinfo=UTC)  # 10:00 in Japan
CHANGE_ID = "019d4be0-0000-7abc-8def-0123456789ab"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The shipped streams."""
    return load()


def changed(value: dict[str, Any]) -> Change:
    """A change, as it is read from JSON."""
    return Change.model_validate_json(json.dumps(value), strict=True)


@pytest.fixture
def parse() -> Callable[[dict[str, Any]], Change]:
    """Makes a change of what JSON says."""
    return changed


@pytest.fixture(scope="session")
def judge(catalog: Catalog) -> Callable[..., list[Fault]]:
    """What fit and checks say of the records of one change, all of one stream."""
    checkers = {n: Checker(catalog, s) for n, s in catalog.streams.items() if not s.is_internal}
    fitters = {name: Fitter(checker.stream) for name, checker in checkers.items()}

    def judged(value: dict[str, Any] | Change, now: datetime = NOW) -> list[Fault]:
        change = value if isinstance(value, Change) else changed(value)
        (stream,) = {record.stream for record in change.records}
        rows = {stream: StreamRows()}
        faults = add_rows(rows, fitters, 0, change, change.change_id or CHANGE_ID)
        batch = rows[stream].batch(checkers[stream].schema)
        return without_repeats([*faults, *faults_of(checkers[stream].find(batch, now))])

    return judged


class FakeRegistry:
    """Knows every shipped schema under a number; may be away."""

    def __init__(self, catalog: Catalog) -> None:
        versions = [v for stream in catalog.streams.values() for v in stream.versions]
        self._by_id = dict(enumerate(versions, start=100))
        self.is_away = False

    async def id_of(self, version: SchemaVersion) -> int:
        self._answer()
        for number, known in self._by_id.items():
            if known.text == version.text:
                return number
        raise SchemaUnknown("not registered", stream=version.stream)

    def forget(self, stream: str) -> None:
        """As if the stream's schemas had never been pushed."""
        self._by_id = {n: v for n, v in self._by_id.items() if v.stream != stream}

    async def schema_of(self, schema_id: int) -> str:
        self._answer()
        if schema_id not in self._by_id:
            raise SchemaUnknown("no such schema", schema_id=schema_id)
        return self._by_id[schema_id].text

    def _answer(self) -> None:
        if self.is_away:
            raise RegistryUnavailable("the registry does not answer")


@dataclass
class House:
    """A broker and the publishers at it."""

    catalog: Catalog
    broker: MemoryBroker
    registry: FakeRegistry
    now: datetime = NOW
    publishers: list[Publisher] = field(default_factory=list)

    async def publisher(self, **options: Any) -> Publisher:
        """A publisher that has started."""
        options.setdefault("now", lambda: self.now)
        reached = {name: options.pop(name, None) for name in ("guard", "seals", "metrics")}
        settings = PublisherSettings(**options)
        made = Publisher(self.catalog, self.registry, self.broker, settings, **reached)
        self.publishers.append(made)
        await made.start()
        return made

    async def append(self, stream: str, key: bytes, *values: bytes | None) -> None:
        """Append whatever it is, as somebody else might."""
        topic = self.catalog.stream(stream).topic
        producer = self.broker.producer()
        await producer.start()
        (place,) = partition_of([key], 3)
        await producer.send([Message(topic, place, key, value) for value in values])
        await producer.close()

    def log(self, stream: str) -> list[tuple[bytes, bytes | None]]:
        """What a stream's topic holds, partition by partition."""
        topic = self.broker._topics[self.catalog.stream(stream).topic]
        return [pair for log in topic.logs for pair in zip(log.keys, log.values, strict=True)]

    def events(self, stream: str) -> list[dict[str, Any]]:
        """The events of a stream's topic, decoded."""
        values = [value for _, value in self.log(stream) if value is not None]
        version = self.catalog.stream(stream).latest
        batch: pa.RecordBatch = decode(version, [value[5:] for value in values])
        found: list[dict[str, Any]] = batch.to_pylist()
        return found

    def versions(self, stream: str = "resident") -> list[tuple[str, int]]:
        """Subject and version of each event."""
        return [
            (event["header"]["subject_id"], event["header"]["version"])
            for event in self.events(stream)
        ]


@pytest.fixture
async def house(catalog: Catalog) -> AsyncIterator[House]:
    """Topics of three partitions each."""
    made = House(catalog, MemoryBroker(), FakeRegistry(catalog))
    await made.broker.create_topics(
        [TopicSpec(stream.topic, 3, 1, {}) for stream in catalog.streams.values()]
    )
    yield made
    for publisher in made.publishers:
        await publisher.close()
