"""What only PostgreSQL can do to a sink: altered tables, revoked rights, refused connections."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql
from pydantic import SecretStr, ValidationError

from bus import failpoints
from bus.conformance.sink_suite import (
    assert_no_value,
    batch_of,
    erasure_of,
    opened,
    person,
    view_of,
)
from bus.errors import (
    BusError,
    ConfigurationError,
    EventRefused,
    LoginRefused,
    SinkUnavailable,
    Unready,
)
from bus.failpoints import Point
from bus.model import Keeping, View
from connectors.postgres import table as table_module
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import SMALL_ROWS, PostgresOptions
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.service

SECRET = "sekret-name"
LARGE_ROWS = SMALL_ROWS + 1
SIZES = pytest.mark.parametrize("rows", [1, LARGE_ROWS])


def sink_at(uri: str, **options: str) -> PostgresSink:
    return PostgresSink(PostgresOptions(uri=SecretStr(uri), **options))


def execute(uri: str, *statements: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def values(uri: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(uri) as connection:
        return connection.execute(query.encode()).fetchall()


def people(rows: int, version: int = 1, **of_each: object) -> list[dict[str, object]]:
    return [person(f"{at:04d}", version) | of_each for at in range(rows)]


@contextmanager
def role(uri: str, unique_name: str) -> Iterator[tuple[str, str]]:
    """A login without any right of its own; yields its name and its URI."""
    execute(uri, f"CREATE ROLE {unique_name} LOGIN PASSWORD 'pw'")
    parts = urlsplit(uri)
    try:
        own = urlunsplit(parts._replace(netloc=f"{unique_name}:pw@{parts.hostname}:{parts.port}"))
        yield unique_name, own
    finally:
        execute(uri, f"DROP OWNED BY {unique_name} CASCADE", f"DROP ROLE {unique_name}")


MISSING = (
    "ALTER TABLE linkage.resident DROP CONSTRAINT resident_pkey",
    "ALTER TABLE linkage.resident RENAME TO elsewhere",
    "DROP TABLE linkage.renkei_position",
)
"""What a restore leaves for a moment; everything else is somebody's alteration."""


class TestAnAlteredTable:
    """Somebody changes the table while the sink is open: the lane stops, no event is blamed."""

    @SIZES
    @pytest.mark.parametrize(
        "change",
        [
            "ALTER TABLE linkage.resident DROP COLUMN name",
            "ALTER TABLE linkage.resident DROP COLUMN renkei_applied_at",
            "ALTER TABLE linkage.resident ALTER COLUMN name TYPE integer USING NULL",
            "ALTER TABLE linkage.resident ADD COLUMN theirs text NOT NULL",
            "ALTER TABLE linkage.resident DROP CONSTRAINT resident_pkey",
            "ALTER TABLE linkage.resident RENAME TO elsewhere",
            "ALTER TABLE linkage.resident ALTER COLUMN income SET NOT NULL",
            "DROP TABLE linkage.renkei_position",
        ],
    )
    async def test_stops_the_lane(self, database: str, change: str, rows: int) -> None:
        """Nothing is written, and the error is one that stops."""
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            execute(database, change)
            with pytest.raises((ConfigurationError, Unready)) as stopped:
                await sink.apply(batch_of(view, people(rows, name=SECRET)))
            assert isinstance(stopped.value, Unready) == (change in MISSING)

        assert_no_value(stopped.value, SECRET)
        assert values(database, "SELECT to_regclass('linkage.resident')") == [(None,)] or (
            values(database, "SELECT count(*) FROM linkage.resident") == [(0,)]
        )

    async def test_after_earlier_batches_stops_the_lane(self, database: str) -> None:
        """A statement that was prepared and worked is no excuse."""
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            for at in range(10):
                await sink.apply(batch_of(view, people(1, at + 1), start=at))
            execute(database, "ALTER TABLE linkage.resident DROP COLUMN name")
            with pytest.raises(ConfigurationError):
                await sink.apply(batch_of(view, people(1, 99), start=10))
            execute(database, "ALTER TABLE linkage.resident ADD COLUMN name text")
            await sink.apply(batch_of(view, people(1, 100), start=10))

        assert values(database, "SELECT version FROM linkage.resident") == [(100,)]

    async def test_a_gained_nullable_column_disturbs_nobody(self, database: str) -> None:
        """The system may add columns of its own, and keeps what it writes there."""
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(1)))
            execute(
                database,
                "ALTER TABLE linkage.resident ADD COLUMN theirs text",
                "UPDATE linkage.resident SET theirs = 'kept'",
            )
            await sink.apply(batch_of(view, people(1, 2), start=1))
            with pytest.raises(EventRefused):
                await sink.apply(batch_of(view, people(1, 3, name="\x00"), start=2))

        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(1, 4), start=2))
        assert values(database, "SELECT version, theirs FROM linkage.resident") == [(4, "kept")]

    async def test_what_is_gone_is_not_made_anew_at_once(self, database: str) -> None:
        """Whoever restores it this moment finds no table of ours in its place; when it is there
        again, the same sink goes on."""
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(1)))
            execute(database, "ALTER SCHEMA linkage RENAME TO aside")
            for _ in range(2):
                with pytest.raises(Unready):
                    await sink.open(view)
            assert values(database, "SELECT to_regnamespace('linkage')") == [(None,)]
            execute(database, "ALTER SCHEMA aside RENAME TO linkage")
            await sink.open(view)
            assert await sink.checkpoints()

    async def test_what_stays_gone_is_made_anew(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A store from before the stream was granted has neither table nor positions; one that
        says that its lanes were delivered to is a person's work."""
        monkeypatch.setattr("connectors.postgres.table.GONE_S", 0.0)
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(1)))
            execute(database, "DROP TABLE linkage.resident")
            with pytest.raises(Unready):
                await sink.open(view)
            execute(database, "DELETE FROM linkage.renkei_position")
            await sink.open(view)
            assert await sink.checkpoints() == {}
            await sink.apply(batch_of(view, people(1)))


