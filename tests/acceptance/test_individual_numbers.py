"""個人番号 through the whole installed bus: in the entitled system's table, and nowhere else.

Numbers are planted that nobody else has; the key is changed in the middle; events are refused,
parked, spoilt and delivered without keys; then everything that the run wrote is searched, the bytes
of Kafka's log included.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import SystemRandom
from typing import Any

import psycopg
import pytest
import yaml
from confluent_kafka import Producer

from bus.catalog import load
from bus.errors import KeysUnusable, SealBroken
from bus.publish.identity import new_change_id
from bus.sample import town as towns
from tests.acceptance.evidence import read_topic
from tests.acceptance.installation import (
    DELIVER,
    RELAY,
    ROOT,
    Installation,
    what_page_says,
)
from tests.acceptance.leaks import Canary, Sighting, in_databases, in_files
from tests.support.changes import change, record
from tests.support.sealed import STREAM, number_of, subscription
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(600)]

ENTITLED, OTHER, CORE = "child_allowance", "national_pension", "core_resident_registry"
PEOPLE = 40
UNDER_SECOND = re.compile(rb"second\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{38}")
_RANDOM = SystemRandom()


@dataclass(slots=True)
class Run:
    """A run: an installation with contracts of its own, and the numbers that were planted."""

    town: Installation
    schemas: Path
    canaries: list[Canary] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)  # subject -> what should be delivered
    versions: dict[str, int] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {"RENKEI_SCHEMAS": str(self.schemas)}

    @property
    def keys(self) -> Path:
        """The file that the one-machine stack made."""
        return self.town.home / "run" / "seal-keys"

    def plant(self, why: str) -> str:
        """A number that nobody else has."""
        number = number_of(_RANDOM.randrange(10**9, 10**10))
        self.canaries.append(Canary(number, why))
        return number

    def renkei(self, *arguments: str, **options: Any) -> Any:
        """A command, under the run's contracts."""
        return self.town.renkei(*arguments, environment=self.environment, **options)

    def start(self, command: str) -> None:
        """A process, under the run's contracts."""
        self.pids.append(self.town.start(command, **self.environment).pid)

    def assign(self, subject: str, why: str, **of_body: Any) -> None:
        """A clerk enters a number, which is to be delivered unless *of_body* spoils it."""
        version = self.versions.get(subject, 0) + 1
        number = self.plant(why)
        made = change(
            record(
                STREAM,
                subject_id=subject,
                version=version,
                nature="CHANGE",
                body={"number": number, **of_body},
            ),
        )
        self.hand_in(made)
        if not of_body:
            self.numbers[subject], self.versions[subject] = number, version

    def hand_in(self, made: dict[str, Any]) -> None:
        """Commit a change in the core system's own database."""
        with psycopg.connect(self.town.town.core, autocommit=True) as connection:
            connection.execute("SELECT renkei.publish_change(%s)", (json.dumps(made),))

    def held(self, system: str, item: str = "number") -> dict[str, str]:
        """Subject -> item, as a system's table has it."""
        with psycopg.connect(self.town.town.systems[system]) as connection:
            try:
                return dict(
                    connection.execute(
                        f"SELECT subject_id, {item} FROM linkage.individual_number".encode()
                    ).fetchall()
                )
            except psycopg.errors.UndefinedTable:
                return {}

    def arrived(self) -> None:
        """Wait until the entitled system has everything."""
        try:
            wait_until(lambda: self.held(ENTITLED) == self.numbers, 60)
        except AssertionError as error:
            raise AssertionError(self.town._told()) from error

    def stopped(self) -> list[dict[str, Any]]:
        """What stands, as operators are told."""
        found: list[dict[str, Any]] = json.loads(self.renkei("lanes", "show", "--json").stdout)
        return [each for each in found if each["state"] == "stopped"]

    def parked(self) -> list[dict[str, Any]]:
        """What is set aside."""
        found: list[dict[str, Any]] = json.loads(self.renkei("parked", "list", "--json").stdout)
        return found

    def search(self) -> list[Sighting]:
        """Every planted number in a place where it may not be; Kafka's own files are searched."""
        home = self.town.home
        without = [home / "data", home / "engines"]
        return [
            *in_databases(self.town.engines.database, self.canaries, without=[ENTITLED]),
            *in_files(home, self.canaries, without=without),
            # the files beside the segments are indexes
            *in_files(home / "data" / "kafka", self.canaries, named="*.log"),
        ]


