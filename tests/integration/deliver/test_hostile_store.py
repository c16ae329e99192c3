"""A vendor that owns its database tries to have the bus say what is not so, or to learn more.

Everything that the bus keeps there is the vendor's to change. Whatever it changes: no receipt is
published that no lane made, no address of a protected person comes, the other system's lanes do not
notice, and the hostile one's own lanes go on, or stand with a code that says why.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus.deliver.state import LaneStatus
from bus.ledger.chains import ReceiptRow, check_lane
from bus.ledger.digest_check import stretches
from bus.model import Receipt
from bus.rebuild.rebuild import TableRebuild
from bus.sealing.proofs import digest
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from connectors.postgres import statements
from connectors.postgres.sink import PostgresSink
from connectors.postgres.statements import Names
from connectors.postgres.table import PostgresOptions
from tests.support.engines import unique
from tests.support.keys import key
from tests.support.lanes import CATALOG, Hosted, Town, hosted, until, view_of

pytestmark = pytest.mark.service

HOSTILE, HONEST = "child_allowance", "individual_resident_tax"
STREAMS = ("resident", "protection")
HIDDEN = "000000000000042"  # protected before anything is tried
NEW_ADDRESS = "９９９番の隠れ家"
SOON = 90.0
TRIES = 150  # sleeps of the process after which a lane that tries again is one that waits

FORGED = "RK-507"
FALSE = "RK-509"  # no word of the bus
UNFIT = "RK-100"  # the tables are not what the bus can work with
UNREADY = "RK-410"  # they may be again
AHEAD = "RK-408"  # the store says that it knows of newer protections
LOST = "RK-501"
NEWER = "RK-409"
GOES_ON = ""


@dataclass
class Vendor:
    """A database whose owner is not the bus, and what the bus has in it."""

    superuser: str
    uri: str  # the bus's login
    role: str
    town: Town
    honest: MemoryStore = field(default_factory=MemoryStore)
    published: dict[str, int] = field(default_factory=dict)

    def do(self, statement: str, about: Any = None) -> list[dict[str, Any]]:
        """As the owner of everything."""
        with psycopg.connect(self.superuser, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, about)
            return cursor.fetchall() if cursor.description else []

    def running(self) -> Any:
        """The bus, for both systems."""
        options = PostgresOptions(uri=SecretStr(self.uri))
        sinks: dict[str, Callable[[Any], Any]] = {
            HOSTILE: lambda _: PostgresSink(options),
            HONEST: lambda _: MemorySink(MemoryOptions(store=self.honest)),
        }
        return hosted(self.town, sinks, streams=STREAMS)

    async def publish(self, subject: str, version: int, **items: Any) -> None:
        partition = int(subject) % self.town.partitions
        await self.town.publish("resident", subject, version, partition=partition, **items)
        self.published[subject] = version

    def rows(self) -> dict[str, int]:
        """Subject -> version in the vendor's own table."""
        found = self.do("SELECT subject_id, version FROM linkage.resident")
        return {row["subject_id"]: row["version"] for row in found}

    def texts(self) -> str:
        """All that is in the database, whatever the tables are called."""
        with psycopg.connect(self.superuser) as connection:
            tables = connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
                " AND c.relpersistence <> 't'"  # a session's own, gone with it
                " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            return "".join(
                str(connection.execute(
                    sql.SQL("SELECT coalesce(json_agg(t)::text, '') FROM {} AS t").format(
                        sql.Identifier(*table)
                    )
                ).fetchone())
                for table in tables
            )  # fmt: skip


