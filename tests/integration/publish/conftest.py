"""Topics of a test's own on the real Kafka, with schemas in the real registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.broker import TopicPartition
from bus.broker.kafka import KafkaBroker
from bus.broker.topics import TopicShape, specs
from bus.catalog import Catalog, load
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.files import write_private
from bus.local.endpoints import Endpoints
from bus.operate.session import Openers, Session
from bus.publish.publisher import Publisher, PublisherSettings
from bus.sealing import file as keyfile
from bus.sealing.ring import new_key
from bus.settings import Settings
from tests.support.engines import unique
from tests.support.on_kafka import delete_topics
from tests.support.own_topics import OwnTopics

MOST_BYTES = 100_000


@dataclass
class Cluster:
    """The real engines, seen through a prefix of topic names."""

    catalog: Catalog
    engines: Endpoints
    prefix: str

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[OwnTopics, Registry]]:
        """A broker and a registry, closed afterwards."""
        broker = OwnTopics(
            KafkaBroker(self.engines.kafka, max_message_bytes=MOST_BYTES), self.prefix
        )
        await broker.start()
        try:
            async with Registry(self.engines.registry) as registry:
                yield broker, registry
        finally:
            await broker.close()

    @asynccontextmanager
    async def publisher(self, **options: Any) -> AsyncIterator[Publisher]:
        """A publisher that has started."""
        async with self.open() as (broker, registry):
            reached = {name: options.pop(name, None) for name in ("guard", "seals", "metrics")}
            settings = PublisherSettings(max_message_bytes=MOST_BYTES, **options)
            made = Publisher(self.catalog, registry, broker, settings, **reached)
            try:
                await made.start()
                yield made
            finally:
                await made.close()

    async def events(self, name: str) -> list[dict[str, Any]]:
        """What a stream's topic holds, partition by partition."""
        stream = self.catalog.stream(name)
        async with self.open() as (broker, registry):
            reader = Reader(stream, self.catalog, registry)
            consumer = broker.consumer()
            await consumer.start()
            try:
                count = (await broker.partitions([stream.topic]))[stream.topic]
                places = [(stream.topic, number) for number in range(count)]
                await consumer.assign(places)
                ends = await consumer.end_offsets(places)
                found: list[dict[str, Any]] = []
                while len(found) < sum(ends.values()):
                    for piece in await consumer.fetch(10_000, timedelta(seconds=5)):
                        values = [value for value in piece.values if value is not None]
                        found += (await reader.read(values)).to_pylist()
                return found
            finally:
                await consumer.close()


async def led(broker: OwnTopics, places: Sequence[TopicPartition]) -> None:
    """Wait until every partition has a leader: before that a command's client warns, in between
    what the command prints."""
    consumer = broker.consumer()
    await consumer.start()
    try:
        await consumer.assign(places)
        await consumer.end_offsets(places)
    finally:
        await consumer.close()


@contextmanager
def own_cluster(engines: Endpoints, streams: Collection[str]) -> Iterator[Cluster]:
    """Topics of these streams, gone afterwards; their schemas are in the registry."""
    made = Cluster(load(), engines, unique("publish") + ".")
    chosen = {name: made.catalog.stream(name) for name in streams}
    wanted = specs(
        chosen.values(),
        TopicShape(
            partitions=3,
            replication=1,
            compaction_lag=timedelta(days=30),
            max_message_bytes=MOST_BYTES,
        ),
    )

    async def build() -> None:
        async with made.open() as (broker, registry):
            await registry.push(replace(made.catalog, streams=chosen), dry_run=False)
            await broker.create_topics(wanted)
            await led(broker, [(spec.name, n) for spec in wanted for n in range(spec.partitions)])

    asyncio.run(build())
    yield made
    delete_topics(engines.kafka, made.prefix)


@pytest.fixture
def cluster(engines: Endpoints) -> Iterator[Cluster]:
    """Topics of the published streams, and of deeds, in which commands record who gives them."""
    own = [name for name, stream in load().streams.items() if not stream.is_internal]
    with own_cluster(engines, [*own, "deed"]) as made:
        yield made


def at_home(monkeypatch: pytest.MonkeyPatch, folder: Path, *, erases: bool = False) -> None:
    """Give commands a home in *folder*, and keys for receipts; for erasures as well where they look
    up or erase persons."""
    monkeypatch.setenv("RENKEI_HOME", str(folder / "home"))
    keyfile.add(folder / "receipt-keys", new_key(None, datetime.now(UTC)))
    monkeypatch.setenv("RENKEI_RECEIPT_KEYS_FILE", str(folder / "receipt-keys"))
    if erases:
        write_private(folder / "erasure-key", "0123456789abcdef" * 2)
        monkeypatch.setenv("RENKEI_ERASURE_KEY_FILE", str(folder / "erasure-key"))


def over_cluster(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    """Have commands ask and publish over the test's own topics."""

    @asynccontextmanager
    async def broker(settings: Settings, *, patience: timedelta) -> AsyncIterator[Any]:
        async with cluster.open() as (found, _):
            yield found

    @asynccontextmanager
    async def registry(settings: Settings) -> AsyncIterator[Registry]:
        async with cluster.open() as (_, found):
            yield found

    def opened(settings: Settings, *, patience: timedelta) -> Session:
        return Session(settings, patience=patience, ways=Openers(broker, registry))

    monkeypatch.setattr("bus.operate.session.Session", opened)
    monkeypatch.setenv("RENKEI_MAX_MESSAGE_BYTES", str(MOST_BYTES))
