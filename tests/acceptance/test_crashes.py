"""Killed at every point between two steps, nothing is lost, doubled or reordered.

All tests share one town whose history grows. After each crash the independent checker reads the
core system's tables, the log, the sixteen stores and the ledger, from the first entry on.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from bus.failpoints import Point
from bus.local.postgres import programs
from bus.sample.municipality import events
from tests.acceptance import checker, confined, evidence
from tests.acceptance.installation import (
    DELIVER,
    MONITOR,
    RELAY,
    Installation,
    kill_quietly,
    wait_until,
)
from tests.acceptance.walking import Walker, commands
from tests.support import engines as test_engines

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.timeout(240),
]
SEED = 20_260_401
POPULATION = 200
AT_LEAST, AT_MOST = 15, 200  # changes entered until the process has killed itself
BACKLOG, BY_COPY = 250, 50  # changes entered; rows of a batch from which COPY is used
INSIDE_LARGE = (Point.SINK_MOVED, Point.SINK_WRITTEN)  # a few rows are one statement
OF_REBUILDS = (Point.REBUILD_FILLED, Point.SINK_MERGED, Point.REBUILD_SWAPPED)
"""Passed by another command: test_living_policy.py kills it there."""
OF_STORES_WITHOUT_POSITIONS = (Point.LANE_HANDED,)
"""Passed where the bus keeps the position: test_plain_stores_on_engines.py kills it there."""
PARKING = "child_allowance"
SOON_S = 15.0  # from the end of any cause that needs nobody to everything everywhere


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """A town that was loaded through the outbox, every write to its stores recorded."""
    installation.build(POPULATION, SEED)
    installation.ensure(RELAY, DELIVER)
    installation.watch_stores()
    installation.load()
    installation.quiet()
    yield installation
    installation.stop_all()


@pytest.mark.parametrize(
    "point",
    [p for p in Point if p not in (*INSIDE_LARGE, *OF_REBUILDS, *OF_STORES_WITHOUT_POSITIONS)],
    ids=lambda point: point.value,
)
def test_killed_at(point: Point, town: Installation) -> None:
    """The process kills itself there; after a restart everything is as if it had not."""
    count = Random(f"{SEED}/{point.value}").randint(1, 3)
    command = RELAY if point.name.startswith("RELAY") else DELIVER
    town.ensure(RELAY, DELIVER)
    town.stop(command)
    victim = town.start(command, RENKEI_KILL_AT=f"{point.value}:{count}")
    if point is Point.LANE_PARKED:
        with one_family_refused(town):
            enter_until_dead(town, victim.poll)
            town.start(command)
            town.quiet()
            assert parked(town) > 0
        town.renkei("parked", "retry", PARKING, "--all")
        wait_until(lambda: parked(town) == 0, 60)
    else:
        enter_until_dead(town, victim.poll)
        town.start(command)

    assert victim.wait(1) == -signal.SIGKILL
    town.quiet()
    assert town.findings() == []


def test_killed_in_large_batches(town: Installation) -> None:
    """A backlog goes through COPY instead of single statements; killed there, time after time."""
    town.ensure(RELAY, DELIVER)
    town.stop(DELIVER)
    for _ in range(BACKLOG):
        town.enter()
    for point in (*INSIDE_LARGE, Point.SINK_COMMITTED):
        victim = town.start(DELIVER, RENKEI_KILL_AT=f"{point.value}:4")
        assert victim.wait(60) == -signal.SIGKILL
    town.start(DELIVER)

    town.quiet()
    found = evidence.gather(town.where, town.today)
    assert max(receipt["rows"] for receipt in found.receipts) > BY_COPY
    assert checker.judge(found) == []


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
            pid = next(each.pid for each in town.stack.status().engines if each.name == engine)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
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
    pid = next(each.pid for each in town.stack.status().engines if each.name == engine)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
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
    walker = Walker(tmp_path, dict(town.environment), [Path(sys.executable).parent, programs()])
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


def throw_away(superuser: str, database: str) -> None:
    """An empty database of the same owner in the place of one."""
    whose = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
    name = sql.Identifier(database)
    with psycopg.connect(superuser, autocommit=True) as server:
        (owner,) = server.execute(whose, [database]).fetchone() or ("",)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        make = sql.SQL("CREATE DATABASE {} OWNER {}")
        server.execute(make.format(name, sql.Identifier(owner)))


PLANTED = {  # system -> what is done to its store behind the bus's back, and its undoing
    "long_term_care_insurance": (
        "CREATE TABLE audit.kept AS SELECT * FROM linkage.resident ORDER BY subject_id LIMIT 1;"
        " DELETE FROM linkage.resident WHERE subject_id IN (SELECT subject_id FROM audit.kept)",
        "INSERT INTO linkage.resident SELECT * FROM audit.kept; DROP TABLE audit.kept",
    ),
    "light_vehicle_tax": (
        "UPDATE linkage.resident SET version = version - 1 WHERE NOT protected",
        "UPDATE linkage.resident SET version = version + 1 WHERE NOT protected",
    ),
    PARKING: (
        "UPDATE linkage.resident SET address_lot = 'planted' WHERE protected",
        "UPDATE linkage.resident SET address_lot = NULL WHERE protected",
    ),
}


def test_the_checker_finds_what_is_planted(town: Installation) -> None:
    """A deleted row, lowered versions and an unmasked address in real stores; then none again."""
    town.ensure(RELAY, DELIVER)
    town.quiet()
    try:
        for system, (deed, _) in PLANTED.items():
            meddle(town, system, deed)
        found = town.findings()
    finally:
        for system, (_, undoing) in PLANTED.items():
            meddle(town, system, undoing, is_undoing=True)

    said = {(kind, what.split()[0].rstrip(":")) for kind, _, what in map(split, found)}
    assert said == {
        ("lost", "long_term_care_insurance"),
        ("lost", "light_vehicle_tax"),
        ("reordered", "light_vehicle_tax"),
        ("doubled", PARKING),
        ("unmasked", PARKING),
    }
    assert town.findings() == []


@pytest.mark.skipif(
    not confined.IS_KNOWN_HERE, reason="systemd-analyze, which knows the sets of calls, is not here"
)
def test_with_what_the_units_leave_them(
    town: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the system calls and sockets of the shipped units all three do their work, and end
    well when they are told to."""
    town.stop(RELAY, DELIVER)
    monkeypatch.setattr(sys, "executable", str(confined.python(tmp_path)))
    town.ensure(RELAY, DELIVER, MONITOR)
    for _ in range(20):
        town.enter()
    town.quiet()

    started = [town.processes[name] for name in (RELAY, DELIVER, MONITOR)]
    assert [confined.is_confined(process.pid) for process in started] == [True] * 3
    assert [process.stop() for process in started] == [0, 0, 0]
    monkeypatch.undo()
    town.stop(RELAY, DELIVER, MONITOR)
    assert town.findings() == []


