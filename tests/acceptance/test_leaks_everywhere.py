"""Every sensitive item of every stream, and every outlet: nothing is where it may not be.

A word of its own stands in each item (:mod:`tests.acceptance.planting`), of persons who are
protected and of such as are not. What a subscription permits is read here from its file, by a
reading of its own. Then each mask, filter and fence is taken out, one at a time, and the search
has to notice.
"""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from secrets import token_bytes
from typing import Any

import psycopg
import pytest
import yaml

from bus.sample import town as towns
from tests.acceptance.evidence import read_topic
from tests.acceptance.installation import (
    DELIVER,
    ROOT,
    Installation,
    what_pages_say,
)
from tests.acceptance.leaks import TABLES, Sighting, content, in_databases, in_files, seen
from tests.acceptance.planting import Garden, Planted, newest
from tests.support import engines as test_engines
from tests.support.changes import by_cases, case
from tests.support.waiting import wait_until
from tests.support.warm import FIRST

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(600)]
SEED = 20_261_124
MUNICIPALITY = "131016"
SHIPPED = ROOT / "schemas"
WATCHER = "watcher"
"""A system whose subscription uses every mask and filter there is."""
PLAIN = {"corporate_resident_tax.levy", "household"}
"""Streams whose sensitive items are numbers of subjects, or that have none."""
TOWN_ONLY = ("municipality_code", "town_code", "prefecture", "municipality", "town")

EXAMPLES = {
    "application.received": "identified",
    "calendar.milestone": "sixty_five",
    "child_allowance.receipt": "started",
    "child_childcare_support.certification": "nursery_under_three",
    "child_rearing_allowance.receipt": "started",
    "corporate_resident_tax.levy": "final_return",
    "disability_welfare.certificate": "two_kinds",
    "electoral_roll.registration": "registered_in_june",
    "fixed_asset_tax.levy": "owner_alone",
    "health_management.vaccination": "first_dose",
    "household": "child_born",
    "individual_number": "assigned_at_birth",
    "individual_resident_tax.assessment": "taxed_on_income",
    "late_elderly_medical.qualification": "reached_seventy_five",
    "light_vehicle_tax.vehicle": "moped_of_a_resident",
    "long_term_care_insurance.care_level": "certified_for_the_first_time",
    "long_term_care_insurance.qualification": "reached_sixty_five",
    "national_health_insurance.qualification": "left_a_company",
    "national_pension.qualification": "turned_twenty",
    "nonresident": "owner_of_land_elsewhere",
    "protection": "provisional_from_another_municipality",
    "public_assistance.receipt": "started",
    "resident": "moved_in",
    "school_enrollment.enrollment": "enters_school",
}
"""The valid example of each stream that a planted record is made from."""
_YEAR = {"fiscal_year": 2026, "decided_on": "2026-05-01"}
_MONTHS = {"start_month": "2026-05-01", "end_month": None}
_HELD = {"lost_on": None}
GIVEN: Mapping[str, dict[str, Any]] = {
    "child_allowance.receipt": _MONTHS,
    "child_rearing_allowance.receipt": _MONTHS,
    "disability_welfare.certificate": {"certificates.returned_on": None},
    "electoral_roll.registration": {"struck_off_on": None},
    "fixed_asset_tax.levy": {**_YEAR, "co_owners": []},
    "individual_resident_tax.assessment": _YEAR,
    "late_elderly_medical.qualification": _HELD,
    "light_vehicle_tax.vehicle": {"disposed_on": None},
    "long_term_care_insurance.qualification": _HELD,
    "national_health_insurance.qualification": _HELD,
    "national_pension.qualification": {**_HELD, "kind_changed_on": None},
    "public_assistance.receipt": {"suspended_on": None, "ended_on": None},
}  # fmt: skip
"""What a stream's rules tie down beside its example: dotted path -> value."""


@dataclass(slots=True)
class Person:
    """Somebody who turns up in every stream, each time with words of their own."""

    number: str
    flagged: bool = False  # the records say so themselves
    fenced: bool = False  # only the protection stream says so
    lives_with: str = ""  # a protected person whose household they are a member of; no more is said
    linked_to: str = ""  # a protected person whom a non-resident's record names as the same
    named_by: str = ""  # a protected person whose protection names them; no more is said
    by_cases: bool = False  # fenced by a second case; the first has ended
    spelled: str = ""  # how all records but the protection's write the number

    @property
    def is_protected(self) -> bool:
        """Whether a withholding system may not have where they are."""
        is_led_to = bool(self.lives_with or self.linked_to or self.named_by)
        return self.flagged or self.fenced or is_led_to


