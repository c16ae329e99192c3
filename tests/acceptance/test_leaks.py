"""A protected person's address is nowhere but where it may be.

Words that exist nowhere else are planted as addresses of protected persons, and as contents of
what goes wrong; then everything that the run wrote is searched. They may be in the core system's
database, in Kafka's own log, and in the stores of systems that are ``capable``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import yaml
from confluent_kafka import Producer
from psycopg import sql

from bus.model import Change
from bus.sample.municipality import Municipality, Person, events
from bus.sample.municipality.places import anywhere
from bus.sample.municipality.register import Part
from bus.sample.municipality.subjects import known
from tests.acceptance.evidence import read_topic
from tests.acceptance.installation import (
    DELIVER,
    MONITOR,
    RELAY,
    Installation,
    what_pages_say,
)
from tests.acceptance.leaks import Canary, Sighting, canary, in_databases, in_files
from tests.support import engines as test_engines
from tests.support.waiting import wait_until
from tests.support.warm import FIRST

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]
SEED = 20_260_402
POPULATION = 200
CAPABLE = {"national_health_insurance", "public_assistance"}
CORE = "core_resident_registry"
WITHHOLDS = "child_allowance"
UNMASKED = """
import bus.policy.projection as projection
projection.withhold = lambda column, where: column
import connectors.postgres.suppression as suppression
suppression._suppress = lambda connection, table: None
"""


@dataclass(slots=True)
class Run:
    """A run that is over, and what was planted in it."""

    town: Installation
    canaries: list[Canary] = field(default_factory=list)
    parked: int = 0

    def plant(self, why: str) -> str:
        """A new word; to be found nowhere."""
        self.canaries.append(canary(why))
        return self.canaries[-1].text

    @property
    def current(self) -> set[Canary]:
        """The addresses that hold now."""
        addresses = [person.address or {} for person in self.town.people.persons]
        held = {str(part) for address in addresses for part in address.values()}
        return {each for each in self.canaries if each.text in held}

    def search(self) -> list[Sighting]:
        """Every planted word in a place where it may not be."""
        home = self.town.home
        return [
            *in_databases(
                self.town.engines.database, self.canaries, without=sorted({CORE, *CAPABLE})
            ),
            *in_files(
                home,
                self.canaries,
                without=[home / "data" / "kafka", home / "data" / "postgres", home / "engines"],
            ),
        ]


@pytest.fixture(scope="module")
def run(installation: Installation) -> Iterator[Run]:
    """Load, changes and failures, with canaries in them; all processes have said what they say."""
    town = installation
    town.build(POPULATION, SEED)
    made = Run(town)
    people = town.people
    protected = [person for person in people.persons if person.is_protected]
    alone = next(
        household.members[0]
        for household in people.households
        if len(household.members) == 1 and not household.is_protected
    )
    for person in protected:
        settle(made, person, "loaded")
    settle(made, alone, "shown until protection began")
    town.ensure(RELAY, DELIVER, MONITOR)
    town.load()
    town.quiet()
    mover, moved_twice, told_elsewhere, refused, refused_too, cut = protected[:6]

    town.enter(moves, run=made, person=mover)
    town.enter(moves, run=made, person=moved_twice)
    town.enter(moves, run=made, person=moved_twice)
    change = town.enter(events.protection_starts, person=alone)
    another_publisher(made, told_elsewhere)
    faulty_changes(made, refused)
    with refusing(town, WITHHOLDS, refused), refusing(town, "public_assistance", refused_too):
        town.enter(moves, run=made, person=refused)
        town.enter(moves, run=made, person=refused_too)
        town.quiet()
        made.parked = len(parked(town))
        town.renkei("parked", "list")
    town.renkei("parked", "retry", WITHHOLDS, "--all")
    wait_until(lambda: WITHHOLDS not in {each["system"] for each in parked(town)}, 60)
    truncated_bytes(made, cut)
    wait_until(lambda: len(parked(town)) >= 16, 60)
    for _ in range(5):
        town.enter()
    town.quiet()
    what_commands_say(town, change.change_id or "")
    what_pages_say(town)
    yield made
    town.stop_all()


def settle(run: Run, person: Person, why: str) -> None:
    """Give somebody an address, and one before it, that nobody else has."""
    address: dict[str, Any] = dict(person.address or {})
    address["lot"] = run.plant(f"lot ({why})")
    address["building"] = run.plant(f"building ({why})")
    person.address = address
    if person.previous_address is not None:
        previous = dict(person.previous_address)
        person.previous_address = previous | {"lot": run.plant(f"previous lot ({why})")}


def moves(people: Municipality, at: datetime, *, run: Run, person: Person) -> Change:
    """A protected person moves: both addresses are words that nobody else has."""
    old = person.address
    assert old is not None
    settle(run, person, "moved")
    person.previous_address = anywhere(old)
    day = known(at.date())
    part = Part(subject=person, event_type="resident.address_changed", effective=day)
    return people.enter(at, "MOVED_WITHIN", at.date(), [part])


def another_publisher(run: Run, person: Person) -> None:
    """Somebody else publishes a location of a protected person, and knows of no protection."""
    person.is_protected = False
    change = run.town.people
    made = moves(change, datetime.now(UTC), run=run, person=person)
    person.is_protected = True
    run.town.renkei("publish", "-", stdin=made.model_dump_json() + "\n")


def faulty_changes(run: Run, person: Person) -> None:
    """What is refused by the outbox and by the command, with words where they do not belong."""
    good = json.loads(next_change(run, person).model_dump_json())
    body = good["records"][0]["body"]
    wrong: list[dict[str, Any]] = [
        {"sex": run.plant("a code")},
        {"birth_date": run.plant("a date that is a text")},
        {"birth_date": {"date": run.plant("an impossible date"), "unknown": False, "text": None}},
        {"household_number": run.plant("a number")},
        {"protected": run.plant("a flag")},
        {"name": [run.plant("a name that is a list")]},
        {run.plant("an unknown field"): 1},
        {"address": body["address"] | {"municipality_code": run.plant("a municipality code")}},
        {"address": body["address"] | {"postal_code": run.plant("a postal code")}},
    ]
    changes = []
    for number, each in enumerate(wrong):
        record = good["records"][0] | {"body": body | each}
        if number % 2 and "address" not in each:
            record["body"]["address"] = body["address"] | {"lot": run.plant("a refused lot")}
        changes.append(good | {"records": [record], "change_id": None})
    changes.append(good | {"municipality_code": run.plant("whose"), "change_id": None})
    changes.append(good | {"reason": run.plant("a reason"), "change_id": None})
    changes.append(good | {"records": run.plant("no records"), "change_id": None})
    with psycopg.connect(run.town.town.core, autocommit=True) as connection:
        for change in changes:
            connection.execute("SELECT renkei.publish_change(%s)", (json.dumps(change),))
    wait_until(lambda: refusals(run.town) >= len(changes), 60)
    lines = [json.dumps(change, ensure_ascii=False) for change in changes]
    lines.append(f'{{"half a line": "{run.plant("half a line")}')
    report = run.town.outputs / "refused.jsonl"
    for arguments in (["--report", str(report)], ["--json"]):
        run.town.renkei("publish", "-", *arguments, stdin="\n".join(lines), expect=65)


def next_change(run: Run, person: Person) -> Change:
    """A change of somebody that would be in order; nothing comes of it in the books."""
    held = person.version, person.entry, person.address, person.previous_address
    change = moves(run.town.people, datetime.now(UTC), run=run, person=person)
    person.version, person.entry, person.address, person.previous_address = held
    return change


@contextmanager
def refusing(town: Installation, system: str, person: Person) -> Iterator[None]:
    """A store that does not take the next entry of a person; it is parked."""
    table = sql.SQL("ALTER TABLE linkage.resident ")
    condition = sql.SQL("CHECK (NOT (subject_id = {} AND version > {}))").format(
        person.number, person.version
    )
    with psycopg.connect(town.town.systems[system], autocommit=True) as connection:
        connection.execute(table + sql.SQL("ADD CONSTRAINT refuses ") + condition)
        try:
            yield
        finally:
            connection.execute(table + sql.SQL("DROP CONSTRAINT refuses"))


def truncated_bytes(run: Run, person: Person) -> None:
    """Half an event of a protected person, and an event of no schema, straight into the log."""
    lot = (person.address or {})["lot"]
    whole = next(
        (partition, key, value)
        for partition, _, key, value in read_topic(
            run.town.engines.kafka, "linkage.resident"
        ).records
        if lot.encode() in value
    )
    partition, key, value = whole
    producer = Producer({"bootstrap.servers": run.town.engines.kafka})
    cut = value[: value.index(lot.encode()) + len(lot.encode()) + 1]
    unknown = b"\x00\x00\x00\xff\xff" + run.plant("bytes of an unknown schema").encode()
    foreign = run.plant("bytes without a frame").encode()
    for each in (cut, unknown, foreign):
        producer.produce("linkage.resident", each, key, partition)
    producer.flush(20)


def what_commands_say(town: Installation, change_id: str) -> None:
    """Everything that can be asked; the answers are kept among the files that are searched."""
    for arguments in (
        ["status"],
        ["status", "--json"],
        ["reach", "show", change_id],
        ["reach", "show", change_id, "--json"],
        ["parked", "list"],
        ["parked", "list", "--json"],
        ["throughput"],
        ["topics", "list"],
        ["relay", "status"],
        ["relay", "refused", "list", "resident_registry"],
        ["relay", "refused", "list", "resident_registry", "--json"],
        ["settings", "show"],
        ["local", "logs"],
    ):
        town.renkei(*arguments, expect=None)


def refusals(town: Installation) -> int:
    """How many changes the outbox has set aside."""
    with psycopg.connect(town.town.core) as connection:
        found = connection.execute("SELECT count(*) FROM renkei.outbox_refused").fetchone()
    return int(found[0]) if found else 0


def parked(town: Installation) -> list[dict[str, Any]]:
    """What is set aside."""
    found: list[dict[str, Any]] = json.loads(town.renkei("parked", "list", "--json").stdout)
    return found


def test_things_went_wrong_as_they_should(run: Run) -> None:
    """The run was one: changes refused, events parked, commands asked, pages read."""
    said = (run.town.outputs / "commands.txt").read_text(encoding="utf-8")
    assert run.parked == 2
    assert refusals(run.town) >= 10
    assert len(run.canaries) > 40
    assert "RK-2" in said
    assert (run.town.outputs / "deliver-metrics.txt").read_bytes().count(b"\n") > 50
    assert len(run.town.processes) == 3
    assert all(process.poll() is None for process in run.town.processes.values())


def test_an_address_is_nowhere_but_where_it_may_be(run: Run) -> None:
    """No planted word is in a store that withholds, in the ledger, or in any file."""
    assert [str(sighting) for sighting in run.search()] == []


def test_it_is_where_it_may_be(run: Run) -> None:
    """The same search finds them in the core system's database and in the capable stores."""
    found = list(in_databases(run.town.engines.database, run.canaries))
    databases = {sighting.place.split(".")[0] for sighting in found}

    assert databases == {CORE, *CAPABLE}
    for system in CAPABLE:
        lacking = run.current - {s.canary for s in found if s.place == f"{system}.linkage.resident"}
        assert len(lacking) == (2 if system == "public_assistance" else 0)  # parked there


