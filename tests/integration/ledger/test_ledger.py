"""The ledger, fed by its connector, answers from PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pyarrow as pa
import pytest

from bus.broker import Message, TopicSpec
from bus.broker.memory import MemoryBroker
from bus.catalog import Catalog, load
from bus.errors import ConfigurationError, LoginRefused, StoreUnavailable, Unready
from bus.ledger import SCHEMA, TABLE_PREFIX, Ledger, ReachState
from bus.ledger.feed import LedgerFeed
from bus.ledger.reach import Reach, timed
from bus.ledger.store import OpenExceptions, connected, prepare
from bus.ledger.stream_status import standings
from bus.model import Position, Receipt, Step, Upserts, View, multirange
from bus.policy import ledger_view
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions

pytestmark = pytest.mark.service

PROCESSED = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TYPE = "resident.address_changed"
GRANTED = {
    system: {"resident": frozenset({TYPE})} for system in ("pension", "school", "welfare")
} | {"registry": {}}


class Filled:
    """A ledger into which tests write as the bus would."""

    def __init__(self, uri: str, catalog: Catalog) -> None:
        self.ledger = Ledger(uri)
        self._catalog = catalog
        self._feed = LedgerFeed(self._make, uri, ["household", "protection", "resident"])
        self._uri = uri
        self._ends: dict[str, int] = {}

    def _make(self) -> PostgresSink:
        options = {"uri": self._uri, "schema_name": SCHEMA, "table_prefix": TABLE_PREFIX}
        return PostgresSink(PostgresOptions.model_validate(options))

    async def write(self, stream: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows to one stream's table, in one batch, as read from partition 0."""
        view = ledger_view(self._catalog.stream(stream))
        start = self._ends.get(stream, 0)
        placed = [
            {**row, "log_partition": 0, "log_offset": start + n} for n, row in enumerate(rows)
        ]
        self._ends[stream] = start + len(rows)
        sink = self._feed.sink()
        await sink.open(view)
        try:
            await sink.apply(batch(view, start, placed))
        finally:
            await sink.close()

    async def events(self, *events: Mapping[str, Any]) -> None:
        """Append resident events; the first is at offset 0."""
        await self.write("resident", [event(**{"change_id": "c1", **given}) for given in events])

    async def receipts(self, *receipts: Mapping[str, Any]) -> None:
        """Append receipts."""
        await self.write("receipt", [receipt(**given) for given in receipts])

    async def exceptions(self, *exceptions: Mapping[str, Any]) -> None:
        """Append exceptions."""
        await self.write("exception", [exception(**given) for given in exceptions])

    async def operations(self, *operations: Mapping[str, Any]) -> None:
        """Append what was said about lanes."""
        await self.write("operation", [operation(**given) for given in operations])

    async def states(self, change_id: str = "c1") -> dict[str, ReachState]:
        """How the change stands in each system."""
        reach = await self.ledger.reach(change_id, GRANTED)
        return {system.system: system.state for system in reach.systems}


def batch(view: View, start: int, rows: Sequence[Mapping[str, Any]]) -> Upserts:
    end = start + len(rows)
    position = Position(
        cluster_id="c", topic=f"linkage.{view.stream}", partition=0, offset=end, last_event_id=None
    )
    said = Receipt(
        system=view.system,
        stream=view.stream,
        partition=0,
        start=start,
        end=end,
        delivered=multirange(range(start, end)),
        view=view.fingerprint,
        rows=len(rows),
        digest="",
    )
    records = pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=view.schema)
    step = Step(view=view, partition=0, start=start, end=position, receipt=said)
    return Upserts(step=step, records=records)


def event(**given: Any) -> dict[str, Any]:
    return {
        "municipality_code": "131130",
        "subject_id": "000000000000001",
        "version": 1,
        "event_id": "e",
        "event_type": TYPE,
        "nature": "CHANGE",
        "change_size": 1,
        "change_index": 0,
        "processed_at": PROCESSED,
        "source": "registry",
        "cancels": None,
        **given,
    }


