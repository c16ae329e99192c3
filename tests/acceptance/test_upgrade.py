"""The release before is installed, fills a site and is upgraded: everything is right afterwards.

The program is the release's own wheel, built from the commit that cut it and kept beside its
recorded site (``tests/releases/<version>/``). It runs in an installation of its own, on the
libraries that stand in this environment; a registry of packages is not asked.

Of the steps that the changelog has for going up from 0.1.0, in its order: the erasure key (1) is
there, as with every one-machine stack, and a look-up that needs it is made; schemas, the new topic
and the lags (3) are brought up, and the topic was missing; a delivering process of the release
before is ended by SIGTERM and followed by a new one (4); ``renkei doctor`` misses nothing but
processes (5). Passed over are rights for single topics (2): these engines ask nobody who he is, and
others with users would have to be started; and of (4) relay and monitor, and a lane that 0.1.0 left
by a kill: that would have to fall between a store's commit and the receipt.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bus.local.ports import free_port
from bus.model import Change
from bus.sample import town as towns
from bus.sample.municipality import Municipality, events
from bus.sample.processes import running
from tests.acceptance.evidence import stream_tables
from tests.acceptance.installation import ROOT, Installation, run_command, what_page_says
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(600)]
WHEELS = {
    "tests/releases/0.1.0/renkei-0.1.0-py3-none-any.whl": (
        "3fa09c58117af1ab6fa7d066163d0e109f217c245a90d52177f9ce91d0b27ffb"
    ),
}
"""Of each release the wheel that its commit builds, and its SHA-256."""
SYSTEMS = ("child_allowance", "electoral_roll", "national_health_insurance")
SEED = 20_261_201
POPULATION = 30

Renkei = Callable[..., subprocess.CompletedProcess[str]]
Held = dict[tuple[str, str], list[tuple[Any, ...]]]


def environment_of(folder: Path, town: Installation) -> dict[str, str]:
    """What a command of the release in *folder* is told: where it imports from is that alone."""
    return {**town.environment, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def installed(wheel: Path, folder: Path, town: Installation) -> Renkei:
    """The ``renkei`` of a release, in a folder of its own."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel)]
    subprocess.run([*pip, *alone], check=True, timeout=120)

    def renkei(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bus.cli", *arguments]
        done = run_command(command, environment_of(folder, town), stdin=stdin, within=120)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    return renkei


def lines_of(changes: list[Change]) -> str:
    return "".join(change.model_dump_json() + "\n" for change in changes)


def held(town: Installation) -> Held:
    """Every row of every store's tables of streams, with when it was applied."""
    found = {}
    for system in SYSTEMS:
        with psycopg.connect(town.town.systems[system]) as connection:
            for table in stream_tables(connection):
                query = sql.SQL("SELECT * FROM linkage.{} ORDER BY 1, 2, 3")
                rows = connection.execute(query.format(sql.Identifier(table))).fetchall()
                found[system, table] = rows
    return found


def deliver(
    town: Installation, before: Renkei, said: list[subprocess.CompletedProcess[str]]
) -> Held:
    """What the stores hold once 0.1.0 has nothing more to deliver: it was seen to end before it had
    delivered anything, with exit status 0, so it is asked until nothing comes of it."""
    left = Held()
    for _ in range(6):
        said.append(before("deliver", "--once"))
        earlier, left = left, held(town)
        if left == earlier and {name for (name, _), rows in left.items() if rows} == set(SYSTEMS):
            break
    return left


def end_in_order(folder: Path, town: Installation) -> None:
    """A delivering process of the release before takes its lanes up, and is told to end."""
    port = free_port()
    given = {**environment_of(folder, town), "RENKEI_HTTP_PORT": str(port)}
    with running(["deliver"], given, town.logs / "deliver-before.log") as process:
        page = f"http://127.0.0.1:{port}/readyz"
        wait_until(lambda: b'"ok"' in what_page_says(page), 60)
        assert process.stop() == 0


def go_up(town: Installation) -> None:
    """Steps 3 to 5, by the new release."""
    assert "linkage.deed" in missing(town)
    for command in ("schemas push", "topics apply", "deliver --once"):
        town.renkei(*command.split())
    assert missing(town) == set()
    found = json.loads(town.renkei("doctor", "--json", expect=None).stdout)
    failed = {finding["name"] for finding in found if finding["verdict"] == "fail"}
    assert failed <= {"deliver", "relay", "monitor"}, found  # nobody is at work now


def missing(town: Installation) -> set[str]:
    """The topics that the new release would make or change."""
    rows = town.renkei("topics", "apply", "--dry-run").stdout.splitlines()
    found = {row.split()[0]: row.split()[2:] for row in rows if row.startswith("linkage.")}
    assert found
    return {topic for topic, action in found.items() if action != ["none"]}


def reached(town: Installation, change: Change) -> dict[str, str]:
    """What the ledger says of a change, by system of this site."""
    said = town.renkei("reach", "show", change.change_id or "", expect=None).stdout
    lines = re.findall(r"^(\w+) +(applied|not entitled|[\w ]+?)(?:  |$)", said, re.MULTILINE)
    return {system: state for system, state in lines if system in SYSTEMS}


@pytest.mark.parametrize("wheel", WHEELS)
def test_a_site_of_the_release_before_goes_on(
    wheel: str, installation: Installation, tmp_path: Path
) -> None:
    """No row is written anew, what comes goes on from what was, and the ledger answers for all."""
    file, town = ROOT / wheel, installation
    assert hashlib.sha256(file.read_bytes()).hexdigest() == WHEELS[wheel]
    before = installed(file, tmp_path / "release", town)
    assert before("--version").stdout.split()[-1] in wheel
    town.clear()
    town.town = towns.build(town.engines.database, SYSTEMS)
    town.town.write_settings(town.home / "run" / "systems.yaml", database=town.town.ledger)
    people = Municipality(SEED, POPULATION)
    first = list(people.changes())
    for command in ("topics apply", "schemas push"):
        before(*command.split())
    said = [before("publish", "-", stdin=lines_of(first))]
    left = deliver(town, before, said)
    assert sum(map(len, left.values())) > POPULATION, [each.stdout + each.stderr for each in said]

    end_in_order(tmp_path / "release", town)
    assert held(town) == left

    go_up(town)
    now = held(town)
    assert {name: now[name] for name in left} == left

    later = [events.anything(people, datetime.now(UTC)) for _ in range(10)]
    town.renkei("publish", "-", stdin=lines_of(later))
    person = next(f"{one.municipality_code}/{one.records[0].subject_id}" for one in first)
    town.renkei("provisions", "of", person, "--reason", "T-1")
    town.renkei("deliver", "--once")
    assert held(town) != now
    assert "provisions-of" in town.renkei("deeds", "list", "--subject", person).stdout
    town.renkei("ledger", "verify")
    for change in (first[0], later[-1]):
        states = reached(town, change)
        assert "applied" in states.values()
        assert set(states.values()) <= {"applied", "not entitled"}


def test_each_release_has_its_wheel() -> None:
    """As it has its site."""
    folders = {file.parent for file in (ROOT / "tests" / "releases").glob("*/log.jsonl")}
    assert {(ROOT / wheel).parent for wheel in WHEELS} == folders
