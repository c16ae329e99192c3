"""A ledger that the bus fed, changed behind its back in every way: exactly that row is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bus.broker import Message
from bus.conformance.sink_suite import rows_of
from bus.errors import ConfigurationError, EventRefused
from bus.ledger import SCHEMA, TABLE_PREFIX
from bus.ledger.anchor import Anchor, read
from bus.ledger.audit import Audit, AuditResult, AuditScope, LogSide, anchor_of
from bus.ledger.chains import ChainFaultKind
from bus.ledger.feed import LedgerFeed
from bus.ledger.store import connected
from bus.local.endpoints import Endpoints
from bus.model import Receipt
from bus.policy import ledger_view
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.engines import fresh_database
from tests.support.lanes import CATALOG, Hosted, Town, hosted

pytestmark = pytest.mark.service

SYSTEMS = ("child_allowance", "individual_resident_tax")
INTERNAL = ("receipt", "exception", "view")
PUBLISHED = [name for name, stream in CATALOG.streams.items() if not stream.is_internal]
END = 10  # of the residents: nine events and an erasure
ALL = AuditScope()
KEPT = timedelta(days=2557)
KEY = "log_partition = %(log_partition)s AND log_offset = %(log_offset)s"


class Picky(MemorySink):
    """Refuses one subject until told otherwise."""

    refuses = True

    async def apply(self, batch: Any) -> Any:
        if self.refuses and "bad" in [row.get("subject_id") for row in rows_of(batch)]:
            raise EventRefused("the store refuses a row")
        return await super().apply(batch)


@dataclass
class Fed:
    """A ledger with what led to it."""

    uri: str
    town: Town

    async def verify(
        self, choice: AuditScope = ALL, *, with_log: bool = True, anchor: Anchor | None = None
    ) -> AuditResult:
        readers = {name: self.town.reader(name) for name in CATALOG.streams}
        log = LogSide(self.town.broker, CATALOG.streams, readers)
        ring, kept_from = await self.town.proofs.ring(), datetime.now(UTC) - KEPT
        audit = Audit(connected(self.uri), choice, lambda _: None, ring, kept_from, UTC)
        return await audit.run(log if with_log else None, anchor)

    def do(self, statement: str, about: Any = None) -> list[dict[str, Any]]:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            cursor.execute(statement, about)
            return cursor.fetchall() if cursor.description else []

    async def say_receipt(self, row: dict[str, Any]) -> None:
        """As somebody who can write to Kafka."""
        said = {n: v for n, v in row.items() if not n.startswith(("log_", "renkei_"))}
        (value,) = self.town.encoded("receipt", [said])
        await self.town.producer.send([Message("linkage.receipt", 0, b"forged", value)])

    def keep(self) -> None:
        self.do("CREATE TABLE kept AS SELECT * FROM ledger.event_receipt")

    def restore(self) -> None:
        self.do("DELETE FROM ledger.event_receipt")
        self.do("INSERT INTO ledger.event_receipt SELECT * FROM kept")

    def receipts(self) -> list[dict[str, Any]]:
        return self.do("SELECT * FROM ledger.event_receipt ORDER BY log_partition, log_offset")


@pytest.fixture(scope="module")
def first(engines: Endpoints) -> Iterator[Fed]:
    """A ledger that the bus fed once for all tests, which each have a copy of it."""
    with fresh_database(engines.database) as uri:
        yield Fed(uri, asyncio.run(feed(uri)))


@pytest.fixture
async def fed(engines: Endpoints, first: Fed) -> AsyncIterator[Fed]:
    """Two systems, batches of one, a refused event and its retry, lanes that opened again."""
    town = Town()
    town.proofs = first.town.proofs
    town.memory._topics = deepcopy(first.town.memory._topics)
    await town.producer.start()
    with fresh_database(engines.database, copied=first.uri) as uri:
        yield Fed(uri, town)


async def feed(database: str) -> Town:
    """Have the bus feed the ledger in an empty database; the log that it was fed from."""
    town = Town()
    await town.build()
    options = PostgresOptions(
        uri=SecretStr(database), schema_name=SCHEMA, table_prefix=TABLE_PREFIX
    )
    feed = LedgerFeed(lambda: PostgresSink(options), database, PUBLISHED)
    stores = {system: MemoryStore() for system in SYSTEMS}
    Picky.refuses = True

    def sinks(kind: type[MemorySink]) -> dict[str, Any]:
        return {s: lambda _, s=s: kind(MemoryOptions(store=stores[s])) for s in SYSTEMS}

    async with hosted(town, sinks(Picky)) as bus:
        for version in (1, 2, 3):
            for subject in ("1", "bad", "2"):
                await bus.at(await town.publish("resident", subject, version) + 1)
    Picky.refuses = False
    async with hosted(town, sinks(Picky)) as bus:
        events = [e for e in bus.process.control.parked.open_events() if e.state.value == "PARKED"]
        await bus.process.control.parked.ask_retry(events)
        await bus.until(lambda: not bus.process.control.parked.open_events())
        await town.append("resident", "1", None)
        await bus.at(END)
    async with hosted(
        town, {"ledger": lambda _: feed.sink()}, streams=("resident", *INTERNAL)
    ) as b:
        await _fed(b, town)
    return town


async def _fed(bus: Hosted, town: Town) -> None:
    async with asyncio.timeout(20):
        await bus.at(END, seconds=20)
        for name in INTERNAL:
            count = len(town.read_all(name))
            await bus.at(count, stream=name, seconds=20)


def count_of(fed: Fed, stream: str) -> int:
    """How many of a stream's records the ledger has."""
    (row,) = fed.do(f"SELECT count(*) AS rows FROM ledger.event_{stream}")
    return int(row["rows"])


