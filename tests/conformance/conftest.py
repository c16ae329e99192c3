"""Shared suites live outside the test tree; their assertions explain themselves all the same."""

import pytest

pytest.register_assert_rewrite("bus.conformance.sink_suite", "bus.conformance.broker_suite")