PERSONS = (
    Person("000000020000018"),
    Person("000000020000026", flagged=True, fenced=True),
    Person("000000020000034", fenced=True),
    Person("000000020000042", flagged=True),
    Person("000000020000058", lives_with="000000020000034"),
    Person("000000020000066", linked_to="000000020000034"),
    Person("000000020000074", named_by="000000020000082"),
    Person("000000020000082", fenced=True, by_cases=True),
    Person("000000020000090", fenced=True, spelled="20000090"),
)
TIES = ("household", "nonresident")
"""What says who belongs to whom: it comes before what says where somebody is."""


@dataclass(slots=True)
class Run:
    """A run that is over."""

    town: Installation
    schemas: Path
    garden: Garden
    stores: dict[str, str]
    changes: int = 0

    def may_see(self, system: str, planted: Planted) -> bool:
        """Whether the subscription file of *system* lets it have this item of this record."""
        grant = subscription(self.schemas, system)["streams"].get(planted.stream)
        record = self.garden.records[planted.stream, planted.subject]
        if grant is None or record["event_type"] not in grant["event_types"]:
            return False
        if not all(holds(each, record["body"]) for each in grant.get("where", ())):
            return False
        if not any(covers(path, planted.path) for path in grant.get("fields", ())):
            return False
        for path, mask in grant.get("masks", {}).items():
            if covers(path, planted.path) and not (
                mask == "town_only" and planted.path.rpartition(".")[2] in TOWN_ONLY
            ):
                return False
        is_hidden = planted.sensitivity == "location" and planted.is_protected
        return not is_hidden or grant.get("suppression") == "capable"

    def leaks(self, system: str, uri: str) -> list[str]:
        """What a database holds that its system may not see."""
        held = tokens_in(uri, self.garden.planted)
        return [
            f"{planted.canary.why} in {system}"
            for planted in self.garden.planted
            if planted.canary.token in held and not self.may_see(system, planted)
        ]

    def lacks(self, system: str, uri: str) -> list[str]:
        """What a system may see and its database does not hold."""
        held = tokens_in(uri, self.garden.planted)
        return [
            f"{planted.canary.why} not in {system}"
            for planted in self.garden.planted
            if planted.canary.token not in held and self.may_see(system, planted)
        ]


@cache
def subscription(schemas: Path, system: str) -> dict[str, Any]:
    """A system's file as YAML."""
    file = schemas / "subscriptions" / f"{system}.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def covers(granted: str, path: str) -> bool:
    """Whether an item is the one granted, or lies in the record granted."""
    return path == granted or path.startswith(f"{granted}.")