async def test_a_ledger_of_the_bus_is_as_it_should_be(fed: Fed) -> None:
    """Every receipt hangs together, is in the log as it is, and delivered what the log has."""
    verdict = await fed.verify()

    receipts = fed.receipts()
    assert verdict.is_good, (verdict.findings, verdict.false_views)
    assert verdict.lanes == 2
    assert verdict.receipts == verdict.in_log == len(receipts)
    assert verdict.repeats == 2  # each lane opened a second time
    assert verdict.chains == 2
    assert verdict.digests == sum(bool(r["rows"]) for r in receipts)
    assert (verdict.compacted, verdict.unreadable, verdict.views) == (0, 0, 2)
    assert any(r["is_replay"] for r in receipts)
    told = {name: count_of(fed, name) for name in ("resident", "exception", "view")}
    assert (told["resident"], told["view"]) == (9, 2)
    assert (verdict.events, verdict.events_compacted) == (sum(told.values()), 0)


CHANGES = {
    "system": "'school_enrollment'",
    "stream": "'household'",
    "partition": "partition + 1",
    "start": "start + 1",
    '"end"': '"end" + 1',
    "delivered": "'{[0,1),[900,901)}'",
    "view": "repeat('e', 64)",
    "rows": "rows + 1",
    "digest": "repeat('d', 64)",
    "previous": "repeat('a', 64)",
    "chain": "repeat('c', 64)",
    "applied_at": "applied_at + interval '1 microsecond'",
    "cluster_id": "'another'",
    "is_replay": "NOT is_replay",
    "proof": "'town:' || repeat('0', 64)",
}


async def test_every_column_that_is_changed_is_found(fed: Fed) -> None:
    """In the first, in a middle and in the last row of a lane; nothing else is named."""
    fed.keep()
    table = fed.receipts()
    lane = [r for r in table if r["system"] == SYSTEMS[0]]
    assert {*CHANGES} == {
        '"end"' if name == "end" else name
        for name in table[0]
        if name not in ("log_partition", "log_offset", "renkei_applied_at")
    }
    for row in (lane[0], lane[3], lane[-1]):
        for column, value in CHANGES.items():
            fed.do(f"UPDATE ledger.event_receipt SET {column} = {value} WHERE {KEY}", row)

            found = (await fed.verify()).findings
            alone = (await fed.verify(with_log=False)).findings

            assert [named(f) for f in found] == [named_of(row)], (column, found)
            assert found[0].kind is ChainFaultKind.CHANGED
            assert alone, column
            fed.restore()
    assert (await fed.verify()).is_good