class TestRights:
    """What a sink may do is what its role may do."""

    async def test_a_role_with_nothing_is_told_to_ask(self, database: str, unique) -> None:
        """It cannot make its tables and says so on opening."""
        with role(database, unique("r")) as (_, own):
            with pytest.raises(Unready):
                await sink_at(own).open(view_of())

    @SIZES
    async def test_reading_and_writing_is_enough(self, database: str, unique, rows: int) -> None:
        """Where the tables are there, no right to make any is needed."""
        view = view_of()
        async with opened(sink_at(database), view):
            pass
        with role(database, unique("r")) as (name, own):
            execute(
                database,
                f"GRANT USAGE ON SCHEMA linkage TO {name}",
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA linkage TO {name}",
            )
            async with opened(sink_at(own), view) as sink:
                await sink.apply(batch_of(view, people(rows)))
                await sink.apply(erasure_of(view, ["011002/0000"], start=rows))

        assert values(database, "SELECT count(*) FROM linkage.resident") == [(rows - 1,)]

    @SIZES
    @pytest.mark.parametrize("right", ["INSERT", "UPDATE"])
    async def test_revoked_writes_nothing(
        self, database: str, unique, right: str, rows: int
    ) -> None:
        """A right that is taken away under a running sink, as in the middle of a deployment;
        given back, the same sink goes on."""
        view = view_of()
        with role(database, unique("r")) as (name, own):
            execute(database, f"CREATE SCHEMA linkage AUTHORIZATION {name}")
            async with opened(sink_at(own), view) as sink:
                await sink.apply(batch_of(view, people(1)))
                execute(database, f"REVOKE {right} ON linkage.resident FROM {name}")
                with pytest.raises(Unready) as stopped:
                    await sink.apply(batch_of(view, people(rows, 2), start=1))
                assert stopped.value.where["sqlstate"] == "42501"
                with pytest.raises(Unready):
                    await sink_at(own).open(view)
                execute(database, f"GRANT {right} ON linkage.resident TO {name}")
                await sink.apply(batch_of(view, people(rows, 2), start=1))
            assert values(database, "SELECT DISTINCT version FROM linkage.resident") == [(2,)]