def subject(number: int) -> str:
    """A 宛名番号."""
    return f"{number:015d}"


@pytest.fixture(scope="module")
def run(installation: Installation) -> Iterator[Run]:
    """Everything that can happen to a number, in one run."""
    made = built(installation)
    town = made.town
    made.start(RELAY)
    made.start(DELIVER)
    for person in range(PEOPLE):
        made.assign(subject(person), "loaded")
    made.arrived()

    made.renkei("keys", "new", "--id", "second", "--json")
    for person in range(0, PEOPLE * 2, 2):
        made.assign(subject(person), "under the second key")
    made.arrived()
    assert [process.poll() for process in town.processes.values()] == [None, None]
    assert [process.pid for process in town.processes.values()] == made.pids

    refused_by_the_relay(made)
    refused_by_the_store(made)
    spoilt_in_the_log(made)
    delivered_without_keys(made)
    what_is_said(made)
    yield made
    town.stop_all()


def built(installation: Installation) -> Run:
    """Two systems: one that has the number, one that has what stands beside it."""
    town = installation
    town.clear()
    town.town = towns.build(town.engines.database, [ENTITLED, OTHER])
    town.town.write_settings(town.home / "run" / "systems.yaml", database=town.town.ledger)
    schemas = town.home / "schemas"
    shutil.rmtree(schemas, ignore_errors=True)
    shutil.copytree(ROOT / "schemas", schemas)
    for file in (schemas / "subscriptions").glob("*.yaml"):
        file.unlink()
    catalog = load()
    for system, given in (
        (ENTITLED, {}),
        (OTHER, {"fields": ["assigned_on"], "number_use": None}),
    ):
        text = subscription(catalog, system, **given).model_dump(mode="json", by_alias=True)
        for grant in text["streams"].values():
            del grant["where"]
            for day in ("approved_on", "expires_on"):
                grant[day] = date.fromisoformat(grant[day])
        (schemas / "subscriptions" / f"{system}.yaml").write_text(
            yaml.safe_dump(text, allow_unicode=True, sort_keys=False), encoding="utf-8"
        )
    made = Run(town, schemas)
    for command in (town.town.install_command(), ["topics", "apply"], ["schemas", "push"]):
        made.renkei(*command)
    return made


def refused_by_the_relay(run: Run) -> None:
    """Changes with faults: a number that is none, one that is no text, one too many."""
    person = subject(900)
    wrong = run.plant("a wrong check digit")
    run.canaries.append(Canary(wrong[:-1], "eleven digits of it"))
    run.assign(person, "no number", number=wrong[:-1] + str((int(wrong[-1]) + 1) % 10))
    run.assign(person, "no text", number=int(run.plant("a whole number")))
    run.assign(person, "a list", number=[run.plant("in a list")])
    run.assign(person, "an unknown item", **{f"x{run.plant('a name')}": 1})
    run.assign(person, "a date", assigned_on=run.plant("a date"))

    def refused() -> bool:
        with psycopg.connect(run.town.town.core) as connection:
            found = connection.execute("SELECT count(*) FROM renkei.outbox_refused").fetchone()
        return found == (5,)

    wait_until(refused, 60)
    body = {"number": run.plant("published by hand, without an id")}
    line = json.dumps(change(record(STREAM, subject_id=person, body=body)))
    run.renkei("publish", "-", "--json", stdin=line + "\n", expect=65)
    with_id = json.loads(line) | {"change_id": new_change_id()}
    run.renkei("publish", "-", "--dry-run", "--json", stdin=json.dumps(with_id) + "\n")