async def test_every_row_that_is_removed_is_found(fed: Fed) -> None:
    """With the log, by name; without it by the one that followed, if one did."""
    fed.keep()
    table = fed.receipts()
    twice = [c for c in {r["chain"] for r in table} if sum(r["chain"] == c for r in table) > 1]
    for row in table:
        fed.do(f"DELETE FROM ledger.event_receipt WHERE {KEY}", row)

        found = (await fed.verify()).findings
        alone = (await fed.verify(with_log=False)).findings

        assert [(f.kind, named(f)) for f in found] == [(ChainFaultKind.REMOVED, named_of(row))]
        followers = [r for r in table if r["previous"] == row["chain"]]
        if row["chain"] not in twice and followers:
            assert [named(f) for f in alone] == [named_of(followers[0])]
            assert alone[0].kind is ChainFaultKind.BROKEN
        fed.restore()


async def test_rows_in_another_order_are_found(fed: Fed) -> None:
    """Two receipts of a lane that change places are both named, and nobody else."""
    fed.keep()
    lane = [r for r in fed.receipts() if r["system"] == SYSTEMS[0]]
    for one, other in ((lane[0], lane[1]), (lane[2], lane[4])):
        offsets = (one["log_offset"], other["log_offset"])
        for was, becomes in ((offsets[0], -1), (offsets[1], offsets[0]), (-1, offsets[1])):
            fed.do(
                "UPDATE ledger.event_receipt SET log_offset = %s WHERE log_offset = %s",
                (becomes, was),
            )

        found = (await fed.verify()).findings
        alone = (await fed.verify(with_log=False)).findings

        assert {f.kind for f in found} == {ChainFaultKind.MOVED}
        assert sorted(named(f)[:5] for f in found) == sorted(named_of(r)[:5] for r in (one, other))
        assert ChainFaultKind.MOVED in {f.kind for f in alone}
        fed.restore()


async def test_a_row_at_another_place_is_found(fed: Fed) -> None:
    """One that was put at the end of the log."""
    row = fed.receipts()[2]
    fed.do(f"UPDATE ledger.event_receipt SET log_offset = 9999 WHERE {KEY}", row)

    (found,) = (await fed.verify()).findings

    assert found.kind is ChainFaultKind.MOVED
    assert named(found)[:5] == named_of(row)[:5]
    assert found.place == (0, 9999)


@pytest.mark.parametrize("is_forged", [False, True], ids=["a copy", "one that fits the chain"])
async def test_a_row_that_was_put_in_is_found(fed: Fed, is_forged: bool) -> None:
    """Also one whose chain value is right: the log does not have it."""
    fed.keep()
    last = [r for r in fed.receipts() if r["system"] == SYSTEMS[1]][-1]
    row = {**last, "log_offset": 9999}
    if is_forged:
        names = [n for n in Receipt.__dataclass_fields__ if n != "delivered"]
        receipt = Receipt(
            **{
                **{n: last[n] for n in names},
                "delivered": "{}",
                "start": last["end"],
                "end": last["end"] + 1,
                "rows": 0,
                "previous": last["chain"],
            }
        )
        row |= {n: getattr(receipt, n) for n in names} | {"delivered": "{}"}
        row |= {"chain": receipt.chain, "is_replay": False}
    columns = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f"%({name})s" for name in row)
    row["delivered"] = str(row["delivered"])
    if not is_forged:
        row["delivered"] = fed.do(
            f"SELECT delivered::text FROM ledger.event_receipt WHERE {KEY}", last
        )[0]["delivered"]
    fed.do(f"INSERT INTO ledger.event_receipt ({columns}) VALUES ({values})", row)

    verdict = await fed.verify()

    (found,) = verdict.findings
    assert (found.kind, found.place) == (ChainFaultKind.ADDED, (0, 9999))