class TestConnecting:
    """The server says no, or says nothing."""

    @pytest.mark.parametrize(
        ("user", "password", "name", "meaning"),
        [
            ("renkei", "wrong-pw", None, LoginRefused),
            ("nobody", "wrong-pw", None, LoginRefused),
            (None, None, "no_such_db", Unready),
        ],
    )
    async def test_a_refused_connection(
        self,
        database: str,
        user: str | None,
        password: str | None,
        name: str | None,
        meaning: type[BusError],
    ) -> None:
        """A wrong password is a person's work, and is in no message; a database that is missing
        may be about to be renamed."""
        parts = urlsplit(database)
        if user:
            parts = parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}")
        if name:
            parts = parts._replace(path=f"/{name}")
        with pytest.raises(meaning) as refused:
            await sink_at(urlunsplit(parts)).open(view_of())

        assert_no_value(refused.value, parts.password or "")

    async def test_nobody_there_is_a_retry(self) -> None:
        """A server that is down comes back."""
        with pytest.raises(SinkUnavailable):
            await sink_at("postgresql://u:pw-secret@127.0.0.1:1/x").open(view_of())

    @pytest.mark.parametrize("uri", ["postgresql://u:pw-secret@[::1", "nonsense pw-secret"])
    async def test_an_unusable_uri_stops(self, uri: str) -> None:
        """And is not repeated, password and all."""
        with pytest.raises(ConfigurationError) as refused:
            await sink_at(uri).open(view_of())

        assert_no_value(refused.value, "pw-secret")

    @SIZES
    async def test_no_session_stands_in_a_transaction(self, database: str, rows: int) -> None:
        """Between batches nothing is held: vacuum and DDL of the system go on."""
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(rows)))
            await sink.checkpoint(0)
            states = values(
                database,
                "SELECT DISTINCT state FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'renkei %'",
            )

        assert states == [("idle",)]

    async def test_a_sink_that_caught_up_gives_a_connection_back(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection for large batches lasts while there are some."""
        view = view_of()
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'renkei %'"
        mine += " AND datname = current_database()"
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(100)))
            assert values(database, mine) == [(2,)]
            monkeypatch.setattr(table_module, "BULK_IDLE_S", 0.0)
            await sink.apply(batch_of(view, people(1, 2), start=100))
            assert values(database, mine) == [(1,)]
        assert values(database, mine) == [(0,)]


@pytest.mark.parametrize("point", [Point.SINK_MOVED, Point.SINK_WRITTEN])
async def test_a_connection_that_breaks_in_the_middle_undoes_the_batch(
    database: str, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps of a batch the line is cut: nothing is there, and a retry does it."""
    view, rows = view_of(), LARGE_ROWS

    def cut(passed: Point) -> None:
        if passed is point:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    async with opened(sink_at(database), view) as sink:
        await sink.apply(batch_of(view, people(rows)))
        batch = batch_of(view, people(rows, 2), start=rows)
        with monkeypatch.context() as patched:
            patched.setattr(failpoints, "_kill", cut)
            with pytest.raises(SinkUnavailable):
                await sink.apply(batch)
        assert values(database, "SELECT DISTINCT version FROM linkage.resident") == [(1,)]
        await sink.apply(batch)

    assert values(database, "SELECT DISTINCT version FROM linkage.resident") == [(2,)]


async def test_whoever_has_rebuilt_lets_go_before_the_session_ends(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server notices the end of a session a moment later, and the next one is refused until
    then: when a connection is closed, nobody may have the table's rebuild any more."""
    view, sink = view_of(), sink_at(database)
    asked = b"SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
    asked += b" WHERE locktype = 'advisory' AND datname = current_database()"
    held: list[int] = []
    close = psycopg.Connection.close

    with psycopg.connect(database, autocommit=True) as other:

        def closing(connection: psycopg.Connection[Any]) -> None:
            held.extend(number for (number,) in other.execute(asked))
            close(connection)

        async with opened(sink, view):
            async with opened(sink.staging(), view):
                monkeypatch.setattr(psycopg.Connection, "close", closing)
            await sink_at(database).staging().discard(view)
            monkeypatch.undo()
    assert held
    assert set(held) == {0}


@SIZES
async def test_a_close_does_not_wait_for_a_lock(
    database: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the table: a sink that must close undoes its batch, and closes."""
    view = view_of()
    sink = sink_at(database)
    await sink.open(view)
    await sink.apply(batch_of(view, people(rows)))
    monkeypatch.setattr(table_module, "CLOSE_PATIENCE_S", 0.1)
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE linkage.resident")
        waiting = asyncio.create_task(sink.apply(batch_of(view, people(rows, 2), start=rows)))
        waits = "SELECT FROM pg_locks JOIN pg_database d ON d.oid = database"
        waits += " WHERE NOT granted AND datname = current_database()"
        await until(lambda: values(database, waits), 60, every=0.01)
        begun = time.monotonic()
        await sink.close()
        assert time.monotonic() - begun < 5
        with pytest.raises(SinkUnavailable):
            await waiting

    assert values(database, "SELECT DISTINCT version FROM linkage.resident") == [(1,)]


class TestRefusals:
    """Whatever the server answers has one meaning, and never shows a value."""

    @SIZES
    @pytest.mark.parametrize(
        ("sqlstate", "meaning"),
        [
            ("22001", EventRefused),
            ("23514", EventRefused),
            ("54000", EventRefused),
            ("53100", SinkUnavailable),  # disk full
            ("53200", SinkUnavailable),
            ("57014", SinkUnavailable),
            ("40P01", SinkUnavailable),
            ("55P03", SinkUnavailable),
            ("25006", SinkUnavailable),
            ("58030", SinkUnavailable),
            ("42P01", Unready),
            ("0A000", ConfigurationError),
            ("P0001", ConfigurationError),
            ("XX000", ConfigurationError),
        ],
    )
    async def test_have_one_meaning_each(
        self,
        database: str,
        sqlstate: str,
        meaning: type[BusError],
        rows: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The class follows the SQLSTATE; nothing is written; the sink goes on afterwards."""
        caplog.set_level(logging.DEBUG)
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, [person("before")]))
            execute(
                database,
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE EXCEPTION 'no: %', NEW.name"
                f" USING ERRCODE = '{sqlstate}', DETAIL = NEW.name, HINT = NEW.name; END $$",
                "CREATE TRIGGER refuse BEFORE INSERT ON linkage.resident"
                " FOR EACH ROW EXECUTE FUNCTION refuse()",
            )
            with pytest.raises(meaning) as refused:
                await sink.apply(batch_of(view, people(rows, name=SECRET), start=1))
            assert type(refused.value) is meaning
            assert refused.value.where["sqlstate"] == sqlstate
            assert_no_value(refused.value, SECRET)
            assert SECRET not in caplog.text
            assert values(database, "SELECT count(*) FROM linkage.resident") == [(1,)]
            execute(database, "DROP TRIGGER refuse ON linkage.resident")
            await sink.apply(batch_of(view, people(rows, name=SECRET), start=1))

        assert values(database, "SELECT count(*) FROM linkage.resident") == [(1 + rows,)]

    @SIZES
    async def test_a_key_that_no_index_holds_is_refused(self, database: str, rows: int) -> None:
        """A key of many kilobytes is one row's fault."""
        view = view_of()
        noise = "".join(chr(0x4E00 + (at * 7919) % 20000) for at in range(4000))
        async with opened(sink_at(database), view) as sink:
            with pytest.raises(EventRefused) as refused:
                await sink.apply(batch_of(view, [person(noise), *people(rows - 1)]))

        assert_no_value(refused.value, noise[:10])

    async def test_an_own_constraint_of_the_system_names_itself(self, database: str) -> None:
        """The operator reads which rule refused, not what it refused."""
        view = view_of()
        async with opened(sink_at(database), view) as sink:
            execute(
                database,
                f"ALTER TABLE linkage.resident ADD CONSTRAINT no_s CHECK (name <> '{SECRET}')",
            )
            with pytest.raises(EventRefused) as refused:
                await sink.apply(batch_of(view, people(1, name=SECRET)))

        assert refused.value.where["constraint"] == "no_s"
        assert_no_value(refused.value, SECRET)


class TestATableOfTheSystemsOwn:
    """The system made the table before the bus came."""

    @SIZES
    async def test_is_used_with_its_own_types(self, database: str, rows: int) -> None:
        """Text goes into what the column is; wider numbers are fine."""
        view = view_of(extra=[("delivered", pa.string())])
        async with opened(sink_at(database), view):
            pass
        execute(
            database,
            "ALTER TABLE linkage.resident ALTER delivered TYPE int8multirange"
            " USING delivered::int8multirange, ALTER name TYPE varchar(3),"
            " ALTER income TYPE numeric, ALTER members_subject_id TYPE varchar(20)[]",
        )
        row: dict[str, Any] = {
            "delivered": "{[0,5),[7,9)}",
            "name": "髙田𠮷",
            "members_subject_id": ["1", "2"],
        }
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(rows, income=2**60, **row)))
            for wrong in ({"delivered": SECRET}, {"name": SECRET}):
                with pytest.raises(EventRefused) as refused:
                    await sink.apply(batch_of(view, people(rows, 2, **wrong), start=rows))
                assert_no_value(refused.value, SECRET)

        stored = values(
            database,
            "SELECT DISTINCT version, delivered @> 8::bigint, delivered @> 6::bigint, name, income,"
            " members_subject_id FROM linkage.resident",
        )
        assert stored == [(1, True, False, "髙田𠮷", 2**60, ["1", "2"])]

    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            ("version", "text"),
            ("subject_id", "bigint"),
            ("income", "double precision"),
            ("income", "integer"),
            ("income", "text"),
            ("name", "char(20)"),
            ("birth_date", "text"),
            ("processed_at", "timestamp"),
            ("members_subject_id", "text"),
        ],
    )
    async def test_with_a_type_that_loses_something_is_refused(
        self, database: str, column: str, kind: str
    ) -> None:
        """On opening, by name."""
        view = view_of()
        async with opened(sink_at(database), view):
            pass
        execute(
            database,
            f"ALTER TABLE linkage.resident ALTER {column} TYPE {kind} USING NULL::{kind}",
        )
        with pytest.raises(ConfigurationError) as refused:
            await sink_at(database).open(view)

        assert column in str(refused.value)

    async def test_without_a_unique_key_is_refused(self, database: str) -> None:
        """One row per subject cannot be kept without one."""
        view = view_of()
        async with opened(sink_at(database), view):
            pass
        execute(database, "ALTER TABLE linkage.resident DROP CONSTRAINT resident_pkey")
        with pytest.raises(Unready):
            await sink_at(database).open(view)

    async def test_keeps_its_own_columns_when_the_view_loses_one(self, database: str) -> None:
        """What the bus delivered goes with the grant, also from a column that the system made."""
        wider = view_of(extra=[("former_name", pa.string()), ("nickname", pa.string())])
        async with opened(sink_at(database), wider) as sink:
            await sink.apply(batch_of(wider, people(1, former_name="a", nickname="b")))
        execute(database, "COMMENT ON COLUMN linkage.resident.nickname IS 'ours'")

        view = view_of()
        async with opened(sink_at(database), view) as sink:
            await sink.apply(batch_of(view, people(1, 2), start=1))

        assert values(database, "SELECT former_name, nickname FROM linkage.resident") == [
            (None, None)
        ]