def refused_by_the_store(run: Run) -> None:
    """A table that the system made narrower: the event is parked, and tried again."""
    person = subject(1)
    table = "ALTER TABLE linkage.individual_number "
    with psycopg.connect(run.town.town.systems[ENTITLED], autocommit=True) as connection:
        refuses = f"CHECK (subject_id <> '{person}' OR version < 2)"
        connection.execute(f"{table} ADD CONSTRAINT refuses {refuses}".encode())
        run.assign(person, "refused by the store")
        wait_until(lambda: len(run.parked()) == 1, 60)
        run.renkei("parked", "retry", ENTITLED, "--all")
        wait_until(lambda: run.parked()[0]["attempts"] > 1, 60)
        connection.execute(f"{table} DROP CONSTRAINT refuses".encode())
    run.renkei("parked", "retry", ENTITLED, "--all")
    run.arrived()


def spoilt_in_the_log(run: Run) -> None:
    """Somebody who may write to the topic gives one person another one's sealed number."""
    records = read_topic(run.town.engines.kafka, f"linkage.{STREAM}").records
    (mine, theirs) = [
        (partition, key, value, found[0])
        for partition, _, key, value in records
        if value is not None and (found := UNDER_SECOND.findall(value))
    ][:2]
    partition, key, value, text = mine
    producer = Producer({"bootstrap.servers": run.town.engines.kafka})
    producer.produce(f"linkage.{STREAM}", value.replace(text, theirs[3]), key, partition)
    producer.flush(20)
    wait_until(lambda: any(each["code"] == SealBroken.code for each in run.stopped()), 60)
    (stopped,) = run.stopped()
    place = str(stopped["partition"]), str(stopped["offset"])
    run.renkei("keys", "check", "--json", expect=SealBroken.exit_status)
    run.renkei("parked", "add", ENTITLED, STREAM, *place, "--reason", "T-1 a number was exchanged")
    run.renkei("lanes", "resume", ENTITLED)
    for person in range(500, 512):  # in every partition: the lane has passed what is set aside
        run.assign(subject(person), "after a number was exchanged")
    run.arrived()
    run.renkei("parked", "dismiss", ENTITLED, "--all", "--reason", "T-1 it is nobody's")


def delivered_without_keys(run: Run) -> None:
    """The file is gone when the process starts: the lanes stand, and go on once it is back."""
    aside = run.keys.with_name("seal-keys.aside")
    run.town.stop(DELIVER)
    run.keys.rename(aside)
    before = run.held(ENTITLED)
    for person in range(5):
        run.assign(subject(person), "while there was no key")
    run.start(DELIVER)
    wait_until(lambda: bool(run.stopped()), 60)
    assert {each["code"] for each in run.stopped()} == {KeysUnusable.code}
    assert run.held(ENTITLED) == before
    aside.rename(run.keys)
    run.renkei("lanes", "resume", ENTITLED)
    run.arrived()


def what_is_said(run: Run) -> None:
    """Everything that can be asked; the answers are among the files that are searched."""
    for arguments in (
        ["keys", "list"],
        ["keys", "list", "--json"],
        ["keys", "check"],
        ["status"],
        ["parked", "list", "--json"],
        ["relay", "status"],
        ["relay", "refused", "list", "resident_registry", "--json"],
        ["settings", "show"],
        ["streams", "show", STREAM, "--json"],
        ["doctor"],
        ["local", "logs"],
    ):
        run.renkei(*arguments, expect=None)
    for name, port in run.town.ports.items():
        for page in ("metrics", "healthz", "readyz"):
            text = what_page_says(f"http://127.0.0.1:{port}/{page}")
            (run.town.outputs / f"{name}-{page}.txt".replace(" ", "-")).write_bytes(text)