async def test_a_receipt_that_was_said_without_the_key_is_found(fed: Fed) -> None:
    """Whoever writes to the ledger and to Kafka can make both say the same: not without the key.

    A forger who leaves the proof out is found as well: receipts before it have one.
    """
    table = fed.receipts()
    last = table[-1]
    for place, proof in enumerate([None, "town:" + "0" * 64, "nobody:" + "0" * 64]):
        forged = {**last, "log_offset": last["log_offset"] + 1 + place, "proof": proof}
        receipt = Receipt(
            **{name: forged[name] for name in Receipt.__dataclass_fields__ if name != "delivered"},
            delivered="{}",
        )
        forged |= {"delivered": "{}", "chain": receipt.chain, "is_replay": True}
        forged |= {"start": receipt.end, "rows": 0, "previous": last["chain"]}
        chained = Receipt(**{name: forged[name] for name in Receipt.__dataclass_fields__})
        forged["chain"] = chained.chain
        await fed.say_receipt(forged)
        columns = ", ".join(f'"{name}"' for name in forged)
        values = ", ".join(f"%({name})s" for name in forged)
        fed.do(f"INSERT INTO ledger.event_receipt ({columns}) VALUES ({values})", forged)

    found = (await fed.verify()).findings

    assert {f.kind for f in found} == {ChainFaultKind.UNPROVED}
    assert [f.place[1] - last["log_offset"] for f in found] == [1, 2, 3]


async def test_receipts_of_before_there_were_proofs_are_counted(fed: Fed) -> None:
    """Their digests are plain, and hold."""
    verdict = await fed.verify()
    assert (verdict.proved, verdict.unproved) == (verdict.receipts, 0)
    log = fed.town.memory._topic("linkage.receipt").logs[0]
    fed.do("UPDATE ledger.event_receipt SET proof = NULL")
    rows = [{**row, "proof": None} for row in fed.town.read_all("receipt")]
    log.values[:] = fed.town.encoded("receipt", rows)

    verdict = await fed.verify()

    assert verdict.is_good, verdict.findings
    assert (verdict.proved, verdict.unproved) == (0, verdict.receipts)


async def test_events_that_are_others_than_those_delivered_are_found(fed: Fed) -> None:
    """Somebody wrote another event where one was: each receipt that delivered it is named."""
    log = fed.town.memory._topic("linkage.resident").logs[0]
    place = log.offsets.index(2)
    log.values[place] = fed.town.value("resident", "2", 9)

    found = (await fed.verify()).findings

    assert {(f.kind, f.system, f.start, f.end) for f in found} == {
        *((ChainFaultKind.CONTENT, system, 2, 3) for system in SYSTEMS),
        (ChainFaultKind.CHANGED, "", 2, 3),  # the ledger has the event that was there
    }


async def test_what_compaction_took_is_counted_and_is_no_fault(fed: Fed) -> None:
    """Only receipts whose events are all there can be checked."""
    log = fed.town.memory._topic("linkage.resident").logs[0]
    before = await fed.verify()
    place = log.offsets.index(2)
    for column in (log.offsets, log.keys, log.values, log.timestamps_ms):
        del column[place]

    verdict = await fed.verify()

    assert verdict.is_good
    assert (verdict.compacted, verdict.events_compacted) == (2, 1)
    assert verdict.digests == before.digests - 2


async def test_a_part_of_it(fed: Fed) -> None:
    """One system alone: the other's faults are not looked for."""
    row = next(r for r in fed.receipts() if r["system"] == SYSTEMS[0])
    fed.do(f"UPDATE ledger.event_receipt SET rows = 77 WHERE {KEY}", row)

    mine = await fed.verify(AuditScope(system=SYSTEMS[0]))
    others = await fed.verify(AuditScope(system=SYSTEMS[1], stream="resident"))

    assert [named(f) for f in mine.findings] == [named_of(row)]
    assert others.is_good
    assert others.lanes == 1