class TestNames:
    """Schemas, prefixes and streams become names; names are quoted."""

    @SIZES
    async def test_awkward_names_are_quoted(self, database: str, rows: int) -> None:
        """Capitals, blanks, quotes, kanji: a name is a name."""
        name = 'Link "age"; 連携'
        view = view_of("individual_resident_tax.assessment")
        options = {"schema_name": name, "table_prefix": "Tax-"}
        async with opened(sink_at(database, **options), view) as sink:
            await sink.apply(batch_of(view, people(rows)))

        table = sql.Identifier(name, "Tax-individual_resident_tax_assessment")
        with psycopg.connect(database) as connection:
            count = sql.SQL("SELECT count(*) FROM {}").format(table)
            assert connection.execute(count).fetchall() == [(rows,)]

    async def test_prefixes_keep_two_systems_apart(self, database: str) -> None:
        """Two systems may share a schema: tables and positions are their own."""
        view = view_of()
        async with opened(sink_at(database, table_prefix="a_"), view) as one:
            async with opened(sink_at(database, table_prefix="b_"), view) as two:
                await one.apply(batch_of(view, people(3)))
                await two.apply(batch_of(view, people(1)))

        assert values(database, "SELECT count(*) FROM linkage.a_resident") == [(3,)]
        assert values(database, "SELECT count(*) FROM linkage.b_resident") == [(1,)]

    @pytest.mark.parametrize("name", ["", "x" * 64, "連" * 22, "a\x00b"])
    async def test_an_impossible_name_is_refused(self, database: str, name: str) -> None:
        """PostgreSQL would cut it off in silence."""
        with pytest.raises(ConfigurationError):
            await sink_at(database, schema_name=name).open(view_of())

    async def test_a_search_path_of_the_role_changes_nothing(self, database: str, unique) -> None:
        """A table of the same name elsewhere is not written to."""
        view = view_of()
        with role(database, unique("r")) as (name, own):
            execute(
                database,
                f"CREATE SCHEMA linkage AUTHORIZATION {name}",
                "CREATE SCHEMA trap",
                "CREATE TABLE trap.renkei_inbox (x int)",
                "CREATE TABLE trap.resident (x int)",
                f"ALTER ROLE {name} SET search_path = trap",
            )
            async with opened(sink_at(own), view) as sink:
                await sink.apply(batch_of(view, people(100)))
            assert values(database, "SELECT count(*) FROM linkage.resident") == [(100,)]

    async def test_columns_carry_their_japanese_names(self, database: str) -> None:
        """Whoever looks at the table sees what a column is, and that the bus made it."""
        view = view_of()
        async with opened(sink_at(database), view):
            pass
        (comment,) = values(
            database,
            "SELECT col_description(attrelid, attnum) FROM pg_attribute"
            " WHERE attrelid = 'linkage.resident'::regclass AND attname = 'name'",
        )
        assert str(comment[0]).endswith("(renkei)")