@pytest.fixture
async def vendor(database: str) -> AsyncIterator[Vendor]:
    """Both systems have three residents, one of whom is protected; then the bus is away."""
    town = Town(partitions=2)
    await town.build()
    role = unique("bus")
    made = Vendor(database, "", role, town)
    made.do(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    made.do(f"CREATE SCHEMA linkage AUTHORIZATION {role}")
    made.uri = re.sub(r"//[^@]*@", f"//{role}:p@", database)
    await town.publish("protection", HIDDEN, 1)
    async with made.running() as bus:
        for subject in ("000000000000001", "000000000000002", HIDDEN):
            await made.publish(subject, 1)
        await until(lambda: _is_served(made, bus), SOON)
        made.do("CREATE TABLE older AS SELECT * FROM linkage.renkei_position")
        await made.publish("000000000000001", 2)
        await until(lambda: _is_served(made, bus), SOON)
    yield made
    made.do("ALTER TABLE IF EXISTS older OWNER TO CURRENT_USER")
    made.do(f"DROP OWNED BY {role} CASCADE")
    made.do(f"DROP ROLE {role}")


def _is_served(vendor: Vendor, bus: Hosted) -> bool:
    """Everything published is in both stores, and every receipt acknowledged."""
    mine = vendor.rows() if vendor.do("SELECT to_regclass('linkage.resident') AS t")[0]["t"] else {}
    theirs = {row["subject_id"]: row["version"] for row in vendor.honest.rows("resident")}
    return mine == theirs == vendor.published and not bus.process.control.receipts.waiting


POSITION = "UPDATE linkage.renkei_position SET "
RESIDENT = " WHERE stream = 'resident' AND partition = 1"
EVIL = "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS "

TRICKS: Mapping[str, tuple[str, Collection[str]]] = {
    # positions and receipts
    "a position is moved forward": (POSITION + '"offset" = "offset" + 1' + RESIDENT, {FORGED}),
    "a position is moved back": (POSITION + '"offset" = 0' + RESIDENT, {FORGED}),
    "positions of two lanes change places": (
        POSITION + "partition = CASE partition WHEN 0 THEN 900 ELSE partition END"
        " WHERE stream = 'resident';"
        + POSITION + "partition = 0" + RESIDENT + ";"
        + POSITION + "partition = 1 WHERE stream = 'resident' AND partition = 900",
        {FORGED},
    ),
    "a row of another stream is copied here": (
        POSITION + 'receipt = other.receipt, "offset" = other."offset" FROM'
        " linkage.renkei_position AS other WHERE other.stream = 'protection' AND"
        " renkei_position.stream = 'resident'",
        {FORGED},
    ),
    "another event is said to be the last": (
        POSITION + "last_event_id = '01900000-0000-7000-8000-000000000000'" + RESIDENT,
        {"RK-502"},  # the receipt is in the log, and the log has another event there
    ),
    "another system is named": (
        POSITION + f"""receipt = receipt || '{{"system": "{HONEST}"}}'""" + RESIDENT, {FORGED}),
    "more rows are claimed": (POSITION + """receipt = receipt || '{"rows": 999}'""", {FORGED}),
    "another view is claimed": (POSITION + """receipt = receipt || '{"view": "0"}'""", {FORGED}),
    "the proof is taken away": (POSITION + "receipt = receipt - 'proof'", {GOES_ON}),
    "the proof is another": (
        POSITION + "receipt = jsonb_set(receipt, '{proof}', to_jsonb('town:' || repeat('0', 64)))",
        {GOES_ON},  # all else is true, and the log has it
    ),
    "an older row is put back": (
        "DELETE FROM linkage.renkei_position;"
        "INSERT INTO linkage.renkei_position SELECT * FROM older", {GOES_ON}),
    "all positions are deleted": ("DELETE FROM linkage.renkei_position", {GOES_ON}),
    "a receipt is a number": (POSITION + "receipt = '5'", {FORGED}),
    "a receipt is empty": (POSITION + "receipt = '{}'", {FORGED}),
    "a receipt has another form": (
        POSITION + """receipt = receipt || '{"rows": {"a": [1e999]}, "more": null}'""", {FORGED}),
    "a receipt is huge": (
        POSITION + "receipt = jsonb_set(receipt, '{digest}', to_jsonb(repeat('x', 20000000)))",
        {FALSE},  # found before it is read
    ),
    "an offset is a text": (
        'ALTER TABLE linkage.renkei_position ALTER "offset" TYPE text', {UNFIT, FORGED}),
    "a partition is a text": (
        "ALTER TABLE linkage.renkei_position ALTER partition TYPE text", {UNFIT, FORGED}),
    "a time is put back": (POSITION + "applied_at = applied_at - interval '1 day'", {FORGED}),
    "a time is of long ago": (POSITION + "applied_at = '2020-01-01'", {FORGED}),
    "a time is yet to come": (POSITION + "applied_at = applied_at + interval '9 days'", {FALSE}),
    "a time is another, and the proof is taken away": (
        POSITION + "applied_at = applied_at - interval '1 second', receipt = receipt - 'proof'",
        {FORGED},
    ),
    "a time is endless": (POSITION + "applied_at = 'infinity'", {FALSE}),
    "a time is a text": (
        "ALTER TABLE linkage.renkei_position ALTER applied_at TYPE text", {UNFIT, FORGED}),
    # what protects
    "the fence is far ahead": (
        """UPDATE linkage.renkei_fence SET reached = '{"protection/0": 99999}'""",
        {FALSE},
    ),
    "the fence is forgotten": (
        "UPDATE linkage.renkei_fence SET reached = '{}', cluster_id = NULL", {GOES_ON}),
    "the fence is a list": ("UPDATE linkage.renkei_fence SET reached = '[]'", {FALSE}),
    "the fence is gone": ("DELETE FROM linkage.renkei_fence", {GOES_ON, AHEAD}),
    "nothing is withheld": ("DELETE FROM linkage.renkei_withheld", {GOES_ON}),
    "a catalogue is to be emptied": (
        "UPDATE linkage.renkei_withheld SET relation = 'pg_catalog.pg_authid'", {GOES_ON, UNFIT}),
    "a statement is slipped in": (
        "UPDATE linkage.renkei_withheld SET relation = 'linkage.resident; DROP TABLE older; --'",
        {GOES_ON, UNFIT},
    ),
    "everybody is to be restored": (
        "INSERT INTO linkage.renkei_restore SELECT '\"linkage\".\"resident\"', '131016',"
        " lpad(n::text, 15, '0') FROM generate_series(1, 2000) AS n ON CONFLICT DO NOTHING",
        {GOES_ON},
    ),
    # views
    "the view is another": ("UPDATE linkage.renkei_view SET fingerprint = 'x'", {UNFIT}),
    "the edition is far ahead": (
        """UPDATE linkage.renkei_view SET stands = stands || '{"edition": 99999}'""", {NEWER}),
    "the view is of another form": (
        "UPDATE linkage.renkei_view SET stands = '[1]', edition = 0", {UNFIT}),
    # the tables themselves
    "a trigger leaves rows out": (
        EVIL + "'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON linkage.resident"
        " FOR EACH ROW EXECUTE FUNCTION evil()",
        {GOES_ON},  # what its own table does not take is its own matter
    ),
    "a trigger moves positions": (
        EVIL + """'BEGIN NEW."offset" := NEW."offset" + 7; RETURN NEW; END';"""
        "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON linkage.renkei_position"
        " FOR EACH ROW EXECUTE FUNCTION evil()",
        {FORGED, LOST, GOES_ON},  # as long as nobody asks where it stands
    ),
    **{
        f"a trigger says that it was {when}": (
            EVIL + f"'BEGIN NEW.applied_at := ''{when}''; RETURN NEW; END';"
            "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON linkage.renkei_position"
            " FOR EACH ROW EXECUTE FUNCTION evil()",
            {FALSE},
        )
        for when in ("infinity", "-infinity", "9999-12-31", "0001-01-01", "2020-01-01")
    },
    "a trigger says that rows came at the end of time": (
        EVIL + "'BEGIN NEW.renkei_applied_at := ''infinity''; RETURN NEW; END';"
        "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON linkage.resident"
        " FOR EACH ROW EXECUTE FUNCTION evil()",
        {GOES_ON},  # nobody asks when
    ),
    "a trigger raises": (
        EVIL + "'BEGIN RAISE EXCEPTION ''no''; END';"
        "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON linkage.renkei_position"
        " FOR EACH ROW EXECUTE FUNCTION evil()",
        {UNFIT},
    ),
    "a rule does nothing": (
        "CREATE RULE evil AS ON INSERT TO linkage.renkei_position DO INSTEAD NOTHING", {UNFIT}),
    "a view is in a table's place": (
        "ALTER TABLE linkage.renkei_position RENAME TO was;"
        "CREATE VIEW linkage.renkei_position AS SELECT stream, partition, cluster_id, topic,"
        ' "offset" + 1 AS "offset", last_event_id, receipt, applied_at FROM linkage.was',
        {UNFIT, UNREADY, FORGED},
    ),
    "rows are hidden": (
        "ALTER TABLE linkage.renkei_position ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE linkage.renkei_position FORCE ROW LEVEL SECURITY",
        {UNFIT, UNREADY},
    ),
    "names mean something else": (
        "CREATE SCHEMA evil; CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz"
        " LANGUAGE sql AS $$SELECT 'infinity'::timestamptz$$;"
        "CREATE FUNCTION evil.to_regclass(text) RETURNS regclass"
        " LANGUAGE sql AS $$SELECT NULL::regclass$$; GRANT USAGE ON SCHEMA evil TO PUBLIC;"
        "ALTER ROLE {role} SET search_path = evil, pg_catalog",
        {GOES_ON},
    ),
    "nothing may be written": (
        "ALTER ROLE {role} SET default_transaction_read_only = on", {"RK-404", UNFIT}),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
async def test_a_vendor_gets_nothing(vendor: Vendor, trick: str) -> None:
    """Each thing that the owner of a database can do to what the bus has there."""
    statement, outcomes = TRICKS[trick]
    for each in statement.replace("{role}", vendor.role).split(";\n"):
        vendor.do(each)

    async with vendor.running() as bus:
        await vendor.publish("000000000000003", 1)
        await vendor.publish("000000000000004", 1)
        await vendor.publish(HIDDEN, 2, address__lot=NEW_ADDRESS)
        outcome = await _outcome(vendor, bus)
        await until(
            lambda: (
                {r["subject_id"]: r["version"] for r in vendor.honest.rows("resident")}
                == vendor.published
            ),
            SOON,
        )
        assert {lane.status for lane in bus.lanes if lane.system == HONEST} == {LaneStatus.RUNNING}

    assert outcome in outcomes
    assert NEW_ADDRESS not in await asyncio.to_thread(vendor.texts)
    _judge(vendor.town)


async def _outcome(vendor: Vendor, bus: Hosted) -> str:
    """With which code a lane of the hostile system stands or waits; none: it goes on."""
    found: list[str] = []

    def is_clear() -> bool:
        mine = [state for name, state in bus.process.lanes.all.items() if name[0] == HOSTILE]
        residents = [state for state in mine if state.stream == "resident"]
        stands = [state for state in residents if state.status is LaneStatus.STOPPED]
        waits = [s for s in mine if s.status in (LaneStatus.RETRYING, LaneStatus.LOST)]
        ends = {p: len(log.offsets) for p, log in enumerate(_logs(vendor.town, "resident"))}
        if stands:
            found.append(stands[0].code or "")
        elif waits and len(vendor.town.moved.slept) > TRIES:
            found.append(waits[0].code or "")
        elif (
            len(residents) == vendor.town.partitions
            and all(
                state.status is LaneStatus.RUNNING and state.offset == ends[state.partition]
                for state in residents
            )
            and not bus.process.control.receipts.waiting
        ):
            found.append(GOES_ON)
        return bool(found)

    await until(is_clear, SOON)
    return found[0]


def _judge(town: Town) -> None:
    """Every receipt is one that a lane made: its chain, and the digest of what it delivered."""
    rows = town.read_all("receipt")
    values = {
        (stream, partition): dict(zip(log.offsets, log.values, strict=True))
        for stream in STREAMS
        for partition, log in enumerate(_logs(town, stream))
    }
    lanes: dict[tuple[str, str, int], list[ReceiptRow]] = {}
    names = Receipt.__dataclass_fields__
    for place, row in enumerate(rows):
        lane = (row["system"], row["stream"], row["partition"])
        assert lane[0] in (HOSTILE, HONEST)
        given = [
            values[lane[1:]][offset]
            for first, end in stretches(row["delivered"])
            for offset in range(first, end)
        ]
        assert row["digest"] == digest(key("town"), given)
        assert row["rows"] == len(given)
        assert row["view"] == view_of(*lane[:2]).fingerprint
        lanes.setdefault(lane, []).append(
            ReceiptRow(
                receipt=Receipt(**{name: row[name] for name in names}),
                **{n: row[n] for n in ("chain", "applied_at", "cluster_id", "is_replay")},
                log_partition=0,
                log_offset=place,
            )
        )
    for receipts in lanes.values():
        assert check_lane(receipts, {}).findings == []


def _logs(town: Town, stream: str) -> Any:
    return town.memory._topic(CATALOG.stream(stream).topic).logs


async def _rebuild(vendor: Vendor) -> None:
    options = PostgresOptions(uri=SecretStr(vendor.uri))
    view = view_of(HOSTILE, "resident")
    async with hosted(vendor.town, {}) as bus:
        rebuild = TableRebuild(
            view,
            CATALOG.stream("resident").topic,
            reader=vendor.town.reader("resident"),
            sink=PostgresSink(options),
            process=bus.process,
        )
        await rebuild.run()


async def _all_goes_on(vendor: Vendor) -> None:
    """One more is delivered, and every row is there."""
    async with vendor.running() as bus:
        await vendor.publish("000000000000003", 1)
        assert await _outcome(vendor, bus) == GOES_ON

    assert vendor.rows().keys() == vendor.published.keys()
    _judge(vendor.town)


async def test_a_forged_table_is_filled_anew(vendor: Vendor) -> None:
    """A rebuild believes nothing of what stands there, publishes nothing of it, and puts a position
    of the bus's own in its place: then the lane goes on."""
    vendor.do(POSITION + """receipt = receipt || '{"rows": 999}', "offset" = 0""" + RESIDENT)
    vendor.do(POSITION + "receipt = '5' WHERE stream = 'resident' AND partition = 0")
    vendor.do("UPDATE linkage.resident SET version = 99, name_full = 'x'")
    await _rebuild(vendor)

    await _all_goes_on(vendor)


@pytest.mark.parametrize(
    "said",
    [
        "applied_at = applied_at + interval '2 days'",
        "applied_at = 'infinity'",
        "applied_at = '4000-01-01 BC'",
        "receipt = '{\"start\": 1e5000}'",
        "receipt = jsonb_set(receipt, '{digest}', to_jsonb(repeat('x', 20000000)))",
    ],
)
async def test_a_rebuild_needs_nothing_that_a_position_says(vendor: Vendor, said: str) -> None:
    """Neither of the table in use nor of one that was left half-filled; what can be read of the
    stream's other lanes is believed as ever."""
    vendor.do(POSITION + said + RESIDENT)
    vendor.do(
        "INSERT INTO linkage.renkei_position SELECT %s, partition, cluster_id, topic,"
        ' "offset", last_event_id, receipt, applied_at FROM linkage.renkei_position' + RESIDENT,
        (Names.of("resident", "linkage", "").beside.stream,),
    )
    await _rebuild(vendor)

    await _all_goes_on(vendor)


async def test_a_clock_that_ran_days_ahead_and_is_put_right_stops_nothing(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the last batch's receipt with that very time; so it has the next one's."""
    move = statements._move

    def ahead(*given: Any) -> str:
        text = move(*given)
        for clock in ("clock_timestamp()", "now()"):
            text = text.replace(clock, f"({clock} + interval '2 days')")
        return text

    with monkeypatch.context() as patched:
        patched.setattr(statements, "_move", ahead)
        async with vendor.running() as bus:
            await vendor.publish("000000000000001", 3)
            await vendor.publish("000000000000002", 2)
            assert await _outcome(vendor, bus) == GOES_ON
    found = vendor.do("SELECT count(*) AS n FROM linkage.renkei_position"
                      " WHERE applied_at > now() + interval '1 day'")  # fmt: skip
    assert found[0]["n"] >= 2

    for version in (4, 5):
        async with vendor.running() as bus:
            await vendor.publish("000000000000001", version)
            assert await _outcome(vendor, bus) == GOES_ON

    assert vendor.rows() == vendor.published
    _judge(vendor.town)


async def test_a_row_of_another_systems_database_is_not_believed(vendor: Vendor) -> None:
    """Genuine there, copied here by somebody who owns both."""
    held = vendor.honest.checkpoints["resident", 1]
    receipt = {name: getattr(held.receipt, name) for name in Receipt.__dataclass_fields__}
    vendor.do(
        POSITION + 'receipt = %s::jsonb, "offset" = %s, last_event_id = %s' + RESIDENT,
        (
            json.dumps({**receipt, "proof": held.proof}),
            held.position.offset,
            held.position.last_event_id,
        ),
    )
    said = len(vendor.town.read_all("receipt"))

    async with vendor.running() as bus:
        assert await _outcome(vendor, bus) == FORGED

    mine = [r for r in vendor.town.read_all("receipt")[said:] if r["system"] == HONEST]
    assert {r["chain"] for r in mine} <= {
        held.receipt.chain for held in vendor.honest.checkpoints.values()
    }
    _judge(vendor.town)