def receipt(
    *,
    start: int,
    end: int,
    holes: Sequence[int] = (),
    system: str = "school",
    ms: int = 50,
    delivered: str | None = None,
    chain: str = "c",
) -> dict[str, Any]:
    return {
        "system": system,
        "stream": "resident",
        "partition": 0,
        "start": start,
        "end": end,
        "delivered": delivered or multirange(o for o in range(start, end) if o not in holes),
        "view": "v",
        "rows": end - start,
        "digest": "d",
        "previous": "p",
        "chain": chain,
        "applied_at": PROCESSED + timedelta(milliseconds=ms),
        "cluster_id": "c",
        "is_replay": start == end,
    }  # fmt: skip


def exception(
    *, offset: int, state: str, code: str = "RK-202", since: datetime | None = None
) -> dict[str, Any]:
    return {
        "system": "school",
        "stream": "resident",
        "partition": 0,
        "offset": offset,
        "subject": "131130/000000000000001",
        "event_id": "e",
        "state": state,
        "code": code,
        "attempts": 1,
        "at": PROCESSED + timedelta(seconds=1),
        "note": None,
        "since": since,
    }


def operation(*, state: str, partition: int | None = None, **given: Any) -> dict[str, Any]:
    return {
        "system": "school",
        "stream": "resident",
        "partition": partition,
        "state": state,
        "operator": "ops",
        "at": PROCESSED,
        "code": None,
        "offset": None,
        "note": None,
        **given,
    }


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.fixture
async def filled(database: str, catalog: Catalog) -> AsyncIterator[Filled]:
    filled = Filled(database, catalog)
    await filled.events({})
    yield filled
    await filled.ledger.close()


def as_logged(reach: Reach) -> Reach:
    """With the log's time of its events: here, when the core system processed the change."""
    return timed(reach, dict.fromkeys(reach.places, PROCESSED))


async def test_receipts_prove_a_delivery(filled: Filled) -> None:
    """Whose receipts cover the event has it; the others' lanes have not come so far."""
    await filled.receipts(
        {"start": 0, "end": 1}, {"start": 0, "end": 1, "system": "pension", "ms": 80}
    )

    reach = as_logged(await filled.ledger.reach("c1", GRANTED))

    assert {s.system: (s.state, s.took) for s in reach.systems} == {
        "pension": (ReachState.APPLIED, timedelta(milliseconds=80)),
        "registry": (ReachState.NOT_ENTITLED, None),
        "school": (ReachState.APPLIED, timedelta(milliseconds=50)),
        "welfare": (ReachState.WAITING, None),
    }
    assert (reach.applied, reach.expected) == (2, 3)


async def test_a_hole_is_no_delivery(filled: Filled) -> None:
    """A lane that went past an event without handing it over has not delivered it."""
    await filled.receipts({"start": 0, "end": 9, "holes": [0]})

    assert (await filled.states())["school"] is ReachState.MISSED


async def test_a_parked_event_and_its_end(filled: Filled) -> None:
    """Set aside, then applied by a retry, whose receipt has no length."""
    await filled.receipts({"start": 0, "end": 9, "holes": [0]})
    await filled.exceptions({"offset": 0, "state": "PARKED"})
    before = await filled.states()
    await filled.receipts({"start": 9, "end": 9, "delivered": "{[0,1)}"})
    await filled.exceptions({"offset": 0, "state": "APPLIED"})

    assert before["school"] is ReachState.PARKED
    assert (await filled.states())["school"] is ReachState.APPLIED


async def test_how_long_it_is_set_aside(filled: Filled) -> None:
    """Since it was, whatever was tried since; closed ones do not count."""
    day = timedelta(days=1)
    await filled.exceptions(
        {"offset": 0, "state": "PARKED", "since": PROCESSED - day},
        {"offset": 1, "state": "WAITING"},
        {"offset": 2, "state": "PARKED", "since": PROCESSED - 9 * day},
        {"offset": 2, "state": "DISMISSED", "since": PROCESSED - 9 * day},
    )

    found = await filled.ledger.open_exceptions()

    assert found == {("school", "resident"): OpenExceptions(2, PROCESSED - day)}