def split(finding: str) -> tuple[str, str, str]:
    """Its kind, and what it is about."""
    return finding.partition(": ")


def meddle(town: Installation, system: str, deed: str, *, is_undoing: bool = False) -> None:
    """Do something to a store; an undoing also takes what the audit saw of both."""
    uri = test_engines.named(town.engines.database, system)
    with psycopg.connect(uri) as connection:
        if not is_undoing:
            connection.execute("CREATE TABLE audit.before AS SELECT max(id) AS id FROM audit.step")
        connection.execute(deed)
        if is_undoing:
            connection.execute("DELETE FROM audit.step WHERE id > (SELECT id FROM audit.before)")
            connection.execute("DROP TABLE audit.before")


def enter_until_dead(town: Installation, poll: object) -> None:
    """Ordinary changes, one after the other, until the process is gone; a few more at the end."""
    assert callable(poll)
    for number in range(AT_MOST):
        town.enter()
        if poll() is not None and number >= AT_LEAST:
            return
        time.sleep(0.02 if number < AT_LEAST else 0.2)
    raise AssertionError("the process passed the point too seldom, or never")


@contextmanager
def one_family_refused(town: Installation) -> Iterator[None]:
    """A store whose own constraint refuses the next entry of one family; the family moves."""
    household = town.people.some_household(
        lambda each: len(each.members) >= 3 and not each.is_protected
    )
    held = [(person.number, person.version) for person in household.members]
    refused = sql.SQL(" AND ").join(
        sql.SQL("NOT (subject_id = {} AND version > {})").format(number, version)
        for number, version in held
    )
    table = "ALTER TABLE linkage.resident "
    with psycopg.connect(town.town.systems[PARKING], autocommit=True) as connection:
        connection.execute(sql.SQL(table + "ADD CONSTRAINT refuses CHECK ({})").format(refused))
        try:
            town.enter(events.family_moves, household=household)
            yield
        finally:
            connection.execute(table + "DROP CONSTRAINT refuses")


def parked(town: Installation) -> int:
    """How many events are set aside, as the command tells."""
    said = town.renkei("parked", "list", "--json").stdout
    return said.count('"offset"')
