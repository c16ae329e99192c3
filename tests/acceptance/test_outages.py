"""Processes and engines killed at any time: the others take over, nobody waits longer than need
be, and nothing is lost, doubled or reordered.

All tests share one town whose history grows, as in ``test_crashes.py``.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from bus.local.postgres import programs
from tests.acceptance.installation import (
    DELIVER,
    RELAY,
    Installation,
    kill_quietly,
)
from tests.acceptance.walking import Walker, commands
from tests.support import engines as test_engines
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.timeout(240),
]
SEED = 20_260_407
POPULATION = 200
SOON_S = 15.0  # from the end of any cause that needs nobody to everything everywhere


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """A town at work, every write to its stores recorded."""
    installation.build_watched(POPULATION, SEED, partitions=2)
    yield installation
    installation.stop_all()


def test_killed_at_any_time(town: Installation) -> None:
    """Killed five times while a burst is under way, wherever it happens to be."""
    random = Random(SEED)
    town.ensure(RELAY, DELIVER)
    for _ in range(5):
        until = time.monotonic() + random.uniform(0.3, 4.0)
        while time.monotonic() < until:
            town.enter()
        kill_quietly(town.processes[DELIVER])
        town.start(DELIVER)

    town.quiet()
    assert town.findings() == []


def test_two_deliver_and_one_is_killed(town: Installation) -> None:
    """The other takes over its lanes, from where the stores stand."""
    town.ensure(RELAY, DELIVER)
    with town.beside(DELIVER) as second:
        wait_until(lambda: b"lane-open" in second.log.read_bytes(), 60)
        for _ in range(20):
            town.enter()
        kill_quietly(town.processes.pop(DELIVER))
        for _ in range(20):
            town.enter()

        town.quiet()
        assert second.poll() is None
        assert town.findings() == []


def test_two_relays_and_the_leader_is_killed(town: Installation) -> None:
    """The one that stands by leads once the lease has run out."""
    town.ensure(RELAY, DELIVER)
    with town.beside(RELAY) as second:
        wait_until(lambda: b"relay-stands-by" in second.log.read_bytes(), 60)
        for number in range(30):
            town.enter()
            if number == 15:
                kill_quietly(town.processes.pop(RELAY))

        town.quiet()
        assert b"relay-leads" in second.log.read_bytes()
        assert town.findings() == []


@pytest.mark.parametrize("engine", ["postgres", "kafka"])
def test_an_engine_is_killed(engine: str, town: Installation) -> None:
    """Databases or log die by SIGKILL while changes flow; brought up again, all goes on."""
    town.ensure(RELAY, DELIVER)
    for number in range(30):
        town.enter()
        if number == 10:
            kill_engine(town, engine)
            town.stack.up()

    town.quiet()
    assert town.processes[RELAY].poll() is None
    assert town.processes[DELIVER].poll() is None
    assert town.findings() == []


@pytest.mark.parametrize("engine", ["postgres", "kafka"])
def test_nobody_waits_out_a_back_off(engine: str, town: Installation) -> None:
    """Lanes would have slept for up to a minute: all that waited is everywhere soon after the
    engine answers again."""
    town.ensure(RELAY)
    town.stop(DELIVER)
    process = town.start(DELIVER, RENKEI_RETRY_FIRST="PT4S", RENKEI_RETRY_MOST="PT1M")
    town.enter()
    town.quiet()  # it is at work
    kill_engine(town, engine)
    if engine == "kafka":  # else nobody can enter anything, and some entry is under way
        town.enter()
    wait_until(lambda: b"RK-40" in process.log.read_bytes(), 30)
    town.stack.up()
    town.enter()

    town.quiet(SOON_S)
    town.stop(DELIVER)


def test_a_killed_deliver_is_soon_replaced(town: Installation) -> None:
    """Ten seconds of that are for the group to notice."""
    town.ensure(RELAY, DELIVER)
    with town.beside(DELIVER) as second:
        wait_until(lambda: b"lane-open" in second.log.read_bytes(), 60)
        town.quiet()
        kill_quietly(town.processes.pop(DELIVER))
        town.enter()

        town.quiet(SOON_S)


def test_kafka_registry_and_ledger_are_restored(town: Installation, tmp_path: Path) -> None:
    """As the page says: saved, thrown away, put back; then everything is right, and goes on. The
    ledger's backup is older than the log's, and catches up."""
    town.ensure(RELAY, DELIVER)
    town.quiet()
    data = town.stack.folder.data / "kafka"
    ledger, registry = urlsplit(town.town.ledger).path[1:], "registry"
    words = {
        "/var/lib/kafka": str(data),
        "$LEDGER": test_engines.named(town.engines.database, ledger),
        "$REGISTRY": test_engines.named(town.engines.database, registry),
    }
    walker = Walker(tmp_path, dict(town.environment), [town.programs, programs()])
    left = commands("run-in-production.md", "## 7.")

    def do(*beginnings: str) -> None:
        for beginning in beginnings:
            (command,) = [each for each in left if each.startswith(beginning)]
            left.remove(command)
            for word, here in words.items():
                command = command.replace(word, here)
            walker.run(command)

    do("pg_dump --format=custom --file=ledger", "pg_dump --format=custom --file=registry")
    town.enter()
    town.quiet()
    town.stop(DELIVER, RELAY)  # as systemctl does
    town.stack.down()
    do("tar --create")
    shutil.rmtree(data)
    data.mkdir()
    do("tar --extract")
    town.stack.up()
    for gone in (ledger, registry):
        throw_away(town.engines.database, gone)
    do('pg_restore --dbname="$LEDGER"', 'pg_restore --dbname="$REGISTRY"')
    town.ensure(RELAY, DELIVER)
    town.enter()

    town.quiet()
    do("renkei ledger verify")
    assert town.findings() == []
    assert left == ["systemctl stop renkei.target", "systemctl start renkei.target"]


def kill_engine(town: Installation, engine: str) -> None:
    """By SIGKILL, with nothing said before."""
    pid = next(each.pid for each in town.stack.status().engines if each.name == engine)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def throw_away(superuser: str, database: str) -> None:
    """An empty database of the same owner in the place of one."""
    whose = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
    name = sql.Identifier(database)
    with psycopg.connect(superuser, autocommit=True) as server:
        (owner,) = server.execute(whose, [database]).fetchone() or ("",)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        make = sql.SQL("CREATE DATABASE {} OWNER {}")
        server.execute(make.format(name, sql.Identifier(owner)))
