"""Killed at every point between two steps, nothing is lost, doubled or reordered.

All tests share one town whose history grows. After each crash the independent checker reads the
core system's tables, the log, the sixteen stores and the ledger, from the first entry on. Whole
processes and engines that die at any time are in ``test_outages.py``.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import psycopg
import pytest
from psycopg import sql

from bus.failpoints import Point
from bus.sample.municipality import events
from bus.sample.processes import Process
from tests.acceptance import checker, evidence
from tests.acceptance.installation import DELIVER, MONITOR, RELAY, Installation
from tests.support import confined
from tests.support import engines as test_engines
from tests.support.waiting import wait_until

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


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """A town at work, every write to its stores recorded."""
    installation.build_watched(POPULATION, SEED, partitions=2)
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
            enter_until_dead(town, victim)
            town.start(command)
            town.quiet()
            assert parked(town) > 0
        town.renkei("parked", "retry", PARKING, "--all")
        wait_until(lambda: parked(town) == 0, 60)
    else:
        enter_until_dead(town, victim)
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


def enter_until_dead(town: Installation, victim: Process) -> None:
    """Ordinary changes, one after the other, until the process is gone; a few more at the end."""
    for number in range(AT_MOST):
        town.enter()
        with suppress(subprocess.TimeoutExpired):
            victim.wait(0.02 if number < AT_LEAST else 0.2)
        if victim.poll() is not None and number >= AT_LEAST:
            return
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