async def test_an_events_row_that_was_changed_is_found(fed: Fed) -> None:
    """Whose event it was decides whom a provision is told to: every column, and the row itself."""
    view = ledger_view(CATALOG.stream("resident"))
    fed.do("CREATE TABLE kept AS SELECT * FROM ledger.event_resident")
    values = {"version": "99", "change_size": "99", "change_index": "99"}
    for name in view.schema.names:
        if name.startswith("log_"):
            continue
        value = "now()" if name == "processed_at" else values.get(name, "'another'")
        fed.do(f"UPDATE ledger.event_resident SET {name} = {value} WHERE log_offset = 4")
        (found,) = (await fed.verify(AuditScope(stream="resident"))).findings
        assert (found.kind, found.place) == (ChainFaultKind.CHANGED, (0, 4))
        assert name in found.what
        fed.do("DELETE FROM ledger.event_resident")
        fed.do("INSERT INTO ledger.event_resident SELECT * FROM kept")

    fed.do("DELETE FROM ledger.event_resident WHERE log_offset = 4")
    (gone,) = (await fed.verify()).findings
    fed.do("INSERT INTO ledger.event_resident SELECT * FROM kept WHERE log_offset = 4")
    fed.do("UPDATE ledger.event_resident SET log_offset = 9 WHERE log_offset = 8")
    moved = (await fed.verify()).findings
    fed.do("UPDATE ledger.event_resident SET log_offset = 999 WHERE log_offset = 9")
    beyond = (await fed.verify()).findings

    assert (gone.kind, gone.place) == (ChainFaultKind.REMOVED, (0, 4))
    assert {(f.kind, f.place) for f in moved} == {
        (ChainFaultKind.REMOVED, (0, 8)),
        (ChainFaultKind.ADDED, (0, 9)),  # an erasure lies there
    }
    assert (ChainFaultKind.ADDED, (0, 999)) in {(f.kind, f.place) for f in beyond}


@pytest.mark.parametrize(
    "change",
    [
        "legal_basis = 'another law'",
        "purpose = 'another purpose'",
        "approver = 'nobody'",
        "expires_on = '2099-01-01'",
        "columns_name = array_append(columns_name[2:], 'more')",
        "suppression = 'capable'",
        "event_types = '{}'",
        "columns_mask[3] = 'present'",
        "mode = 'work_list'",
        "number_use = 'anything'",
        "statement = '{}'",
    ],
)
async def test_a_ground_that_was_changed_is_found(fed: Fed, change: str) -> None:
    """The receipts' fingerprint is the digest of the ground, and the chain is that of receipts."""
    fed.do(f"UPDATE ledger.event_view SET {change} WHERE log_offset = 0")

    verdict = await fed.verify()

    assert len(verdict.false_views) == 1
    assert not verdict.is_good


async def test_a_view_that_nobody_recorded_is_said(fed: Fed) -> None:
    """It is no fault: receipts of before have none. That the log has it is one."""
    fed.do("DELETE FROM ledger.event_view WHERE log_offset = 0")

    verdict = await fed.verify(with_log=False)

    assert len(verdict.unrecorded_views) == 1
    assert verdict.is_good
    assert not (await fed.verify()).is_good


async def test_an_anchor_holds_a_ledger_and_its_log_to_what_they_were(fed: Fed) -> None:
    """Whoever forges both is found by an anchor that lies elsewhere."""
    anchor = read(str(await anchor_of(connected(fed.uri), datetime.now(UTC))))
    heads = {(h.system, h.stream, h.partition, h.end) for h in anchor.heads}
    good = await fed.verify(anchor=anchor)
    lane = [r for r in fed.receipts() if r["system"] == SYSTEMS[0]]
    fed.do("DELETE FROM ledger.event_receipt WHERE chain = %s", (lane[-1]["chain"],))

    verdict = await fed.verify(anchor=anchor, with_log=False)

    assert heads == {(system, "resident", 0, 10) for system in SYSTEMS}
    assert good.is_good
    assert [head.system for head in verdict.lost_heads] == [SYSTEMS[0]]
    assert not verdict.is_good


def test_an_anchor_that_was_changed_is_no_anchor() -> None:
    """Its own digest says so."""
    text = str(Anchor(datetime(2026, 11, 24, tzinfo=UTC), []))

    assert read(text).digest == Anchor(datetime.now(UTC), []).digest
    with pytest.raises(ConfigurationError, match="was changed"):
        read(text.replace("sha256 e", "sha256 f"))
    for other in ("", "anything", text.replace("anchor 1", "anchor 2")):
        with pytest.raises(ConfigurationError, match="no anchor"):
            read(other)


def named(finding: Any) -> tuple[Any, ...]:
    f = finding
    return (f.system, f.stream, f.partition, f.start, f.end, *f.place)


def named_of(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("system", "stream", "partition", "start", "end", "log_partition", "log_offset")
    return tuple(row[name] for name in names)
