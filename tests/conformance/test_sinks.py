"""Every sink of the roster keeps the promises of the port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import resolve_name

import pytest
from pydantic import SecretStr

from bus.conformance.sink_suite import (
    PARTS,
    ReadableSuite,
    ReshapesSuite,
    RewritesSuite,
    SinkSuite,
    StagesSuite,
    SuppressedStagesSuite,
    SuppressesSuite,
    TransactionalSuite,
    parts_of,
)
from bus.connect import Sink
from bus.errors import ConfigurationError
from bus.local.endpoints import Endpoints
from bus.model import Applied, Delivery, Upserts, content_of
from connectors import SINKS
from connectors.memory.sink import MemoryOptions, MemorySink
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.conformance.plain_rigs import FolderRig, ReceiverRig
from tests.conformance.rigs import SINK_RIGS, MemoryRig, PostgresRig
from tests.support.engines import fresh_database
from tests.support.stores.folder import FolderOptions, FolderSink
from tests.support.stores.receiver import ReceiverOptions, ReceiverSink


def test_every_sink_has_a_rig() -> None:
    """A connector cannot join the roster without joining the suite."""
    assert set(SINK_RIGS) == set(SINKS)
    assert all(callable(resolve_name(rig).sink) for rig in SINK_RIGS.values())


class EverySuite(
    SinkSuite,
    RewritesSuite,
    TransactionalSuite,
    ReshapesSuite,
    SuppressesSuite,
    StagesSuite,
    SuppressedStagesSuite,
    ReadableSuite,
):
    """All parts there are."""


class TestMemorySink(EverySuite):
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
class TestPostgresSink(EverySuite):
    """A real PostgreSQL, a schema for each test."""

    @pytest.fixture
    def rig(self, own_database: str) -> PostgresRig:
        return PostgresRig(own_database)


class TestFolderSink(SinkSuite):
    """Files that are never touched again."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> FolderRig:
        root = tmp_path / "handed"
        root.mkdir()
        return FolderRig(root)


class TestReceiverSink(SinkSuite, RewritesSuite):
    """Messages to somebody of whom nothing is remembered."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[ReceiverRig]:
        rig = ReceiverRig()
        await rig.start()
        yield rig
        await rig.stop()


@pytest.mark.parametrize(
    ("tests", "sink"),
    [
        (TestMemorySink, MemorySink(MemoryOptions())),
        (TestPostgresSink, PostgresSink(PostgresOptions(uri=SecretStr("postgresql://nobody@")))),
        (TestFolderSink, FolderSink(FolderOptions(path=Path()))),
        (TestReceiverSink, ReceiverSink(ReceiverOptions(port=1))),
    ],
)
def test_a_sink_is_asked_what_it_declares(tests: type, sink: Sink) -> None:
    """No less, and no more."""
    asked = {part for part in PARTS if issubclass(tests, part)}
    assert asked == parts_of(sink.capabilities)


@pytest.mark.parametrize(
    "sink", [FolderSink(FolderOptions(path=Path())), ReceiverSink(ReceiverOptions(port=1))]
)
def test_what_nobody_can_read_is_compared_with_nothing(sink: Sink) -> None:
    """Whoever would compare is told so, whether the bus keeps positions for it or not."""
    with pytest.raises(ConfigurationError, match="does not say what it holds"):
        _ = sink.capabilities.contents


async def test_what_is_declared_and_not_kept_fails() -> None:
    """A store that says it has each capability, and does nothing but take rows."""

    class Boasts(MemorySink):
        async def apply(self, delivery: Delivery) -> Applied:
            content = content_of(delivery)
            if isinstance(content, Upserts):
                return await super().apply(content)
            return Applied(0, datetime.now(UTC))

        async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
            del granted, edition
            return ["resident"]

        async def digests(self, buckets: int) -> Mapping[int, str]:
            return dict.fromkeys(range(buckets), "0:0")

    class Rig(MemoryRig):
        def sink(self) -> MemorySink:
            return Boasts(MemoryOptions(store=self.store))

    for broken in (
        lambda rig: RewritesSuite().test_a_rewrite_takes_the_place_of_its_version(rig),
        lambda rig: ReshapesSuite().test_a_stream_that_is_withdrawn_leaves_nothing(rig),
        lambda rig: SuppressesSuite().test_a_protection_takes_locations_out(rig),
        lambda rig: TransactionalSuite().test_an_erased_subject_is_gone(rig),
        lambda rig: ReadableSuite().test_its_digests_are_those_of_what_it_was_given(rig, 0),
    ):
        with pytest.raises(AssertionError):
            await broken(Rig())
