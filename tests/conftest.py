"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bus.local.endpoints import Endpoints
from bus.testing import engines as test_engines


@pytest.fixture(scope="session")
def engines() -> Iterator[Endpoints]:
    """The real Kafka, registry and PostgreSQL, one set for the whole run."""
    endpoints = test_engines.given()
    if endpoints is None:
        pytest.fail("set RENKEI_TEST_ENGINES")
    return endpoints


@pytest.fixture
def database(engines: Endpoints) -> Iterator[str]:
    """URI of an empty PostgreSQL database of this test's own."""
    with test_engines.fresh_database(engines.database) as uri:
        yield uri


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes names nobody else has: ``unique("topic")``."""
    return test_engines.unique
