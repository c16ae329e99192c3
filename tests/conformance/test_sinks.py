"""Every sink of the roster keeps the promises of the port."""

from __future__ import annotations

import pytest

from bus.testing.sink_suite import SinkSuite
from connectors import SINKS
from tests.conformance.rigs import SINK_RIGS, MemoryRig, PostgresRig


def test_every_sink_has_a_rig() -> None:
    """A connector cannot join the roster without joining the suite."""
    assert set(SINK_RIGS) == set(SINKS)


class TestMemorySink(SinkSuite):
    """The store in memory, on each save."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


@pytest.mark.service
class TestPostgresSink(SinkSuite):
    """A real PostgreSQL, a database for each test."""

    @pytest.fixture
    def rig(self, database: str) -> PostgresRig:
        return PostgresRig(database)