async def test_a_ledger_of_before_learns_the_new_column(
    filled: Filled, database: str, catalog: Catalog
) -> None:
    """Exceptions got a column; what is there stays, and when it was said counts."""
    await filled.exceptions({"offset": 0, "state": "PARKED"})
    with psycopg.connect(database) as connection:
        connection.execute("DROP VIEW ledger.exception")
        connection.execute("ALTER TABLE ledger.event_exception DROP COLUMN since")
        connection.execute(
            "CREATE VIEW ledger.exception AS SELECT DISTINCT ON"
            ' (system, stream, partition, "offset") system, stream, partition, "offset", subject,'
            " event_id, state, code, attempts, at, note,"
            " state IN ('PARKED', 'WAITING', 'RETRY') AS is_open FROM ledger.event_exception"
            ' ORDER BY system, stream, partition, "offset", log_offset DESC'
        )
    for _ in range(2):  # safe to repeat
        await prepare(connected(database), ["household", "protection", "resident"])
    await filled.exceptions({"offset": 1, "state": "PARKED", "since": PROCESSED})

    assert await filled.ledger.open_exceptions() == {
        ("school", "resident"): OpenExceptions(2, PROCESSED)
    }


async def test_a_later_version_stands_in(filled: Filled) -> None:
    """A system that joined after compaction has the subject's newer state instead."""
    await filled.events({"change_id": "c2", "version": 2})
    await filled.receipts({"start": 0, "end": 2, "holes": [0]})

    assert (await filled.states("c1"))["school"] is ReachState.SUPERSEDED
    assert (await filled.states("c2"))["school"] is ReachState.APPLIED


async def test_after_a_rebuild(filled: Filled) -> None:
    """Receipts of before and after say different things of one offset; one delivery is enough."""
    await filled.receipts({"start": 0, "end": 4, "holes": [0]}, {"start": 0, "end": 6, "ms": 900})

    reach = as_logged(await filled.ledger.reach("c1", {"school": GRANTED["school"]}))

    assert [s.state for s in reach.systems] == [ReachState.APPLIED]
    assert reach.systems[0].took == timedelta(milliseconds=900)


async def test_delivered_under_a_grant_that_has_ended(filled: Filled) -> None:
    """What was delivered was delivered, whatever the subscriptions say today.

    One whose grant has ended, one that is gone from the subscriptions; who was given nothing is
    not entitled.
    """
    await filled.receipts({"start": 0, "end": 1}, {"start": 0, "end": 1, "system": "closed_down"})
    await filled.receipts({"start": 0, "end": 1, "holes": [0], "system": "pension"})

    reach = await filled.ledger.reach("c1", {"school": {}, "pension": {}, "registry": {}})

    assert {s.system: s.state for s in reach.systems} == {
        "closed_down": ReachState.APPLIED,
        "pension": ReachState.NOT_ENTITLED,
        "registry": ReachState.NOT_ENTITLED,
        "school": ReachState.APPLIED,
    }
    assert (reach.applied, reach.expected, reach.is_complete) == (2, 2, True)


async def test_a_pause_is_why(filled: Filled) -> None:
    """A system that has not come to the change, because somebody wants its lanes to stand."""
    await filled.receipts({"start": 0, "end": 1, "system": "pension"})
    await filled.operations(
        {"state": "PAUSED", "note": "T-1"},
        {"state": "PAUSED", "system": "pension"},
        {"state": "PAUSED", "system": "welfare"},
        {"state": "RUNNING", "system": "welfare"},
    )

    reach = await filled.ledger.reach("c1", GRANTED)
    by_name = {system.system: system for system in reach.systems}

    assert {name: s.state for name, s in by_name.items()} == {
        "pension": ReachState.APPLIED,
        "registry": ReachState.NOT_ENTITLED,
        "school": ReachState.PAUSED,
        "welfare": ReachState.WAITING,
    }
    pause = by_name["school"].operation
    assert pause is not None
    assert (pause.operator, pause.at, pause.note) == ("ops", PROCESSED, "T-1")
    assert by_name["school"].events_behind == 1
    assert [(o.system, o.state.value) for o in await filled.ledger.standing()] == [
        ("pension", "PAUSED"),
        ("school", "PAUSED"),
    ]


