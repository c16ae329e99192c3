"""A store that goes back, on real engines and without traffic, with a protection in between.

What the howto says: nothing to do. A backup is put back in place, or renamed in, or a standby that
has not got everything takes the place of the primary. Within fifteen seconds of that everything is
as it was: the protected person's address gone first, then what else is missing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus.deliver.state import LaneStatus
from bus.hosting.host import follow
from bus.local.folder import Folder
from bus.local.ports import free_port
from bus.settings import Settings
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.engines import named, unique
from tests.support.lanes import Hosted, Town, hosted
from tests.support.on_kafka import own_town
from tests.support.own_postgres import OwnPostgres, run
from tests.support.waiting import until_elsewhere

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
STREAMS = ("resident", "household", "protection")
ONE, TWO = "000000000000001", "000000000000002"
HEALED_WITHIN_S = 15.0


@asynccontextmanager
async def delivering(town: Town, uri: str) -> AsyncIterator[Hosted]:
    """The system's lanes, and what a process does once a second."""
    options = PostgresOptions(uri=SecretStr(uri))
    sinks: dict[str, Any] = {SYSTEM: lambda _view: PostgresSink(options)}
    async with hosted(town, sinks, streams=STREAMS) as bus:
        following = follow(bus.process)
        try:
            yield bus
        finally:
            for kept in following:
                await kept.end()


def rows(uri: str) -> dict[str, dict[str, Any]]:
    """By subject, what the store says of it; nothing where there is none to ask."""
    try:
        with psycopg.connect(uri, row_factory=dict_row) as connection:
            found = connection.execute("SELECT * FROM linkage.resident").fetchall()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return {}
    return {row["subject_id"]: row for row in found}


async def seen(is_so: Callable[[], bool], seconds: float = 30) -> None:
    await until_elsewhere(is_so, seconds)


def is_whole(uri: str) -> bool:
    """The first person is protected and has no address, the second is there."""
    found = rows(uri)
    return (
        found.keys() == {ONE, TWO}
        and found[ONE]["protected"]
        and found[ONE]["address_lot"] is None
        and found[TWO]["address_lot"] is not None
    )


async def until_backup(town: Town, uri: str) -> None:
    """One person, whose address everybody may see."""
    await town.publish("resident", ONE, 1)
    await town.publish("household", ONE, 1, partition=1)
    await seen(lambda: rows(uri).get(ONE, {}).get("address_lot") is not None)


async def since_backup(town: Town, uri: str) -> None:
    """The person is protected; another moves in. Then nothing happens any more."""
    await town.publish("protection", ONE, 1)
    await seen(lambda: rows(uri)[ONE]["address_lot"] is None)
    await town.publish("resident", TWO, 1, partition=1)
    await seen(lambda: is_whole(uri))


async def healed(bus: Hosted, uri: str) -> None:
    """In time, protection first, and no lane has stopped over it."""
    await seen(lambda: is_whole(uri), HEALED_WITHIN_S)
    found = rows(uri)
    assert found[ONE]["renkei_applied_at"] <= found[TWO]["renkei_applied_at"]
    states = bus.process.lanes.all.values()
    await seen(lambda: all(state.status is LaneStatus.RUNNING for state in states))
    assert all(state.catches_up_to is None for state in states)
    went_back = bus.process.runtime.metrics.value("renkei_deliver_went_back_total", system=SYSTEM)
    assert went_back == 1


def dumped(uri: str, folder: Folder) -> Path:
    file = folder.run / "backup"
    run(folder, "pg_dump", "--format", "custom", "--file", str(file), uri)
    return file


async def test_restored_in_place(town: Town, database: str, tmp_path: Path) -> None:
    """While everything runs, by ``pg_restore`` into the very database."""
    folder = Folder.at(tmp_path)
    folder.make()
    async with delivering(town, database) as bus:
        await until_backup(town, database)
        backup = await asyncio.to_thread(dumped, database, folder)
        await since_backup(town, database)

        await asyncio.to_thread(
            run,
            folder,
            "pg_restore",
            *("--clean", "--if-exists", "--single-transaction", "--dbname", database, str(backup)),
        )

        await healed(bus, database)


