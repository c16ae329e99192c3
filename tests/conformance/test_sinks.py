"""Every sink of the roster keeps the promises of the port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bus.conformance.sink_suite import SinkSuite
from bus.local.endpoints import Endpoints
from connectors import SINKS
from tests.conformance.rigs import SINK_RIGS, MemoryRig, PostgresRig
from tests.support.engines import fresh_database


def test_every_sink_has_a_rig() -> None:
    """A connector cannot join the roster without joining the suite."""
    assert set(SINK_RIGS) == set(SINKS)


class TestMemorySink(SinkSuite):
    """The store in memory, on each save."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


@pytest.fixture(scope="module")
def own_database(engines: Endpoints) -> Iterator[str]:
    """One database for this file's tests: some of them lock everybody out of it."""
    with fresh_database(engines.database) as uri:
        yield uri


@pytest.mark.service
class TestPostgresSink(SinkSuite):
    """A real PostgreSQL, a schema for each test."""

    @pytest.fixture
    def rig(self, own_database: str) -> PostgresRig:
        return PostgresRig(own_database)
