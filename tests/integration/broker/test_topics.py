"""Topics are made on the real Kafka as the streams want them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from confluent_kafka.admin import AdminClient

from bus.broker.kafka import KafkaBroker
from bus.broker.topics import TopicShape, apply, specs, states
from bus.conformance.broker_suite import opened
from bus.local.endpoints import Endpoints
from bus.model import Stream
from tests.support.engines import unique

pytestmark = pytest.mark.service


async def test_two_at_once_and_again(engines: Endpoints) -> None:
    """Two operators at once do no harm; Kafka then says of each topic what was wanted."""
    names = [unique("topics"), unique("topics")]
    shape = TopicShape(2, 1, timedelta(days=30), 500_000)
    wanted = specs([Stream(name, name, (), (), ()) for name in names], shape)

    async def make() -> None:
        async with opened(KafkaBroker(engines.kafka)) as broker:
            await apply(broker, await states(broker, wanted))

    await asyncio.gather(make(), make())
    async with opened(KafkaBroker(engines.kafka)) as broker:
        await broker.alter_topic_config(wanted[0].name, {"delete.retention.ms": "1"})
        drifted = await states(broker, wanted)
        await apply(broker, drifted)
        mended = await states(broker, wanted)

    topics = [spec.name for spec in wanted]
    admin = AdminClient({"bootstrap.servers": engines.kafka})
    for deleted in admin.delete_topics(topics).values():
        deleted.result(10)
    assert drifted[0].drift == {"delete.retention.ms": ("1", "3024000000")}
    assert [(state.partitions, state.drift) for state in (drifted[1], *mended)] == [(2, {})] * 3