def test_the_entitled_system_has_every_number(run: Run) -> None:
    """Nothing was lost on the way: not by the new key, nor by anything that went wrong."""
    assert run.held(ENTITLED) == run.numbers
    assert len(run.numbers) == PEOPLE + PEOPLE // 2 + 12


def test_whoever_is_not_entitled_has_what_stands_beside_it(run: Run) -> None:
    """The same subjects, without the column."""
    wait_until(lambda: run.held(OTHER, "version").keys() == run.numbers.keys(), 60)
    with psycopg.connect(run.town.town.systems[OTHER]) as connection:
        found = connection.execute(
            "SELECT FROM information_schema.columns WHERE column_name = 'number'"
        ).fetchone()
    assert found is None


def test_a_number_is_nowhere_else(run: Run) -> None:
    """Not in Kafka, the ledger, another store, a log (the database's included), or a file; nor in
    the outbox: what was sent is emptied, what was refused is sealed."""
    assert [str(sighting) for sighting in run.search()] == []


def test_the_search_finds_them_where_they_may_be(run: Run) -> None:
    """In the entitled system's table, all of them and no other; nowhere else it looks."""
    found = list(in_databases(run.town.engines.database, run.canaries))

    assert {sighting.place.split(".")[0] for sighting in found} == {ENTITLED}
    assert {sighting.canary.token for sighting in found} == set(run.numbers.values())


def test_the_search_looks_into_the_core_systems_database(run: Run) -> None:
    """The core system's database is not left out: a number that lies there is found."""
    last = run.canaries[-1]
    with psycopg.connect(run.town.town.core, autocommit=True) as connection:
        connection.execute("CREATE TABLE planted AS SELECT %s::text AS number", (last.token,))
        try:
            places = {sighting.place for sighting in run.search()}
        finally:
            connection.execute("DROP TABLE planted")
    assert places == {f"{CORE}.public.planted"}


def test_both_keys_are_in_the_log(run: Run) -> None:
    """Some events are sealed under the one, some under the other."""
    topic = read_topic(run.town.engines.kafka, f"linkage.{STREAM}")
    values = [value for _, _, _, value in topic.records if value is not None]

    under_second = sum(b"second." in value for value in values)
    assert 0 < under_second < len(values)


def test_each_delivery_was_recorded(run: Run) -> None:
    """In receipts, by the view's fingerprint; in the log and the metrics, by rows."""
    log = (run.town.logs / "deliver.log").read_text(encoding="utf-8")
    said = [json.loads(line) for line in log.splitlines() if "restricted-delivered" in line]
    assert {line["system"] for line in said} == {ENTITLED}
    assert sum(line["rows"] for line in said) >= len(run.numbers)
    (view,) = {line["view"] for line in said}
    with psycopg.connect(run.town.town.ledger) as connection:
        rows = connection.execute(
            "SELECT sum(rows) FROM ledger.event_receipt WHERE view = %s", (view,)
        ).fetchone()
    assert rows is not None
    assert rows[0] >= len(run.numbers)
    metrics = (run.town.outputs / "deliver-metrics.txt").read_text(encoding="utf-8")
    assert f'renkei_deliver_restricted_total{{stream="{STREAM}",system="{ENTITLED}"}}' in metrics


def test_an_old_key_is_needed_until_nothing_is_under_it(run: Run) -> None:
    """The command counts, so that nobody has to guess; it says what was spoilt, too."""
    found = json.loads(run.renkei("keys", "check", "--json", expect=None).stdout)

    by_key = {each["key"]: each for each in found}
    assert by_key["second"]["is_current"]
    (first,) = [each for each in found if each["key"] != "second"]
    assert not first["may_be_retired"]
    assert sum(each["values"] - each["opened"] for each in found) == 1