def holds(condition: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a record fulfils one condition of a file."""
    value: Any = body
    for part in condition["field"].split("."):
        value = None if value is None else value[part]
    if "is_null" in condition:
        return (value is None) is condition["is_null"]
    if value is None:
        return False
    if "equals" in condition:
        return bool(value == condition["equals"])
    if "in" in condition:
        return value in condition["in"]
    return bool(value >= condition["at_least"])


# -- the run -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """All streams published by their providers, received by all systems and by the watcher."""
    town = installation
    schemas = tmp_path_factory.mktemp("schemas") / "schemas"
    shutil.copytree(SHIPPED, schemas)
    watching(schemas)
    systems = sorted(file.stem for file in (schemas / "subscriptions").glob("*.yaml"))
    town.clear()
    built = towns.build(town.engines.database, systems)
    built.write_settings(
        town.home / "run" / "systems.yaml",
        database=built.ledger,
        partitions=2,  # a delivery of all streams opens half as many lanes
        schemas=str(schemas),
        mask_keys=str(keys_of_masks(town.home / "run" / "mask-keys.yaml", systems)),
    )
    made = Run(town, schemas, Garden(schemas, Random(SEED)), dict(built.systems))
    for command in ("topics apply", "schemas push"):
        town.renkei(*command.split())
    publish(made)
    town.start(DELIVER)
    wait_until(lambda: not missing(made), 120)
    for arguments in (["status", "--json"], ["parked", "list", "--json"], ["settings", "show"]):
        town.renkei(*arguments, expect=None)
    yield made
    town.stop_all()


def watching(schemas: Path, only: Collection[str] = ()) -> None:
    """Write the watcher's subscription: everything (or *only* these streams), and each mask and
    filter at least once."""
    streams = {}
    for folder in sorted((schemas / "streams").iterdir()):
        schema = newest(folder)
        if schema.get("x-internal") or folder.name == "individual_number":
            continue
        streams[folder.name] = {
            "event_types": schema["x-event-types"],
            "fields": [entry["name"] for entry in schema["fields"][1:]],
            "suppression": "withhold",
            "legal_basis": [{"law": "試験のための法律"}],
            "purpose": "漏洩の検査",
            "approver": "検査担当",
            "approved_on": datetime(2026, 4, 1, tzinfo=UTC).date(),
            "expires_on": datetime(2029, 3, 31, tzinfo=UTC).date(),
        }
    resident = streams["resident"]
    resident["masks"] = {
        "address": "town_only", "birth_date": "birth_year", "name.full": "keyed_hash",
        "name.kana": "last_four", "name.alias": "withhold", "nationality": "present",
    }  # fmt: skip
    resident["fields"] = [each for each in resident["fields"] if each != "residence_status"]
    streams["nonresident"]["masks"] = {"birth_date": "age_band"}
    streams["health_management.vaccination"]["event_types"] = [
        "health_management.vaccination.changed"
    ]
    streams["light_vehicle_tax.vehicle"]["where"] = [{"field": "exempt", "equals": True}]
    streams = {name: grant for name, grant in streams.items() if not only or name in only}
    content = {
        "system": WATCHER, "ja": "検査", "business_id": None, "ministry": "総務省",
        "separate_organ": None, "zone": "individual_number", "streams": streams,
    }  # fmt: skip
    file = schemas / "subscriptions" / f"{WATCHER}.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def publish(run: Run) -> None:
    """Protection first; then one record of each stream of each person, by its provider.

    Some numbers are written in another form: as a site's were that had it before.
    """
    lines = [change("protection", person, run) for person in PERSONS if person.fenced]
    another: list[dict[str, Any]] = []
    for stream in sorted(run.garden.streams, key=lambda name: name not in TIES):
        if stream != "protection":
            for person in PERSONS:
                (another if person.spelled else lines).append(change(stream, person, run))
    send(run, lines)
    send(run, another, RENKEI_NUMBER_PADDED="false")


def send(run: Run, lines: Sequence[dict[str, Any]], **environment: str) -> None:
    """Publish these changes."""
    stdin = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    run.town.renkei("publish", "-", stdin=stdin, environment=environment)


def change(stream: str, person: Person, run: Run) -> dict[str, Any]:
    """A change of one record about *person*."""
    schema = newest(run.schemas / "streams" / stream)
    subject, given = tied(stream, person)
    record = run.garden.record(
        stream,
        EXAMPLES[stream],
        subject,
        is_protected=person.is_protected,
        given=GIVEN.get(stream, {}) | given,
    )
    if "protected" in record["body"]:
        record["body"]["protected"] = person.flagged
    if person.spelled and stream != "protection":
        record["body"] = respelled(record["body"])
    run.changes += 1
    return {
        "change_id": f"019d3f00-0000-7000-8000-{run.changes:012d}",
        "municipality_code": MUNICIPALITY,
        "source": schema["x-providers"][0],
        "processed_at": datetime.now(UTC).isoformat(),
        "records": [record],
    }


def tied(stream: str, person: Person) -> tuple[str, dict[str, Any]]:
    """The subject id of *person*'s record in a stream, and the items that name the person."""
    number, last = person.spelled or person.number, person.number[-4:]
    match stream:
        case "protection":
            return person.number, cases_of(person)
        case "household":
            home = f"00000003{person.number[-7:]}"
            return respelled(home) if person.spelled else home, housemates(person)
        case "application.received":
            return f"A-{last}", {"applicant_subject_id": number, "concerned": []}
        case "calendar.milestone":
            return f"{number}-AGE_65", {"person_subject_id": number}
        case "child_childcare_support.certification" | "school_enrollment.enrollment":
            return number, {"guardian_subject_id": "000000099999994"}
        case "fixed_asset_tax.levy":
            return f"{number}-2026", {"taxpayer_subject_id": number, "tax_agent_subject_id": None}
        case "individual_resident_tax.assessment":
            return f"{number}-2026", {"taxpayer_subject_id": number}
        case "corporate_resident_tax.levy":
            return f"{number}-186109", {
                "corporation_subject_id": number,
                "term_end": "1861-09-30",
                "term_start": "1861-04-01",
                "filed_on": None,
            }
        case "light_vehicle_tax.vehicle":
            return f"V-{last}", {"owner_subject_id": number, "user_subject_id": None}
        case "nonresident":
            other = person.linked_to or None
            return number, {"linked_to": other, "linked_source": other is not None}
    return number, {}


def respelled(items: Any) -> Any:
    """The same items, each number in them without its zeros in front."""
    if isinstance(items, dict):
        return {name: respelled(value) for name, value in items.items()}
    if isinstance(items, list):
        return [respelled(value) for value in items]
    is_number = isinstance(items, str) and len(items) == 15 and items.isdecimal()
    return items.lstrip("0") if is_number else items


def cases_of(person: Person) -> dict[str, Any]:
    """Two cases, of which the first has ended; the second is shared with whom it leads to."""
    if not person.by_cases:
        return {}
    shared = [each.number for each in PERSONS if each.named_by == person.number]
    first, second = case("2026-02-01", status="ENDED"), case("2026-04-01", shared_with=shared)
    body = by_cases("2026-04-01", first, second)
    names = "status", "started_on", "ends_on", "suppresses", "shared_with", "cases", "sharers"
    return {name: body[name] for name in names} | {"decided_on": None}


def housemates(person: Person) -> dict[str, Any]:
    """The members of a household that they live in with somebody who is protected."""
    if not person.lives_with:
        return {}
    numbers = (person.lives_with, person.number)
    return {
        "head_subject_id": person.lives_with,
        "members": [
            {"subject_id": number, "relationship": kind}
            for number, kind in zip(numbers, ("02", "12"), strict=True)
        ],
        "member_count": 2,
    }


def missing(run: Run) -> bool:
    """Whether some system still lacks what it is to have."""
    return any(run.lacks(system, uri) for system, uri in run.stores.items())


def tokens_in(uri: str, planted: Sequence[Planted]) -> set[str]:
    """The tokens that any table of a database holds."""
    canaries = [each.canary for each in planted]
    with psycopg.connect(uri) as connection:
        return {
            sighting.canary.token
            for schema, table in connection.execute(TABLES).fetchall()
            for sighting in seen(f"{schema}.{table}", content(connection, schema, table), canaries)
        }


def keys_of_masks(file: Path, systems: Sequence[str]) -> Path:
    """Keys for the masks that hash, made for this run."""
    made = {
        system: {"id": f"{system}-1", "key": b64encode(token_bytes(32)).decode()}
        for system in systems
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(made), encoding="utf-8")
    return file


# -- the search ----------------------------------------------------------------------------


def test_every_system_has_what_it_may_have_and_nothing_else(run: Run) -> None:
    """In the stores of all systems, each item of each record is where the files permit it."""
    assert len(run.garden.planted) > 400
    assert {each.stream for each in run.garden.planted} >= set(EXAMPLES) - PLAIN
    for system, uri in run.stores.items():
        assert run.lacks(system, uri) == []
        assert run.leaks(system, uri) == []


def test_no_file_and_no_other_database_has_any(run: Run) -> None:
    """Logs, metrics, outputs, temporary files, the server's log, the ledger, the registry."""
    town, canaries = run.town, [each.canary for each in run.garden.planted]
    what_pages_say(town)
    home = town.home
    engines = [home / "data" / "kafka", home / "data" / "postgres", home / "engines"]
    found: list[Sighting] = [
        *in_databases(town.engines.database, canaries, without=sorted(run.stores)),
        *in_files(home, canaries, without=engines),
    ]
    assert [str(sighting) for sighting in found] == []


def test_the_bus_says_nothing_of_them_in_its_own_topics(run: Run) -> None:
    """Receipts, exceptions, views: identifiers only. 個人番号 is not even in its own topic."""
    for folder in sorted((run.schemas / "streams").iterdir()):
        internal = bool(newest(folder).get("x-internal"))
        if not internal and folder.name != "individual_number":
            continue
        said = read_topic(run.town.engines.kafka, f"linkage.{folder.name}").records
        content = b"".join(value or b"" for *_, value in said)
        held = [
            each.canary.why
            for each in run.garden.planted
            if (internal or each.sensitivity == "restricted")
            and each.canary.token.encode() in content
        ]
        assert held == []


# -- the search notices --------------------------------------------------------------------

_WITHOUT_MASK = """
import bus.policy.views as views
real = views.effect
views.effect = lambda kind, *rest: {{}} if kind.value == "{kind}" else real(kind, *rest)
"""
TAKEN_OUT = {
    **{
        f"mask {kind}": _WITHOUT_MASK.format(kind=kind)
        for kind in (
            "withhold", "birth_year", "age_band", "town_only", "last_four", "keyed_hash", "present",
        )
    },
    "filter of items": """
import bus.policy.grants as grants
grants.Grant.grants = lambda self, path: True
""",
    "filter of event types": """
import dataclasses
import bus.policy.projection as projection
planned = projection._planned
projection._planned = lambda view: dataclasses.replace(planned(view), event_types=None)
""",
    "filter of rows": """
import bus.policy.views as views
views._conditions = lambda *rest: ()
""",
    "withholding of locations": """
import bus.policy.projection as projection
projection.withhold = lambda column, where: column
""",
    "fence": """
import pyarrow
from bus.control.fence import Fence
Fence.protected = lambda _, records, located: pyarrow.repeat(False, records.num_rows)
""",
    "members of a household": """
from bus.policy.closure import Closure
Closure.households = lambda *_: None
""",
    "linked numbers": """
from bus.policy.closure import Closure
Closure.nonresidents = lambda *_: None
""",
    "whom a case names": """
from dataclasses import replace
from bus.policy.cases import PersonCases
opened = PersonCases.open.fget
PersonCases.open = property(
    lambda self: [replace(case, shared_with=frozenset()) for case in opened(self)]
)
""",
    "every case but the first": """
from bus.policy.cases import PersonCases
PersonCases.open = property(
    lambda self: [case for _, case in sorted(self.cases.items())[:1] if case.is_open]
)
""",
    "however a number is spelled": """
import bus.policy.protection as searching
searching.comparable_column = lambda numbers: numbers
""",
}  # fmt: skip
"""What is taken out of delivery, one at a time."""


@pytest.fixture(scope="module")
def protected_first(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store of the watcher's that has the protections and nothing else."""
    run.town.stop(DELIVER)  # or it would have half of the partitions
    schemas = tmp_path_factory.mktemp("protections") / "schemas"
    shutil.copytree(run.schemas, schemas)
    watching(schemas, only={"protection"})
    with test_engines.fresh_database(run.town.engines.database) as uri:
        deliver_once(run, uri, RENKEI_SCHEMAS=str(schemas))
        yield uri


def deliver_once(run: Run, uri: str, **environment: str) -> str:
    """Deliver all there is to a store of the watcher's; what is said meanwhile."""
    stores = {WATCHER: {"connector": "postgres", "options": {"uri": uri}}}
    given = {"RENKEI_SYSTEMS": yaml.safe_dump(stores), **environment}
    done = run.town.renkei("deliver", "--once", "--system", WATCHER, environment=given)
    return done.stdout + done.stderr


@pytest.mark.parametrize("piece", TAKEN_OUT)
def test_the_search_notices_when_a_piece_is_taken_out(
    run: Run, piece: str, protected_first: str
) -> None:
    """A delivery without it writes what its system may not see, and the search says so.

    The store has the protections before: what comes later is the fence's alone to withhold.
    """
    server = run.town.engines.database
    with test_engines.fresh_database(server, copied=protected_first) as uri:
        given = {"RENKEI_SCHEMAS": str(run.schemas), FIRST: TAKEN_OUT[piece]}
        said = deliver_once(run, uri, **given)
        assert run.leaks(WATCHER, uri), said