async def test_a_stop_is_why(filled: Filled) -> None:
    """The lane's own word counts more than a pause, and only for as long as it has not gone on."""
    stopped = {"state": "STOPPED", "partition": 0, "code": "RK-205", "operator": None}
    await filled.events({"change_id": "c2", "version": 2})
    await filled.receipts({"start": 0, "end": 1})
    await filled.operations({"state": "PAUSED"}, {**stopped, "offset": 1})
    elsewhere = {**stopped, "offset": 1, "partition": 3}
    await filled.operations({**elsewhere, "system": "pension"})

    reach = await filled.ledger.reach("c2", GRANTED)
    by_name = {system.system: system for system in reach.systems}
    assert (by_name["school"].state, by_name["school"].code) == (ReachState.STOPPED, "RK-205")
    assert by_name["pension"].state is ReachState.WAITING
    assert len(await filled.ledger.standing()) == 3

    await filled.events({"change_id": "c3", "version": 3})
    await filled.receipts({"start": 1, "end": 2})
    assert (await filled.states("c3"))["school"] is ReachState.PAUSED
    await filled.operations({"state": "RUNNING"})
    assert (await filled.states("c3"))["school"] is ReachState.WAITING
    assert [o.system for o in await filled.ledger.standing()] == ["pension"]


async def test_a_store_that_went_back_is_why(filled: Filled) -> None:
    """It had what its receipts say; from where it stands now on it has not, until its lane says
    that it has caught up."""
    await filled.events({"change_id": "c2", "version": 2})
    await filled.receipts({"start": 0, "end": 1}, {"start": 1, "end": 2})
    assert (await filled.states("c2"))["school"] is ReachState.APPLIED
    word = {"state": "STOPPED", "partition": 0, "code": "RK-508", "operator": None, "offset": 1}
    await filled.operations(word)

    assert (await filled.states("c1"))["school"] is ReachState.APPLIED
    assert (await filled.states("c2"))["school"] is ReachState.GONE_BACK
    assert [o.has_gone_back for o in await filled.ledger.standing()] == [True]

    await filled.operations({**word, "state": "RUNNING", "code": None, "offset": None})
    assert (await filled.states("c2"))["school"] is ReachState.APPLIED
    assert await filled.ledger.standing() == []


async def test_a_change_of_several_events(filled: Filled) -> None:
    """A change is whole when the ledger has all of its events, in whichever stream."""
    await filled.events(
        {"change_id": "c3", "change_size": 2, "subject_id": "2"},
    )
    await filled.receipts({"start": 0, "end": 9})
    before = await filled.ledger.reach("c3", GRANTED)
    await filled.events(
        {"change_id": "c3", "change_size": 2, "change_index": 1, "subject_id": "3"},
    )
    after = await filled.ledger.reach("c3", GRANTED)

    assert (before.events, before.size, before.is_whole, before.applied) == (1, 2, False, 0)
    assert (after.events, after.is_whole, after.applied) == (2, True, 1)


async def test_a_receipt_that_was_sent_again_counts_once(filled: Filled, database: str) -> None:
    """A lane that opens sends its last receipt again; that is no second delivery."""
    await filled.receipts(
        {"start": 0, "end": 3, "chain": "1"}, {"start": 3, "end": 5, "chain": "2"}
    )
    await filled.receipts({"start": 3, "end": 5, "chain": "2"})

    lately = await filled.ledger.rows_lately(datetime.now(UTC) - PROCESSED + timedelta(days=1))
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute('SELECT start, "end" FROM ledger.receipt ORDER BY start')
        receipts = await cursor.fetchall()

    assert lately == {("school", "resident"): 5}
    assert receipts == [(0, 3), (3, 5)]


async def test_many_receipts_by_copy(filled: Filled) -> None:
    """Offsets become ranges on the connector's bulk way too."""
    await filled.receipts(*({"start": n, "end": n + 1} for n in range(500)))

    assert (await filled.states())["school"] is ReachState.APPLIED
    assert (await filled.ledger.lanes([("school", "resident", 0)]))[
        "school", "resident", 0
    ].reached == 500


