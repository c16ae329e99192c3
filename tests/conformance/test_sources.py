"""Every source of the roster keeps the promises of the port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import psycopg
import pytest

from bus.conformance.source_suite import (
    EndlessSuite,
    ExclusiveSuite,
    FiniteSuite,
    HoldsSuite,
    RemoteSuite,
    SourceSuite,
    WatchedSuite,
)
from bus.local.endpoints import Endpoints
from connectors import SOURCES
from connectors.outbox.upkeep import install
from tests.conformance.source_rigs import SOURCE_RIGS, LinesRig, MemoryRig, OutboxRig, SpoolRig
from tests.support.engines import fresh_database


def test_every_source_has_a_rig() -> None:
    """A connector cannot join the roster without joining the suite."""
    assert set(SOURCE_RIGS) == set(SOURCES)
    assert all(callable(resolve_name(rig).source) for rig in SOURCE_RIGS.values())


class TestMemorySource(SourceSuite, EndlessSuite, ExclusiveSuite, HoldsSuite, RemoteSuite):
    """A box in memory, on each save."""

    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


class TestLinesSource(SourceSuite, FiniteSuite):
    """A file of lines."""

    @pytest.fixture
    def rig(self) -> LinesRig:
        return LinesRig()


class TestSpoolSource(SourceSuite, EndlessSuite):
    """A folder of files: what it takes to write a source that is nothing like a database."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> SpoolRig:
        return SpoolRig(tmp_path)


@pytest.fixture(scope="module")
def own_outbox(engines: Endpoints) -> Iterator[str]:
    """One outbox for this file's tests: some of them lock everybody out of it."""
    with fresh_database(engines.database) as uri:
        asyncio.run(install("resident_registry", uri))
        yield uri


@pytest.mark.service
class TestOutboxSource(
    SourceSuite, EndlessSuite, ExclusiveSuite, HoldsSuite, RemoteSuite, WatchedSuite
):
    """An outbox in a real PostgreSQL, emptied for each test."""

    @pytest.fixture
    async def rig(self, own_outbox: str) -> OutboxRig:
        async with await psycopg.AsyncConnection.connect(own_outbox) as session:
            await session.execute("TRUNCATE renkei.outbox, renkei.outbox_refused")
            await session.execute(
                "UPDATE renkei.relay_lease SET holder = NULL, expires_at = '-infinity'"
            )
        return OutboxRig(own_outbox)
