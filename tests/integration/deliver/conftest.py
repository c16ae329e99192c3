"""A town on the real cluster for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from confluent_kafka.admin import AdminClient

from bus.broker.kafka import KafkaBroker
from bus.deliver.clock import SystemClock
from bus.local.endpoints import Endpoints
from bus.settings import Settings
from bus.testing.lanes import CATALOG, Town
from bus.testing.own_topics import OwnTopics

PARTITIONS = 2


@pytest.fixture
async def town(engines: Endpoints, unique: Callable[[str], str]) -> AsyncIterator[Town]:
    """Topics of this test's own on the real cluster."""
    broker = OwnTopics(KafkaBroker(engines.kafka), unique("deliver") + ".")
    await broker.start()
    settings = Settings(stop_within=timedelta(seconds=5), fetch_records=500)
    made = Town(PARTITIONS, broker, SystemClock(), settings)
    await made.build()
    try:
        yield made
    finally:
        await made.producer.close()
        await broker.close()
        admin = AdminClient({"bootstrap.servers": engines.kafka})
        topics = [broker.there(stream.topic) for stream in CATALOG.streams.values()]
        for deleted in admin.delete_topics(topics).values():
            deleted.result(10)
