"""The shipped contracts, gathered; and a copy of their folder that a test may edit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from bus.catalog import load
from bus.catalog.load import SHIPPED
from bus.policy import load_subscriptions
from bus.reference import Sources, gather, pages


@pytest.fixture(scope="session")
def sources() -> Sources:
    """The contracts as shipped."""
    catalog = load()
    return gather(catalog, load_subscriptions(catalog))


@pytest.fixture(scope="session")
def made(sources: Sources) -> Mapping[str, str]:
    """Their pages."""
    return pages(sources)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped schemas, to be edited."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "schemas"))
