"""The subjects of records: persons, households, protections, each with its newest entry.

A subject's ``body`` is its whole state as the stream has it, with dates as dates; the entry is
what the header says of how it came to that state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from bus.model import Nature
from bus.sample.municipality.names import Name
from bus.sample.municipality.places import Address

Body = dict[str, Any]
Day = dict[str, Any]
"""A date that may be unknown, ready for a body."""

RESIDENT, MOVED_OUT, DECEASED = "1", "2", "3"
HEAD = "02"


def known(day: date) -> Day:
    """A date that is known."""
    return {"date": day, "unknown": False, "text": None}


def unknown(text: str) -> Day:
    """A date of which only *text* is known (不詳日)."""
    return {"date": None, "unknown": True, "text": text}


def impossible(text: str) -> Day:
    """A date that the register holds and no calendar does."""
    return {"date": None, "unknown": False, "text": text}


@dataclass(frozen=True, slots=True)
class Entry:
    """The event that made a subject as it is: what the header says besides subject and version."""

    event_type: str
    nature: Nature
    reason: str | None
    effective: Day
    notified_on: date | None
    processed_at: datetime
    change_id: str
    event_id: str
    size: int = 1
    index: int = 0
    cancels: str | None = None


@dataclass(slots=True, kw_only=True)
class Subject:
    """What persons, households, protections and other systems' records have in common."""

    number: str
    version: int = 1
    entry: Entry = field(repr=False)

    stream = ""
    source = "resident_registry"

    @property
    def households(self) -> set[str]:
        """The numbers of the households that a change of this subject touches."""
        return set()

    def body(self) -> Body:
        """The whole record, as the stream has it."""
        raise NotImplementedError


@dataclass(slots=True, kw_only=True)
class Person(Subject):
    """A resident, or somebody who was one."""

    household: Household | None
    name: Name
    sex: str
    birth: Day
    is_foreign: bool
    state: str
    relationship: str | None
    address: Address | None
    previous_address: Address | None
    forwarding_address: Address | None
    became_resident_on: Day | None
    address_set_on: Day | None
    nationality: str | None
    residence_status: str | None
    residence_expires_on: date | None
    is_protected: bool
    last_household: str
    former_family_name: str | None = None
    former_family_name_kana: str | None = None
    before: Body | None = None  # the state that the newest entry replaced

    stream = "resident"

    @property
    def households(self) -> set[str]:
        """The household where the person lives or last lived."""
        return {self.last_household}

    def body(self) -> Body:
        """The whole record, as the stream ``resident`` has it."""
        return {
            "household_number": self.last_household,
            "name": self.name,
            "sex": self.sex,
            "birth_date": self.birth,
            "resident_kind": "2" if self.is_foreign else "1",
            "resident_state": self.state,
            "relationship": self.relationship,
            "address": self.address,
            "previous_address": self.previous_address,
            "forwarding_address": self.forwarding_address,
            "became_resident_on": self.became_resident_on,
            "address_set_on": self.address_set_on,
            "nationality": self.nationality,
            "residence_status": self.residence_status,
            "residence_expires_on": self.residence_expires_on,
            "protected": self.is_protected,
            "bulk": False,
            "former_family_name": self.former_family_name,
            "former_family_name_kana": self.former_family_name_kana,
        }


@dataclass(slots=True, kw_only=True)
class Household(Subject):
    """Persons who live together; with or without a head."""

    members: list[Person] = field(default_factory=list, repr=False)

    stream = "household"

    @property
    def households(self) -> set[str]:
        """The household itself."""
        return {self.number}

    @property
    def head(self) -> Person | None:
        """世帯主, if the household has one."""
        return next((member for member in self.members if member.relationship == HEAD), None)

    @property
    def is_protected(self) -> bool:
        """Whether anybody in it is under protection."""
        return any(member.is_protected for member in self.members)

    def body(self) -> Body:
        """The whole record, as the stream ``household`` has it."""
        head = self.head
        return {
            "head_subject_id": head.number if head else None,
            "members": [
                {"subject_id": member.number, "relationship": member.relationship}
                for member in self.members
            ],
            "member_count": len(self.members),
        }


@dataclass(slots=True, kw_only=True)
class Protection(Subject):
    """支援措置 for one person; its number is the person's."""

    status: str
    kind: str
    started_on: date
    ends_on: date | None
    suppresses: tuple[str, ...]
    is_from_elsewhere: bool = False
    household_number: str | None = None
    shared_with: tuple[str, ...] = ()
    decided_on: date | None = None

    stream = "protection"

    def body(self) -> Body:
        """The whole record, as the stream ``protection`` has it: of one case."""
        is_open = self.status != "ENDED"
        case = {
            "started_on": self.started_on,
            "status": self.status,
            "kind": self.kind,
            "ends_on": self.ends_on,
            "current_address": "CURRENT_ADDRESS" in self.suppresses,
            "previous_address": "PREVIOUS_ADDRESS" in self.suppresses,
            "registered_domicile": "REGISTERED_DOMICILE" in self.suppresses,
            "from_other_municipality": self.is_from_elsewhere,
        }
        return {
            "status": self.status,
            "kind": self.kind,
            "started_on": self.started_on,
            "ends_on": self.ends_on,
            "suppresses": list(self.suppresses) if is_open else [],
            "from_other_municipality": self.is_from_elsewhere,
            "household_number": self.household_number,
            "shared_with": list(self.shared_with) if is_open else [],
            "decided_on": self.decided_on,
            "cases": [case],
            "sharers": [
                {"started_on": self.started_on, "subject_id": number} for number in self.shared_with
            ],
        }
