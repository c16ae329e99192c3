"""Killed at every point between two steps, nothing is lost, doubled or reordered.

All tests share one town whose history grows. After each crash the independent checker reads the
core system's tables, the log, the sixteen stores and the ledger, from the first entry on.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import psycopg
import pytest
from psycopg import sql

from bus.points import Point
from bus.testing.municipality import events
from tests.acceptance.installation import (
    DELIVER,
    RELAY,
    Installation,
    kill_quietly,
    wait_until,
)

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(240),
]
SEED = 20_260_401
POPULATION = 200
AT_LEAST, AT_MOST = 15, 200  # changes entered until the process has killed itself
PARKING = "child_allowance"


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


@pytest.mark.parametrize("point", list(Point), ids=lambda point: point.value)
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
    second = town.start(DELIVER, "second deliver")
    wait_until(lambda: b"lane-open" in second.log.read_bytes(), 60)
    for _ in range(20):
        town.enter()
    kill_quietly(town.processes.pop(DELIVER))
    for _ in range(20):
        town.enter()

    town.quiet()
    assert second.poll() is None
    assert town.findings() == []
    town.stop("second deliver")


def test_two_relays_and_the_leader_is_killed(town: Installation) -> None:
    """The one that stands by leads once the lease has run out."""
    town.ensure(RELAY, DELIVER)
    second = town.start(RELAY, "second relay")
    wait_until(lambda: b"relay_stands_by" in second.log.read_bytes(), 60)
    for number in range(30):
        town.enter()
        if number == 15:
            kill_quietly(town.processes.pop(RELAY))

    town.quiet()
    assert b"relay_leads" in second.log.read_bytes()
    assert town.findings() == []
    town.stop("second relay")


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
