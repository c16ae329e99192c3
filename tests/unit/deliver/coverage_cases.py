"""Who is covered by a protection: a table of cases, and an oracle that shares no code with the bus.

The oracle is written from the words of ``docs/delivery.md``: it keeps what was said last in plain
dictionaries and goes round until nothing is added any more. It is told of records as they are
published, and says of each row that a store may hold whether it may show where somebody is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.changes import body, living

SCHEMAS = Path(__file__).parents[3] / "schemas" / "streams"
GARBAGE = b"\x00garbage"
ADDRESS = body("resident")["address"]
Body = Mapping[str, Any] | bytes | None
"""A record's items; what cannot be read; an erasure."""

PERSONS: Mapping[str, tuple[str, ...]] = {
    "application.received": ("applicant_subject_id", "concerned/subject_id"),
    "child_childcare_support.certification": ("", "guardian_subject_id"),
    "electoral_roll.registration": ("",),
    "fixed_asset_tax.levy": (
        "taxpayer_subject_id",
        "tax_agent_subject_id",
        "co_owners/subject_id",
    ),
    "light_vehicle_tax.vehicle": ("owner_subject_id", "user_subject_id"),
    "nonresident": ("", "linked_to"),
    "resident": ("",),
    "school_enrollment.enrollment": ("", "guardian_subject_id"),
}
"""By stream that says where somebody is: where it names persons; "" is the record's own subject."""


def plain(number: str) -> str:
    """A number as the tests write it, however it was spelled."""
    return number.strip().zfill(15)


@dataclass
class Oracle:
    """What was said last, and whom that covers."""

    protections: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    parties: list[set[str]] = field(
        default_factory=list
    )  # who left a household, one with the other
    leavers: dict[str, set[str]] = field(
        default_factory=dict
    )  # by household: who left and is not back

    def hear(self, stream: str, subject: str, said: Body) -> None:
        """A record was published, an erasure, or something that nobody can read."""
        if stream == "protection":
            self._hear_protection(subject, said)
        elif stream == "household" and not isinstance(said, bytes):
            listed = (said or {}).get("members", ())
            before = self.members.get(plain(subject), set())
            now = {plain(each["subject_id"]) for each in listed}
            self.members[plain(subject)] = now
            earlier = self.leavers.setdefault(plain(subject), set())
            earlier -= now
            if said is not None and before - now:
                earlier |= before - now
                self.parties.append(set(earlier))
        elif stream == "nonresident" and not isinstance(said, bytes):
            self.links.pop(plain(subject), None)
            if said and said["linked_to"]:
                self.links[plain(subject)] = plain(said["linked_to"])

    def _hear_protection(self, subject: str, said: Body) -> None:
        if isinstance(said, bytes):
            persons, homes = self.protections.get(subject, (set(), set()))
            self.protections[subject] = persons | {plain(subject)}, homes
            return
        self.protections.pop(subject, None)
        if said and said.get("cases"):  # covered while any of them is open, by whom that names
            opened = {each["started_on"] for each in said["cases"] if each["status"] != "ENDED"}
            shared = [s["subject_id"] for s in said["sharers"] if s["started_on"] in opened]
            status = "ACTIVE" if opened else "ENDED"
            said = {**said, "status": status, "shared_with": shared}
        if said and said["status"] != "ENDED":
            homes = {plain(home) for home in [said["household_number"]] if home}
            persons = {plain(each) for each in (subject, *said["shared_with"])}
            self.protections[subject] = persons, homes

    def covered(self) -> tuple[set[str], set[str]]:
        """Persons and households."""
        persons: set[str] = set()
        homes: set[str] = set()
        for named, at in self.protections.values():
            persons |= named
            homes |= at
        while True:
            before = len(persons), len(homes)
            homes |= {home for home, members in self.members.items() if members & persons}
            for home in homes:
                persons |= self.members.get(home, set())
            for party in self.parties:
                if party & persons:
                    housed = set().union(*self.members.values())
                    persons |= party - housed
            for one, other in self.links.items():
                if one in persons or other in persons:
                    persons |= {one, other}
            if (len(persons), len(homes)) == before:
                return persons, homes

    def hides(self, stream: str, subject: str, items: Mapping[str, Any]) -> bool:
        """Whether a row of such a record may not show where somebody is."""
        persons, homes = self.covered()
        return bool(named(stream, subject, items) & persons) or (
            items.get("household_number") in homes
        )


def named(stream: str, subject: str, items: Mapping[str, Any]) -> set[str]:
    """Every person whose location a record may say."""
    found: set[str] = set()
    for path in PERSONS[stream]:
        head, _, rest = path.partition("/")
        values = [subject] if not path else items[head]
        for value in values if isinstance(values, list) else [values]:
            found.add(value[rest] if rest else value)
    return found - {None}


