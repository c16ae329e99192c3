"""Every broker keeps the promises of the port."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from bus.broker import Broker
from bus.broker.kafka import KafkaBroker
from bus.broker.memory import MemoryBroker
from bus.conformance.broker_suite import MAX_MESSAGE_BYTES, BrokerSuite
from bus.local.endpoints import Endpoints
from tests.support.engines import unique


class MemoryRig:
    """One cluster in memory."""

    def __init__(self) -> None:
        self._broker = MemoryBroker(max_message_bytes=MAX_MESSAGE_BYTES)

    def broker(self) -> Broker:
        return self._broker

    def name(self, prefix: str) -> str:
        return unique(prefix)

    async def remove(self, topic: str) -> None:
        """Gone with the object."""


class KafkaRig:
    """The real one; every broker is another client of it."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def broker(self) -> Broker:
        return KafkaBroker(self._bootstrap, max_message_bytes=MAX_MESSAGE_BYTES)

    def name(self, prefix: str) -> str:
        return unique(prefix)

    async def remove(self, topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        admin.delete_topics([topic])[topic].result(timeout=10)


class TestMemoryBroker(BrokerSuite):
    """The cluster in memory, on each save."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


@pytest.mark.service
class TestKafkaBroker(BrokerSuite):
    """The real Kafka."""

    @pytest.fixture
    def rig(self, engines: Endpoints) -> KafkaRig:
        return KafkaRig(engines.kafka)
