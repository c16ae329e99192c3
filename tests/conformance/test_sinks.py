"""Every sink of the roster keeps the promises of the port."""

from __future__ import annotations

import pytest

from bus.testing.sink_suite import SinkSuite
from tests.conformance.rigs import MemoryRig


class TestMemorySink(SinkSuite):
    """The store in memory, on each save."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()
