"""Shared suites live outside the test tree; their assertions explain themselves all the same."""

import pytest

pytest.register_assert_rewrite("bus.testing.sink_suite", "bus.testing.broker_suite")
