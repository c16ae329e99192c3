"""What was done to the ledger itself, and by whom: on a real PostgreSQL and a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bus.broker import Message
from bus.errors import ConfigurationError
from bus.ledger import SCHEMA, TABLE_PREFIX
from bus.ledger.anchor import Anchor
from bus.ledger.audit import Audit, AuditResult, AuditScope, LogSide, anchor_of
from bus.ledger.chains import ChainFaultKind
from bus.ledger.custody import PruneMarks
from bus.ledger.feed import LedgerFeed
from bus.ledger.prune import Pruned, prune
from bus.ledger.store import connected
from bus.local.endpoints import Endpoints
from bus.log.internal import InternalTopic
from bus.model.custody import CustodyAct
from bus.operate.auditing import Custodian
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.lanes import CATALOG, Hosted, Town, hosted
from tests.support.on_kafka import own_town

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
INTERNAL = [name for name, stream in CATALOG.streams.items() if stream.is_internal]
PUBLISHED = [name for name, stream in CATALOG.streams.items() if not stream.is_internal]
KEPT = timedelta(days=2557)
SOON = 60.0
SUBJECTS = [f"{number:015d}" for number in range(1, 5)]


@dataclass
class Place:
    """A ledger that the bus fed, and the log that it was fed from."""

    uri: str
    town: Town

    def do(self, statement: str, about: Any = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            done = connection.execute(statement, about)
            return done.fetchall() if done.description else []

    async def verify(self, anchor: Anchor | None = None, *, with_log: bool = True) -> AuditResult:
        readers = {name: self.town.reader(name) for name in CATALOG.streams}
        log = LogSide(self.town.broker, CATALOG.streams, readers)
        until = datetime.now(UTC) - KEPT
        audit = Audit(
            connected(self.uri),
            AuditScope(),
            lambda _: None,
            await self.town.proofs.ring(),
            until,
            UTC,
        )
        return await audit.run(log if with_log else None, anchor)

    def custodian(self) -> Custodian:
        town, stream = self.town, CATALOG.stream("custody")
        topic = InternalTopic(town.broker, town.producer, town.registry, stream)
        return Custodian(town.broker, topic, stream, town.reader("custody"), town.proofs, "ops")

    async def prune(self, before: datetime, *, is_cut_off: bool = False) -> Pruned:
        custodian = self.custodian()

        async def insist(left: PruneMarks) -> None:
            (await custodian.deeds()).insist_on(left)

        async def record(done: Pruned, left: PruneMarks) -> None:
            await custodian.record(CustodyAct.PRUNED, done.receipts, left.digest, done.before)
            if is_cut_off:
                raise RuntimeError("killed")

        return await prune(
            connected(self.uri), before, PUBLISHED, is_dry=False, insist=insist, record=record
        )

    def age(self, by: timedelta) -> None:
        """Have the ledger's first two receipts be so old, and their places in the log too."""
        self.do("UPDATE ledger.event_receipt SET renkei_applied_at = renkei_applied_at - %s"
                " WHERE log_offset < 2", (by,))  # fmt: skip

    async def fed(self) -> None:
        """Everything that the log has is in the ledger."""
        options = PostgresOptions(
            uri=SecretStr(self.uri), schema_name=SCHEMA, table_prefix=TABLE_PREFIX
        )
        feed = LedgerFeed(lambda: PostgresSink(options), self.uri, PUBLISHED)
        streams = ("resident", *INTERNAL)
        async with hosted(self.town, {"ledger": lambda _: feed.sink()}, streams=streams) as bus:
            async with asyncio.timeout(SOON):
                await self._until_fed(bus, streams)

    async def _until_fed(self, bus: Hosted, streams: tuple[str, ...]) -> None:
        consumer = self.town.broker.consumer(client_id="renkei-test")
        await consumer.start()
        try:
            for name in streams:
                place = (CATALOG.stream(name).topic, 0)
                end = (await consumer.end_offsets([place]))[place]
                if end:
                    await bus.at(end, stream=name, seconds=SOON)
        finally:
            await consumer.close()


@pytest.fixture
async def place(engines: Endpoints, database: str) -> AsyncIterator[Place]:
    """Receipts, an operator's pause, an erasure; all of it in the ledger."""
    async with own_town(engines.kafka, 1) as town:
        options = MemoryOptions(store=MemoryStore())
        sinks = {SYSTEM: lambda _: MemorySink(options)}
        async with hosted(town, sinks) as bus:
            for subject in SUBJECTS:
                await bus.at(await town.publish("resident", subject, 1) + 1, seconds=SOON)
            await bus.pause(SYSTEM, note="T-17")
            await bus.resume(SYSTEM)
        made = Place(database, town)
        await made.fed()
        yield made


