"""The municipality's register: everybody in it, their first load, and the books of every change.

What happens to it is in :mod:`bus.sample.municipality.events`. Versions and event ids of every
subject are kept here, so that a change is the next in line for whoever loaded the register.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from random import Random
from typing import Any

import pyarrow as pa

from bus.catalog.columns import arrow_schema
from bus.errors import SchemaUnknown
from bus.model import Change, ChangeRecord, Nature, Stream
from bus.publish.identity import event_id_of
from bus.sample.municipality.making import JAPAN, Maker, families_for
from bus.sample.municipality.offices import MAKERS, Hall, Residents
from bus.sample.municipality.places import Places
from bus.sample.municipality.subjects import (
    RESIDENT,
    Day,
    Entry,
    Household,
    Person,
    Protection,
    Subject,
)

STREAMS = ("protection", "resident", "household")
"""In the order in which a first load hands them over: who is protected comes first."""
ALL_STREAMS = (*STREAMS, *MAKERS)
"""The register's, and those of all other systems."""
LOADED_AT = datetime(2026, 4, 1, 9, tzinfo=JAPAN)
_LATELY = 8  # changes whose households are left in peace
_TRIES = 200
_FORMER = 50  # one person who has left for so many residents
_FROM_ELSEWHERE = 5_000  # one protection by another municipality's notice for so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One record of a change: its subject, and what happened."""

    subject: Subject
    event_type: str
    effective: Day
    nature: Nature = Nature.CHANGE
    cancels: str | None = None


class Municipality:
    """A municipality's residents, households, protections, and other systems' records of them.

    Args:
        seed: The same seed, population and code give the same municipality.
        population: Residents. Some persons who have left come on top.
        code: The 6-digit code of a real municipality: its towns are used.
        at: When the first load is handed over; everything in it happened before.
    """

    def __init__(
        self, seed: int, population: int, code: str = "131041", at: datetime = LOADED_AT
    ) -> None:
        self.code = code
        self.random = Random(f"{seed}/{population}/{code}")
        self.places = Places(code)
        self.make = Maker(self.random, self.places, at)
        self.households: list[Household] = []
        self.persons: list[Person] = []
        self.protections: dict[str, Protection] = {}
        self._lately: deque[set[str]] = deque(maxlen=_LATELY)
        self._settle(population)
        self.hall = Hall(
            f"{seed}/{population}/{code}", code, at, self.places,
            Residents(self.persons, self.households, self.protections), MAKERS,
        )  # fmt: skip

    def subjects(self, stream: str) -> Sequence[Subject]:
        """Everybody and everything that *stream* is about, in the order of a first load.

        Raises:
            SchemaUnknown: No system here has such a stream.
        """
        held: dict[str, Callable[[], Sequence[Subject]]] = {
            "protection": lambda: list(self.protections.values()),
            "resident": lambda: self.persons,
            "household": lambda: self.households,
        }
        if stream in held:
            return held[stream]()
        if stream not in MAKERS:
            raise SchemaUnknown("no system of the municipality has this stream", stream=stream)
        return self.hall.holdings(stream)

    def changes(self, streams: Sequence[str] = STREAMS) -> Iterator[Change]:
        """The first load: each subject's newest entry as a change of its own.

        To be taken before anything else happens: of an entry that is part of a larger change
        there is no change of its own.
        """
        for stream in streams:
            for subject in self.subjects(stream):
                if subject.entry.size != 1:
                    raise ValueError("the first load comes before any other change")
                yield self._change([subject])

    def columns(self, stream: Stream, rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        """The same as columns: each subject's newest entry, in the stream's own Arrow schema.

        Raises:
            SchemaUnknown: No system here has such a stream.
        """
        record = pa.struct(list(arrow_schema(stream.latest)))
        subjects = iter(self.subjects(stream.name))
        while batch := list(islice(subjects, rows)):
            columns: Any = pa.array([self._row(each) for each in batch], record)
            yield pa.RecordBatch.from_struct_array(columns)

    def enter(
        self, at: datetime, reason: str | None, notified_on: date | None, parts: Sequence[Part]
    ) -> Change:
        """Enter a change into the books, and return it.

        Every subject is already as it is after the change; its version and entry are set here.
        """
        change_id = self.make.change_id(at)
        for index, part in enumerate(parts):
            part.subject.version += 1
            part.subject.entry = Entry(
                part.event_type,
                part.nature,
                reason,
                part.effective,
                notified_on,
                at,
                change_id,
                event_id_of(change_id, index),
                len(parts),
                index,
                part.cancels,
            )
        if touched := set().union(*(part.subject.households for part in parts)):
            self._lately.append(touched)
        return self._change([part.subject for part in parts])

    def residents(self) -> list[Person]:
        """Everybody who lives here now."""
        return [person for person in self.persons if person.state == RESIDENT]

    def some_household(self, fits: Callable[[Household], bool]) -> Household:
        """A random household that *fits*; one that changed lately only if no other does.

        Raises:
            LookupError: There is none.
        """
        lately = set().union(*self._lately)
        for _ in range(_TRIES):
            household = self.random.choice(self.households)
            if household.number not in lately and fits(household):
                return household
        fitting = [household for household in self.households if fits(household)]
        if not fitting:
            raise LookupError("no household of this municipality fits")
        return next((each for each in fitting if each.number not in lately), fitting[0])

    # -- inside ------------------------------------------------------------------------------

    def _settle(self, population: int) -> None:
        for family in families_for(population, self.random):
            household = self.make.household(family)
            self.households.append(household)
            self.persons += household.members
            if family.is_protected:
                for protection in self.make.protections(household):
                    self.protections[protection.number] = protection
        self.persons += [self.make.former() for _ in range(population // _FORMER)]
        for _ in range(population // _FROM_ELSEWHERE):
            number, day = self.make.person_number(), self.make.at.date()
            self.protections[number] = self.make.protection_of(
                number, day, self.make.at, is_from_elsewhere=True
            )

    def _change(self, subjects: Sequence[Subject]) -> Change:
        entry = subjects[0].entry
        return Change(
            change_id=entry.change_id,
            change_size=len(subjects),
            municipality_code=self.code,
            source=subjects[0].source,
            reason=entry.reason,
            notified_on=entry.notified_on,
            processed_at=entry.processed_at,
            records=tuple(self._record(subject) for subject in subjects),
        )

    def _record(self, subject: Subject) -> ChangeRecord:
        entry = subject.entry
        return ChangeRecord.model_validate(
            {
                "stream": subject.stream,
                "event_type": entry.event_type,
                "nature": entry.nature,
                "subject_id": subject.number,
                "version": subject.version,
                "effective_date": entry.effective,
                "cancels": entry.cancels,
                "body": _as_json(subject.body()),
            }
        )

    def _row(self, subject: Subject) -> dict[str, Any]:
        entry = subject.entry
        header = {
            "event_id": entry.event_id,
            "event_type": entry.event_type,
            "nature": entry.nature,
            "change_id": entry.change_id,
            "change_size": entry.size,
            "change_index": entry.index,
            "municipality_code": self.code,
            "subject_id": subject.number,
            "version": subject.version,
            "reason": entry.reason,
            "effective_date": entry.effective,
            "notified_on": entry.notified_on,
            "processed_at": entry.processed_at,
            "source": subject.source,
            "cancels": entry.cancels,
        }
        return {"header": header, **subject.body()}


def _as_json(value: Any) -> Any:
    """*value* with dates and times as text."""
    if isinstance(value, dict):
        return {name: _as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_json(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date, too
