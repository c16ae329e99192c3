"""A table filled anew while it is in use: a real Kafka, a real PostgreSQL, and what hangs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus.errors import ConfigurationError, RebuildBusy
from bus.model import View
from bus.rebuild.rebuild import Rebuilt, TableRebuild
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.integration.deliver.test_switching_on_engines import SOON, SYSTEM, Said, publish
from tests.support.engines import unique
from tests.support.lanes import CATALOG, Hosted, Town, hosted, view_of

pytestmark = pytest.mark.service
VIEW = view_of(SYSTEM, "resident")
TURNS, CUTS = 300, 40
"""So much happens while tables are rebuilt, however slow the machine is: a log that grew faster
than it is read would never be filled from."""


def sink(database: str) -> PostgresSink:
    return PostgresSink(PostgresOptions(uri=SecretStr(database)))


def execute(database: str, *statements: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            done = connection.execute(statement)
            found = done.fetchall() if done.description else []
    return found


def rebuild_of(town: Town, bus: Hosted, database: str, view: View = VIEW) -> TableRebuild:
    stream = CATALOG.stream(view.stream)
    return TableRebuild(
        view,
        stream.topic,
        reader=town.reader(view.stream),
        sink=sink(database),
        process=bus.process,
    )


async def rebuilt(town: Town, database: str) -> Rebuilt:
    async with hosted(town, {}) as bus:
        return await rebuild_of(town, bus, database).run()


@contextmanager
def an_application(database: str) -> Iterator[str]:
    """A role of the receiving system's own, which may read what the bus makes."""
    role = unique("app")
    execute(
        database,
        f"CREATE ROLE {role}",
        "CREATE SCHEMA IF NOT EXISTS linkage",
        f"GRANT USAGE ON SCHEMA linkage TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA linkage GRANT SELECT ON TABLES TO {role}, PUBLIC",
    )
    yield role
    execute(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_what_hangs_on_the_table_stays(town: Town, database: str) -> None:
    """Rights, an index, a view, a column and a trigger of the system's own; and a foreign key to
    it. The trigger sees what changed and nothing else."""
    said = Said()
    with an_application(database) as role:
        async with hosted(town, {SYSTEM: lambda _view: sink(database)}) as bus:
            await publish(town, said, range(200))
            for partition, end in said.offsets.items():
                await bus.at(end, partition=partition, seconds=SOON)
            execute(
                database,
                "ALTER TABLE linkage.resident ADD COLUMN worked_on date",
                "CREATE INDEX own ON linkage.resident (name_full)",
                "CREATE VIEW linkage.names AS SELECT subject_id, name_full FROM linkage.resident",
                "CREATE TABLE linkage.file (municipality_code text, subject_id text, FOREIGN KEY"
                " (municipality_code, subject_id) REFERENCES linkage.resident)",
                "INSERT INTO linkage.file SELECT municipality_code, subject_id"
                " FROM linkage.resident WHERE subject_id LIKE '%7'",
                "UPDATE linkage.resident SET worked_on = '2026-04-01'",
                "UPDATE linkage.resident SET name_full = NULL WHERE subject_id LIKE '%3'",
                "INSERT INTO linkage.resident (municipality_code, subject_id, version)"
                " VALUES ('131016', 'never published', 1)",
                "CREATE TABLE linkage.noticed (what text)",
                "CREATE FUNCTION linkage.notice() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN INSERT INTO linkage.noticed VALUES (TG_OP); RETURN NULL; END'",
                "CREATE TRIGGER notice AFTER INSERT OR UPDATE OR DELETE ON linkage.resident"
                " FOR EACH ROW EXECUTE FUNCTION linkage.notice()",
            )
            done = await rebuilt(town, database)
            await publish(town, said, range(1))
            await bus.at(said.offsets[0], seconds=SOON)

        assert done.merged is not None
        assert (done.merged.changed, done.merged.removed, done.merged.added) == (20, 1, 0)
        noticed = execute(database, "SELECT what, count(*) FROM linkage.noticed GROUP BY 1")
        assert dict(noticed) == {"UPDATE": 21, "DELETE": 1}
        assert execute(database, "SELECT count(*), count(name_full), count(worked_on)"
                       " FROM linkage.resident") == [(200, 200, 200)]  # fmt: skip
        assert execute(database, "SELECT count(*) FROM linkage.names") == [(200,)]
        assert execute(database, "SELECT count(*) FROM linkage.file") == [(20,)]
        found = execute(
            database,
            f"SELECT has_table_privilege('{role}', 'linkage.resident', 'SELECT'),"
            " to_regclass('linkage.own') IS NOT NULL,"
            " to_regclass('linkage.resident__fresh') IS NULL",
        )
        assert found == [(True, True, True)]


async def test_nobody_reads_what_is_half_full(town: Town, database: str) -> None:
    """Not even who may read every table that the bus makes."""
    said = Said()
    with an_application(database) as role:
        async with hosted(town, {SYSTEM: lambda _view: sink(database)}) as bus:
            await publish(town, said, range(20))
            for partition, end in said.offsets.items():
                await bus.at(end, partition=partition, seconds=SOON)
        fresh = sink(database).staging()
        await fresh.open(VIEW)
        try:
            allowed = execute(
                database,
                f"SELECT has_table_privilege('{role}', 'linkage.resident__fresh', 'SELECT'),"
                f" has_table_privilege('{role}', 'linkage.resident', 'SELECT')",
            )
            assert allowed == [(False, True)]
            with psycopg.connect(database) as connection:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("SELECT count(*) FROM linkage.resident__fresh")
        finally:
            await fresh.close()


async def test_events_flow_meanwhile_and_lines_are_cut(town: Town, database: str) -> None:
    """Rebuilt again and again under load, while sessions are killed: the newest of everybody."""
    said, done = Said(), asyncio.Event()
    await publish(town, said, range(90))

    async def flow() -> None:
        for turn in range(TURNS):
            if done.is_set():
                break
            await publish(town, said, range(turn, turn + (1, 40, 90)[turn % 3]))
            await asyncio.sleep(0.02)

    async def cut() -> None:
        for _ in range(CUTS):
            if done.is_set():
                break
            await asyncio.sleep(0.7)
            execute(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )

    async with hosted(town, {SYSTEM: lambda _view: sink(database)}) as bus:
        for partition, end in said.offsets.items():  # there is a table to be rebuilt
            await bus.at(end, partition=partition, seconds=SOON)
        flowing = asyncio.create_task(flow())
        cutting = asyncio.create_task(cut())
        finished = 0
        for _ in range(6):
            try:
                await rebuilt(town, database)
                finished += 1
            except RebuildBusy:  # its session, and with it its lock, may just be ending
                continue
        done.set()
        await flowing
        await cutting
        made = await rebuilt(town, database)
        for partition, end in said.offsets.items():
            await bus.at(end, partition=partition, seconds=SOON)
        assert bus.parked() == []

    assert finished >= 1
    assert made.merged is None or (made.merged.added, made.merged.removed) == (0, 0)
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM linkage.resident").fetchall()
    assert {row["subject_id"]: row["version"] for row in rows} == said.versions
    for row in rows:
        published = said.values[row["subject_id"], row["version"]]
        assert {name: row[name] for name in published} == published


async def test_a_table_that_refuses_what_was_filled(town: Town, database: str) -> None:
    """A trigger of the system's own: the rebuild ends with an error, and nothing has changed."""
    said = Said()
    async with hosted(town, {SYSTEM: lambda _view: sink(database)}) as bus:
        await publish(town, said, range(20))
        for partition, end in said.offsets.items():
            await bus.at(end, partition=partition, seconds=SOON)
        execute(
            database,
            "UPDATE linkage.resident SET name_full = NULL",
            "CREATE FUNCTION linkage.no() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE check_violation; END'",
            "CREATE TRIGGER no BEFORE UPDATE ON linkage.resident"
            " FOR EACH ROW EXECUTE FUNCTION linkage.no()",
        )
        with pytest.raises(ConfigurationError):
            await rebuilt(town, database)
        execute(database, "DROP TRIGGER no ON linkage.resident")
        made = await rebuilt(town, database)

    assert made.events == 0  # what was filled was taken up again
    assert execute(database, "SELECT count(name_full) FROM linkage.resident") == [(20,)]