def example(stream: str) -> dict[str, Any]:
    """The items of a valid record, with every location filled in and nobody flagged."""
    file = min((SCHEMAS / stream / "examples" / "valid").glob("*.json"))
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    del record["header"]
    for name in (
        "address",
        "mailing_address",
        "owner_address",
        "kept_at",
        "previous_address",
        "applicant_address",
    ):
        if name in record or (stream, name) == ("resident", "previous_address"):
            record[name] = ADDRESS
    for name in ("school", "facility", "polling_district"):
        if name in record:
            record[name] = "霞が関"
    return {**record, "protected": False}


def records_about(who: str, other: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """For every place in which a record may name somebody, one that names *who* there and *other*
    everywhere else: stream, subject, items."""
    number = 0
    for stream, paths in PERSONS.items():
        for path in paths:
            number += 1
            items = example(stream)
            for each in paths:
                person = who if each == path else other
                head, _, rest = each.partition("/")
                if rest:
                    entry = items[head][0] if items.get(head) else _entry(stream)
                    items[head] = [{**entry, rest: other}, {**entry, rest: person}]
                elif each:
                    items[each] = person
            if stream == "nonresident":
                items |= {"linked_to": None if path == "" else who, "linked_source": path != ""}
            if stream == "resident":
                items["household_number"] = "000000000000999"  # nothing that leads anywhere
            own = who if path == "" else f"9{number:014d}"
            yield stream, own, items


def _entry(stream: str) -> dict[str, Any]:
    if stream == "fixed_asset_tax.levy":
        return {"name": None, "share": "1/2", "representative": False}
    return {}


WOMAN, MOTHER, BROTHER, NUMBER, OTHER = (f"00000000000010{n}" for n in range(5))
HOME, ELSEWHERE = "000000000000201", "000000000000202"
Said = tuple[str, str, Body]


def protection(**items: Any) -> Said:
    """The woman is under protection."""
    return "protection", WOMAN, body("protection", **items)


def household(number: str, *members: str) -> Said:
    """Who lives there now."""
    return "household", number, living(*members)


def linked(number: str, to: str | None) -> Said:
    """A non-resident's number, linked or not."""
    return "nonresident", number, {**example("nonresident"), "linked_to": to}


@dataclass(frozen=True)
class Case:
    """What was said, of whom it is asked, and whether that one is covered."""

    name: str
    said: Sequence[Said]
    who: str
    is_covered: bool


def mends(said: Sequence[Said]) -> list[Said]:
    """What was said of every household and non-resident that cannot be read now, before that."""
    last: dict[tuple[str, str], Body] = {}
    unread: set[tuple[str, str]] = set()
    for stream, subject, body_ in said:
        if isinstance(body_, bytes) and stream != "protection":
            unread.add((stream, subject))
        else:
            last[stream, subject] = body_
    return [(*tie, last[tie]) for tie in sorted(unread)]


CASES = (
    Case("herself", [protection()], WOMAN, True),
    Case("nobody else", [protection()], OTHER, False),
    Case("named", [protection(shared_with=[BROTHER])], BROTHER, True),
    Case("named no longer", [protection(shared_with=[BROTHER]), protection()], BROTHER, False),
    Case("in the household", [household(HOME, WOMAN, MOTHER), protection()], MOTHER, True),
    Case("a household said later", [protection(), household(HOME, WOMAN, MOTHER)], MOTHER, True),
    Case(
        "joins later",
        [household(HOME, WOMAN), protection(), household(HOME, WOMAN, MOTHER)],
        MOTHER,
        True,
    ),
    Case(
        "in the household that the protection names",
        [household(HOME, MOTHER), protection(household_number=HOME)],
        MOTHER,
        True,
    ),
    Case(
        "in the household of somebody who is named",
        [household(HOME, MOTHER, BROTHER), protection(shared_with=[BROTHER])],
        MOTHER,
        True,
    ),
    Case("in another household", [household(HOME, MOTHER, OTHER), protection()], MOTHER, False),
    Case(
        "has left",
        [household(HOME, WOMAN, MOTHER), protection(), household(HOME, WOMAN)],
        MOTHER,
        False,
    ),
    Case(
        "has left, and is named",
        [
            household(HOME, WOMAN, MOTHER),
            protection(shared_with=[MOTHER]),
            household(HOME, WOMAN),
        ],
        MOTHER,
        True,
    ),
    Case(
        "whom she left behind",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(ELSEWHERE, WOMAN),
            household(HOME, MOTHER),
        ],
        MOTHER,
        False,
    ),
    Case(
        "whom she moved in with",
        [household(HOME, MOTHER), protection(), household(HOME, MOTHER, WOMAN)],
        MOTHER,
        True,
    ),
    Case(
        "who left with her, and is in no household yet",
        [household(HOME, WOMAN, MOTHER), protection(), household(HOME)],
        MOTHER,
        True,
    ),
    Case(
        "who left with her, where she is in one already",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME),
            household(ELSEWHERE, WOMAN),
        ],
        MOTHER,
        True,
    ),
    Case(
        "who left with her before the protection",
        [household(HOME, WOMAN, MOTHER), household(HOME), protection()],
        MOTHER,
        True,
    ),
    Case(
        "who left with her, to live elsewhere",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME),
            household(ELSEWHERE, MOTHER),
        ],
        MOTHER,
        False,
    ),
    Case(
        "who moved with her",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME),
            household(ELSEWHERE, WOMAN),
            household(ELSEWHERE, WOMAN, MOTHER),
        ],
        MOTHER,
        True,
    ),
    Case(
        "who left with her, and the protection has ended",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME),
            protection(status="ENDED"),
        ],
        MOTHER,
        False,
    ),
    Case(
        "who left after her, and is in no household yet",
        [household(HOME, WOMAN, MOTHER), protection(), household(HOME, MOTHER), household(HOME)],
        MOTHER,
        True,
    ),
    Case(
        "who left before her, once she has left, too",
        [household(HOME, WOMAN, MOTHER), protection(), household(HOME, WOMAN), household(HOME)],
        MOTHER,
        True,
    ),
    Case(
        "who left after her, where she is in one already",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME, MOTHER),
            household(ELSEWHERE, WOMAN),
            household(HOME),
        ],
        MOTHER,
        True,
    ),
    Case(
        "who left one by one before the protection",
        [
            household(HOME, WOMAN, MOTHER),
            household(HOME, MOTHER),
            household(HOME),
            protection(),
        ],
        MOTHER,
        True,
    ),
    Case(
        "of three who left one by one",
        [
            household(HOME, WOMAN, BROTHER, MOTHER),
            protection(),
            household(HOME, BROTHER, MOTHER),
            household(HOME, MOTHER),
            household(HOME),
        ],
        MOTHER,
        True,
    ),
    Case(
        "who moved with her one by one",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME, MOTHER),
            household(HOME),
            household(ELSEWHERE, WOMAN),
            household(ELSEWHERE, WOMAN, MOTHER),
        ],
        MOTHER,
        True,
    ),
    Case(
        "who left after her, to live elsewhere",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME, MOTHER),
            household(HOME),
            household(ELSEWHERE, MOTHER),
        ],
        MOTHER,
        False,
    ),
    Case(
        "who left alone, after she had come back",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME, MOTHER),
            household(HOME, WOMAN, MOTHER),
            household(HOME, WOMAN),
        ],
        MOTHER,
        False,
    ),
    Case(
        "whom she left behind in a household that was erased",
        [
            household(HOME, WOMAN, MOTHER),
            protection(),
            household(HOME, MOTHER),
            ("household", HOME, None),
        ],
        MOTHER,
        False,
    ),
    Case("linked to her", [linked(NUMBER, WOMAN), protection()], NUMBER, True),
    Case("linked to her later", [protection(), linked(NUMBER, WOMAN)], NUMBER, True),
    Case("whom she is linked to", [linked(WOMAN, MOTHER), protection()], MOTHER, True),
    Case(
        "in the household of whom she is linked to",
        [linked(WOMAN, BROTHER), household(HOME, BROTHER, MOTHER), protection()],
        MOTHER,
        True,
    ),
    Case(
        "linked to somebody in the household",
        [household(HOME, WOMAN, MOTHER), protection(), linked(NUMBER, MOTHER)],
        NUMBER,
        True,
    ),
    Case("linked to another", [linked(NUMBER, OTHER), protection()], NUMBER, False),
    Case(
        "linked no longer",
        [linked(NUMBER, WOMAN), protection(), linked(NUMBER, None)],
        NUMBER,
        False,
    ),
    Case(
        "an erased non-resident",
        [linked(NUMBER, WOMAN), protection(), ("nonresident", NUMBER, None)],
        NUMBER,
        False,
    ),
    Case(
        "of an erased household",
        [household(HOME, WOMAN, MOTHER), protection(), ("household", HOME, None)],
        MOTHER,
        False,
    ),
    Case(
        "of a household that cannot be read any more",
        [household(HOME, WOMAN, MOTHER), protection(), ("household", HOME, GARBAGE)],
        MOTHER,
        True,
    ),
    Case(
        "of a link that cannot be read any more",
        [linked(NUMBER, WOMAN), protection(), ("nonresident", NUMBER, GARBAGE)],
        NUMBER,
        True,
    ),
    Case(
        "of a protection that cannot be read",
        [household(HOME, WOMAN, MOTHER), ("protection", WOMAN, GARBAGE)],
        MOTHER,
        True,
    ),
    Case(
        "of a protection that has ended",
        [household(HOME, WOMAN, MOTHER), protection(), protection(status="ENDED")],
        MOTHER,
        False,
    ),
    Case(
        "of a protection that was erased",
        [household(HOME, WOMAN, MOTHER), protection(), ("protection", WOMAN, None)],
        MOTHER,
        False,
    ),
    Case(
        "of two protections of which one has ended",
        [
            household(HOME, WOMAN, MOTHER, BROTHER),
            ("protection", BROTHER, body("protection")),
            protection(),
            protection(status="ENDED"),
        ],
        MOTHER,
        True,
    ),
)