async def test_another_operators_name_in_a_row_is_found(place: Place) -> None:
    """What the bus said of itself is held against its log like everything else: each column."""
    assert (await place.verify()).is_good
    for column, value in {
        "operator": "'somebody else'",
        "note": "'T-99'",
        "state": "'RUNNING'",
        "at": "at + interval '1 second'",
        "system": "'school_enrollment'",
    }.items():
        place.do("CREATE TABLE kept AS SELECT * FROM ledger.event_operation")
        place.do(f"UPDATE ledger.event_operation SET {column} = {value} WHERE note = 'T-17'")

        (found,) = (await place.verify()).findings

        assert (found.kind, found.stream) == (ChainFaultKind.CHANGED, "operation")
        assert column in found.what
        place.do("DELETE FROM ledger.event_operation")
        place.do("INSERT INTO ledger.event_operation SELECT * FROM kept")
        place.do("DROP TABLE kept")

    place.do("DELETE FROM ledger.event_operation WHERE note = 'T-17'")
    (gone,) = (await place.verify()).findings
    assert (gone.kind, gone.stream) == (ChainFaultKind.REMOVED, "operation")


async def test_a_ground_that_was_put_in_is_found(place: Place) -> None:
    """A row that no log has."""
    place.do("INSERT INTO ledger.event_erasure (subject_digest, municipality_code, state, streams,"
             " partitions, offsets, at, operator, reason, log_partition, log_offset) VALUES"
             " ('x', '131016', 'ERASED', '{}', '{}', '{}', now(), 'o', 'r', 0, 7)")  # fmt: skip

    (found,) = (await place.verify()).findings

    assert (found.kind, found.stream) == (ChainFaultKind.ADDED, "erasure")


@pytest.mark.parametrize("before", ["now() + interval '1 year'", "now() - interval '2558 days'"])
async def test_receipts_that_were_deleted_under_a_mark_are_found(place: Place, before: str) -> None:
    """A mark of tomorrow, that all of them are older than; and one that is old enough itself."""
    place.do("DELETE FROM ledger.event_receipt")
    place.do("INSERT INTO ledger.pruned (log_partition, below, before, receipts)"
             f" VALUES (0, 1000000, {before}, 4)")  # fmt: skip

    verdict = await place.verify()
    alone = await place.verify(with_log=False)

    assert any("not those that a recorded pruning left" in what for what in verdict.wrong_marks)
    if "+" in before:
        assert any("retention took" in what for what in alone.wrong_marks)
    else:
        assert {f.kind for f in verdict.findings} == {ChainFaultKind.REMOVED}
    with pytest.raises(ConfigurationError, match="marks of retention"):
        await place.prune(datetime.now(UTC) - KEPT)


async def test_a_pruning_is_recorded_with_who_did_it(place: Place) -> None:
    """What it left is proved; a mark that is moved afterwards is nobody's."""
    place.age(2 * KEPT)
    done = await place.prune(datetime.now(UTC) - KEPT)
    await place.fed()

    verdict = await place.verify(with_log=True)

    assert done.receipts == 2
    assert verdict.wrong_marks == ()
    assert verdict.deeds == 1
    # the log's own time says that they are young; a store's clock, or a ledger's, is not believed
    assert {(f.kind, f.place) for f in verdict.findings} == {
        (ChainFaultKind.REMOVED, (0, offset)) for offset in (0, 1)
    }
    ((act, operator),) = place.do("SELECT act, operator FROM ledger.event_custody")
    assert (act, bool(operator)) == ("PRUNED", True)

    place.do("UPDATE ledger.event_custody SET operator = 'somebody else'")
    assert [f.stream for f in (await place.verify()).findings if f.stream == "custody"]
    place.do("UPDATE ledger.pruned SET below = below + 1")
    assert (await place.verify()).wrong_marks


async def test_a_pruning_that_was_cut_off_leaves_the_marks_of_before(place: Place) -> None:
    """It was recorded and not done: nothing is wrong, and it is done the next time."""
    place.age(2 * KEPT)
    with pytest.raises(RuntimeError):
        await place.prune(datetime.now(UTC) - KEPT, is_cut_off=True)
    assert (await place.verify()).is_good

    await place.prune(datetime.now(UTC) - KEPT)

    assert (await place.verify()).wrong_marks == ()


async def test_a_record_that_the_bus_did_not_write_is_found(place: Place) -> None:
    """Whoever writes to Kafka and to the ledger has not the key."""
    (row,) = await _anchored(place)
    forged = {**row, "act": "PRUNED", "before": datetime(2019, 1, 1, tzinfo=UTC)}
    (value,) = place.town.encoded("custody", [forged])
    await place.town.producer.send([Message("linkage.custody", 0, b"ledger", value)])

    assert any("did not write" in what for what in (await place.verify()).wrong_marks)


async def test_an_anchor_is_recorded(place: Place) -> None:
    """One that nobody recorded, with fewer heads or with others, is no anchor."""
    await _anchored(place)
    true = await anchor_of(connected(place.uri), datetime.now(UTC))
    assert (await place.verify(true)).is_good

    fewer = replace(true, heads=true.heads[1:])
    assert (await place.verify(fewer)).wrong_marks == ("the anchor is none that was recorded",)


async def _anchored(place: Place) -> list[dict[str, Any]]:
    found = await anchor_of(connected(place.uri), datetime.now(UTC))
    await place.custodian().record(CustodyAct.ANCHORED, len(found.heads), found.digest)
    return await place.town.said("custody")