async def test_another_database_renamed_in(
    town: Town, database: str, tmp_path: Path, engines: Any
) -> None:
    """The one in use goes out of the way first: for a moment there is none of that name."""
    folder = Folder.at(tmp_path)
    folder.make()
    name, restored, aside = database.rpartition("/")[2], unique("restored"), unique("aside")
    async with delivering(town, database) as bus:
        await until_backup(town, database)
        backup = await asyncio.to_thread(dumped, database, folder)
        await since_backup(town, database)

        with psycopg.connect(engines.database, autocommit=True) as other:

            def say(*statements: str) -> None:
                for statement in statements:
                    other.execute(statement.encode())

            say(f"CREATE DATABASE {restored}")
            into = named(database, restored)
            await asyncio.to_thread(run, folder, "pg_restore", "--dbname", into, str(backup))
            say(
                f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false",
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                f" WHERE datname = '{name}'",
                f"ALTER DATABASE {name} RENAME TO {aside}",
            )
            states = bus.process.lanes.all.values()
            bus.deliveries[0].fleet._pulse.is_doubted.set()
            await town.publish("household", TWO, 1, partition=1)  # some lane is in the middle
            await seen(lambda: any(state.code == "RK-410" for state in states))
            say(f"ALTER DATABASE {restored} RENAME TO {name}")

            await healed(bus, database)
            say(f"DROP DATABASE {aside} WITH (FORCE)")


@pytest.fixture
async def primary(tmp_path: Path) -> AsyncIterator[OwnPostgres]:
    """A server that may be killed."""
    made = OwnPostgres.at(tmp_path / "primary")
    try:
        await made.start()
        yield made
    finally:
        made.stop()


async def test_a_standby_that_lags_takes_its_place(
    town: Town, primary: OwnPostgres, tmp_path: Path
) -> None:
    """A physical standby that was cut off before the protection is promoted on the same port."""
    uri = primary.engine.uri("postgres")
    async with delivering(town, uri) as bus:
        await until_backup(town, uri)
        standby = await asyncio.to_thread(primary.standby, tmp_path / "standby", free_port())
        promoted = OwnPostgres(standby.folder.home, primary.port, primary.password)
        try:
            await standby.start()
            await seen(lambda: rows(standby.engine.uri("postgres")).keys() == {ONE})
            standby.stop()
            await since_backup(town, uri)
            primary.stop(signal.SIGKILL)

            await promoted.start()
            with psycopg.connect(promoted.engine.uri("postgres"), autocommit=True) as session:
                session.execute("SELECT pg_promote()")

            await healed(bus, uri)
        finally:
            standby.stop()
            promoted.stop()


async def test_nobody_waits_out_a_back_off_after_an_outage(
    engines: Any, primary: OwnPostgres
) -> None:
    """The server is killed and comes back. Every system has what came meanwhile at once, however
    long its lanes would have slept."""
    systems = ("child_allowance", "electoral_roll", "national_pension")
    long = timedelta(seconds=60)
    settings = Settings(retry_first=long, retry_most=long, stop_within=timedelta(seconds=5))
    options = {s: PostgresOptions(uri=SecretStr(primary.engine.uri(s))) for s in systems}
    with psycopg.connect(primary.engine.uri("postgres"), autocommit=True) as session:
        for system in systems:
            session.execute(f"CREATE DATABASE {system}".encode())
    sinks: dict[str, Any] = {
        system: lambda _view, system=system: PostgresSink(options[system]) for system in systems
    }

    def have(subject: str) -> bool:
        return all(subject in rows(primary.engine.uri(system)) for system in systems)

    async with own_town(engines.kafka, 1, settings=settings) as town:
        async with hosted(town, sinks) as bus:
            await town.publish("resident", ONE, 1)
            await seen(lambda: have(ONE))
            primary.stop(signal.SIGKILL)
            await town.publish("resident", TWO, 1)
            states = bus.process.lanes.all.values()
            await seen(lambda: all(s.status is LaneStatus.RETRYING for s in states))
            fleets = [delivery.fleet for delivery in bus.deliveries]
            await seen(lambda: all(fleet._pulse._is_away for fleet in fleets))

            await primary.start()

            await seen(lambda: have(TWO), HEALED_WITHIN_S)