@pytest.mark.parametrize("place", ["a log", "a temporary file", "a table of the ledger"])
def test_the_search_looks_there(place: str, run: Run) -> None:
    """A word that is put where it may not be is found."""
    word = run.canaries[0].text
    if place == "a table of the ledger":
        with psycopg.connect(run.town.town.ledger, autocommit=True) as connection:
            connection.execute("CREATE TABLE public.planted AS SELECT %s::text AS word", (word,))
            found = run.search()
            connection.execute("DROP TABLE public.planted")
        assert [str(sighting) for sighting in found] == [
            f"{run.canaries[0].why} in ledger.public.planted"
        ]
        return
    folder = run.town.home / "logs" if place == "a log" else run.town.temporary
    file = folder / "planted"
    file.write_text(json.dumps({"word": word}), encoding="utf-8")
    try:
        assert [sighting.place for sighting in run.search()] == [str(file)]
    finally:
        file.unlink()


def test_the_search_fails_when_the_mask_is_taken_out(run: Run) -> None:
    """A delivery that masks nothing writes addresses into a store, and the search says so.

    It is alone: a group would deal it no more than its share of the lanes. The store does not take
    them out again either: whether protections come before or after the residents is chance.
    """
    run.town.stop(DELIVER)
    with test_engines.fresh_database(run.town.engines.database) as uri:
        stores = {WITHHOLDS: {"connector": "postgres", "options": {"uri": uri}}}
        given = {"RENKEI_SYSTEMS": yaml.safe_dump(stores), FIRST: UNMASKED}
        run.town.renkei("deliver", "--once", "--system", WITHHOLDS, environment=given)
        found = run.search()

    assert {sighting.place.split(".", 1)[1] for sighting in found} == {"linkage.resident"}
    assert {sighting.canary for sighting in found} & run.current
