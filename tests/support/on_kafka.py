"""The real cluster for one test: topics under names of its own, gone when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

from confluent_kafka.admin import AdminClient

from bus.broker.kafka import KafkaBroker
from bus.broker.topics import TopicShape, specs
from bus.clock import Clock, SystemClock
from bus.model import Stream
from bus.settings import Settings
from tests.support.engines import unique
from tests.support.lanes import Town
from tests.support.own_topics import OwnTopics

_GONE_SECONDS = 20
_SOON = Settings(stop_within=timedelta(seconds=5))


@asynccontextmanager
async def own_topics(
    bootstrap: str,
    streams: Collection[Stream] = (),
    *,
    partitions: int = 1,
    max_message_bytes: int = 1_000_000,
    patience: timedelta = timedelta(seconds=20),
) -> AsyncIterator[OwnTopics]:
    """A broker that is started, with the topics of *streams*; whatever was made is deleted."""
    kafka = KafkaBroker(bootstrap, max_message_bytes=max_message_bytes, patience=patience)
    broker = OwnTopics(kafka, f"{unique()}.")
    shape = TopicShape(
        partitions=partitions,
        replication=1,
        compaction_lag=timedelta(days=30),
        max_message_bytes=max_message_bytes,
    )
    await broker.start()
    try:
        if streams:
            await broker.create_topics(specs(streams, shape))
        yield broker
    finally:
        await broker.close()
        delete_topics(bootstrap, broker.prefix)


@asynccontextmanager
async def own_town(
    bootstrap: str,
    partitions: int,
    *,
    clock: Clock | None = None,
    settings: Settings = _SOON,
) -> AsyncIterator[Town]:
    """A :class:`~tests.support.lanes.Town` on the real cluster and by the machine's clock."""
    async with own_topics(bootstrap) as broker:
        town = Town(partitions, broker, clock or SystemClock(), settings)
        await town.build()
        try:
            yield town
        finally:
            await town.producer.close()


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic whose name begins so, which may not be with nothing."""
    if not prefix:
        raise ValueError("a prefix is needed to say which topics to delete")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    found = admin.list_topics(timeout=_GONE_SECONDS).topics
    names = [name for name in found if name.startswith(prefix)]
    for gone in admin.delete_topics(names).values() if names else ():
        gone.result(timeout=_GONE_SECONDS)