def test_options_refuse_what_they_do_not_know() -> None:
    """A misspelt option is an error, and a password prints as stars."""
    with pytest.raises(ValidationError):
        PostgresOptions.model_validate({"uri": "postgresql://x", "schema": "linkage"})
    assert "pw-secret" not in repr(PostgresOptions(uri=SecretStr("postgresql://u:pw-secret@h/d")))


_VICTIM = """
    import asyncio, os, sys
    from pydantic import SecretStr
    from bus import failpoints
    from bus.conformance.sink_suite import batch_of, person, view_of
    from connectors.postgres.sink import PostgresSink
    from connectors.postgres.table import PostgresOptions

    async def main(uri, rows, batches):
        failpoints.arm(os.environ)
        view = view_of()
        sink = PostgresSink(PostgresOptions(uri=SecretStr(uri)))
        await sink.open(view)
        found = await sink.checkpoints()
        start = found[0].position.offset if found else 0
        while start < batches * rows:
            batch = batch_of(view, [person(f"{start + n:05d}") for n in range(rows)], start=start)
            await sink.apply(batch)
            start += rows
        await sink.close()

    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
_ROWS_AND_OFFSET = (
    'SELECT (SELECT count(*) FROM linkage.resident), "offset" FROM linkage.renkei_position'
)
_END_SESSIONS = (  # the server notices a death on its own; here we do not wait for it
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'renkei %'"
)


def victim(database: str, rows: int, batches: int) -> list[str]:
    """The command of a process that applies so many batches of so many rows, from where it is."""
    return [
        sys.executable, "-c", textwrap.dedent(_VICTIM), database, str(rows), str(batches),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("point", "rows"),
    [
        (Point.SINK_MOVED, LARGE_ROWS),
        (Point.SINK_WRITTEN, LARGE_ROWS),
        (Point.SINK_COMMITTED, SMALL_ROWS),
        (Point.SINK_COMMITTED, LARGE_ROWS),
    ],
)
def test_a_killed_process_tears_nothing(database: str, point: Point, rows: int) -> None:
    """SIGKILL between two steps of the fourth batch; the next process ends with every row once."""

    def run(**environment: str) -> int:
        command = victim(database, rows, 10)
        return subprocess.run(command, env=os.environ | environment, check=False).returncode

    assert run(RENKEI_KILL_AT=f"{point}:4") == -signal.SIGKILL
    execute(database, _END_SESSIONS)
    done = 4 if point is Point.SINK_COMMITTED else 3
    assert values(database, _ROWS_AND_OFFSET) == [(done * rows, done * rows)]

    assert run() == 0
    assert values(database, _ROWS_AND_OFFSET) == [(10 * rows, 10 * rows)]


def test_a_few_rows_are_there_with_their_position_or_not_at_all(database: str) -> None:
    """SIGKILL at any moment of single rows, time after time: rows and position never part."""
    held = 0
    for number in range(4):
        with subprocess.Popen(victim(database, 1, 1_000_000)) as process:
            try:
                wait_until(partial(_has_moved, database, held), every=0.01)
                time.sleep(0.05 * Random(number).random())
            finally:
                process.kill()
        execute(database, _END_SESSIONS)
        ((rows, offset),) = values(database, _ROWS_AND_OFFSET)
        assert rows == offset > 0
        held = offset

    assert subprocess.run(victim(database, 1, held + 3), check=False).returncode == 0
    assert values(database, _ROWS_AND_OFFSET) == [(held + 3, held + 3)]


def _has_moved(database: str, before: int) -> bool:
    """Whether the position is elsewhere than *before*; it is not while there is no table."""
    try:
        found = values(database, 'SELECT "offset" FROM linkage.renkei_position')
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    return bool(found) and int(found[0][0]) != before


@SIZES
async def test_a_history_goes_both_ways_too(database: str, rows: int) -> None:
    """The ledger's own view: every event once, whatever the size of the batch."""
    view: View = view_of(keeping=Keeping.HISTORY)
    async with opened(sink_at(database), view) as sink:
        applied = await sink.apply(batch_of(view, people(rows)))
        again = [row | {"log_offset": at} for at, row in enumerate(people(rows))]
        repeated = await sink.apply(batch_of(view, again, start=rows))

    assert (applied.rows, repeated.rows) == (rows, 0)