async def test_no_names_and_no_addresses(filled: Filled, database: str) -> None:
    """The ledger has identifiers alone: its columns are a closed list."""
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'ledger.event_resident'::regclass"
            " AND attnum > 0"
        ).fetchall()

    assert {name for (name,) in found} == {
        "municipality_code", "subject_id", "version", "event_id", "event_type", "nature",
        "change_id", "change_size", "change_index", "processed_at", "source", "cancels",
        "log_partition", "log_offset", "renkei_applied_at",
    }  # fmt: skip


async def test_made_ready_by_several_at_once(database: str, catalog: Catalog) -> None:
    """Processes that start together do not get in each other's way."""
    feeds = [LedgerFeed(Filled(database, catalog)._make, database, ["resident"]) for _ in range(4)]

    await asyncio.gather(*(feed.make_ready() for feed in feeds))

    ledger = Ledger(database)
    assert (await ledger.reach("c", GRANTED)).events == 0
    await ledger.close()


async def test_a_database_without_a_ledger(database: str) -> None:
    """The error says what makes it."""
    ledger = Ledger(database)

    with pytest.raises(ConfigurationError, match="renkei deliver"):
        await ledger.reach("c", GRANTED)
    await ledger.close()


async def test_a_database_that_is_away(database: str) -> None:
    """It does not answer: to be asked again."""
    ledger = Ledger("postgresql://renkei:secret-canary@127.0.0.1:1/nowhere")

    with pytest.raises(StoreUnavailable) as away:
        await ledger.reach("c", GRANTED)

    assert "secret-canary" not in str(away.value)


@pytest.mark.parametrize("wrong", ["password", "database"])
async def test_a_refused_login_is_no_silence(database: str, wrong: str) -> None:
    """Asking again would not help: somebody has to mend the setting."""
    parts = urlsplit(database)
    if wrong == "password":
        netloc = f"{parts.username}:secret-canary@{parts.hostname}:{parts.port}"
        uri = urlunsplit(parts._replace(netloc=netloc))
    else:
        uri = urlunsplit(parts._replace(path="/secret-canary"))
    ledger = Ledger(uri)

    meaning = LoginRefused if wrong == "password" else Unready
    with pytest.raises(meaning, match=r"refuses the login|is not there") as refused:
        await ledger.reach("c", GRANTED)

    assert "secret-canary" not in str(refused.value)


async def test_a_lost_connection_is_made_again(filled: Filled, database: str) -> None:
    """The first question after the server dropped us may fail, the next is answered."""
    await filled.states()
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises(StoreUnavailable):
        await filled.states()
    assert (await filled.states())["school"] is ReachState.WAITING


async def test_how_systems_stand(filled: Filled, catalog: Catalog) -> None:
    """Lag from log and group, age from the log, the rest from receipts and exceptions."""
    now = datetime.now(UTC) + timedelta(seconds=90)
    broker = MemoryBroker()
    stream = catalog.stream("resident")
    await broker.create_topics([TopicSpec(stream.topic, 2, 1, {})])
    producer = broker.producer()
    await producer.start()
    await producer.send([Message(stream.topic, n % 2, b"k", b"v") for n in range(10)])
    broker._group("renkei.school").committed[stream.topic, 0] = 5
    broker._group("renkei.school").committed[stream.topic, 1] = 2
    await filled.receipts({"start": 0, "end": 5})
    await filled.exceptions({"offset": 3, "state": "PARKED"}, {"offset": 4, "state": "WAITING"})
    await filled.exceptions({"offset": 4, "state": "APPLIED"})

    pension, school = await standings(
        broker, filled.ledger, {"school": [stream], "pension": [stream]}, now=now
    )

    assert (pension.system, pension.lag_events, pension.last_applied_at) == ("pension", 10, None)
    assert (school.lag_events, school.parked) == (3, 1)
    assert school.last_applied_at == PROCESSED + timedelta(milliseconds=50)
    assert school.lag is not None
    assert timedelta(seconds=85) < school.lag < timedelta(seconds=100)
