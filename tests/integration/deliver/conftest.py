"""A town on the real cluster for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bus.local.endpoints import Endpoints
from bus.settings import Settings
from tests.support.lanes import Town
from tests.support.on_kafka import own_town

PARTITIONS = 2


@pytest.fixture
async def town(engines: Endpoints) -> AsyncIterator[Town]:
    """Topics of this test's own on the real cluster."""
    settings = Settings(stop_within=timedelta(seconds=5), fetch_records=500)
    async with own_town(engines.kafka, PARTITIONS, settings=settings) as made:
        yield made
