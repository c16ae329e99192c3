"""What a record of the stream *protection* says: a person's cases, and whom they cover.

Pure, and the one place that knows how such a record is read: whoever covers, checks or shows
takes it from here. A **case** (申出) is a person and the day that it began; several may be open at
once, and the person is covered while any is.

A record of the third version has all cases that are open, so the newest record alone is enough.
One of before, or one that leaves ``cases`` empty, speaks of the one case that its ``started_on``
names. After records of its own kind a start or an extension is the person's whole state, as it
was meant; after one that had cases it changes its own case and leaves the others. **An end never
ends another case than the one it names.**
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.model import ENDED, HOUSEHOLD, Case, NumberForm, Protected, event_key

SUPPRESSED = {
    "current_address": "CURRENT_ADDRESS",
    "previous_address": "PREVIOUS_ADDRESS",
    "registered_domicile": "REGISTERED_DOMICILE",
}
"""The flags of a case, and what the whole record calls each."""

_ENDING = "protection.ended"
_HEADER = ("municipality_code", "subject_id", "event_type")
_BODY = (
    "status", "kind", "started_on", "ends_on", "suppresses", "from_other_municipality", HOUSEHOLD,
    "shared_with", "decided_on", "cases", "sharers",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """What one record says of its subject: a case, all known cases, and whom they cover."""

    key: str
    event_type: str
    named: date  # the case that the event is about
    status: str  # of the person
    cases: Mapping[date, Case]  # by the day each began
    is_whole: bool  # whether they are all that there are
    household: str | None = None
    shared_with: frozenset[str] = frozenset()  # of all cases together
    decided_on: date | None = None

    @property
    def ends(self) -> bool:
        """Whether the event ends its case."""
        return self.event_type == _ENDING


@dataclass(frozen=True, slots=True)
class PersonCases:
    """A person's cases as far as the log says, and whom the newest record names besides."""

    cases: Mapping[date, Case] = field(default_factory=dict)
    is_by_cases: bool = False  # whether a record that had cases is among what was read
    household: str | None = None
    extra: frozenset[str] = frozenset()  # whom the newest record names beside its open cases
    past: frozenset[date] = frozenset()  # on which cases began that ended and are listed no more

    @property
    def open(self) -> list[Case]:
        """The open cases, by the day on which each began."""
        return [case for _, case in sorted(self.cases.items()) if case.is_open]

    def has_another(self, than: date) -> bool:
        """Whether the person has or had another case than the one that began on that day."""
        return any(day != than for day in (*self.cases, *self.past))


NOTHING = PersonCases()


def said(records: pa.RecordBatch) -> Iterator[CaseRecord]:
    """What each record says. A record with a day that no calendar has covers everybody it names.

    Args:
        records: Columns of the newest schema.
    """
    header = records.column("header")
    columns = [pc.struct_field(header, name) for name in _HEADER]
    columns += [records.column(name) for name in _BODY]
    narrow = pa.RecordBatch.from_arrays(columns, names=[*_HEADER, *_BODY])
    try:
        rows = narrow.to_pylist()
    except (ValueError, OverflowError):  # a day beyond what Python has dates for
        for at in range(narrow.num_rows):
            yield _said_singly(narrow.slice(at, 1))
        return
    for row in rows:
        yield _said_of(row)


def said_of(row: Mapping[str, Any]) -> CaseRecord:
    """As :func:`said`, of one record in Python values of the newest schema."""
    return _said_of({**row, **{name: row["header"][name] for name in _HEADER}})


def _said_singly(record: pa.RecordBatch) -> CaseRecord:
    try:
        return _said_of(record.to_pylist()[0])
    except (ValueError, OverflowError):
        names = [*_HEADER, "shared_with", HOUSEHOLD]
        (row,) = record.select(names).to_pylist()
        days = dict.fromkeys(("started_on", "ends_on", "decided_on"), date.min)
        doubtful = {"status": "ACTIVE", "kind": None, "from_other_municipality": False}
        lists: dict[str, list[Any]] = {"suppresses": [], "cases": [], "sharers": []}
        return _said_of({**row, **days, **doubtful, **lists, "event_type": "protection.started"})


def _said_of(row: Mapping[str, Any]) -> CaseRecord:
    """As :func:`said_of`, of a row that has the needed fields of the header beside the body."""
    shared = frozenset(row["shared_with"] or ())
    cases = _listed(row) or {
        row["started_on"]: Case(
            started_on=row["started_on"],
            status=row["status"],
            kind=row["kind"],
            ends_on=row["ends_on"],
            suppresses=frozenset(row["suppresses"] or ()),
            from_other_municipality=bool(row["from_other_municipality"]),
            shared_with=shared,
        )
    }
    return CaseRecord(
        key=event_key(row["municipality_code"], row["subject_id"]),
        event_type=row["event_type"],
        named=row["started_on"],
        status=row["status"],
        cases=cases,
        is_whole=bool(row["cases"]),
        household=row[HOUSEHOLD],
        shared_with=shared,
        decided_on=row["decided_on"],
    )


def _listed(row: Mapping[str, Any]) -> dict[date, Case]:
    """The cases that the record lists; of two for the same day, the one that is open."""
    sharers: dict[date, set[str]] = {}
    for each in row["sharers"] or ():
        sharers.setdefault(each["started_on"], set()).add(each["subject_id"])
    found: dict[date, Case] = {}
    for each in row["cases"] or ():
        case = Case(
            started_on=each["started_on"],
            status=each["status"],
            kind=each["kind"],
            ends_on=each["ends_on"],
            suppresses=frozenset(word for flag, word in SUPPRESSED.items() if each[flag]),
            from_other_municipality=bool(each["from_other_municipality"]),
            shared_with=frozenset(sharers.get(each["started_on"], ())),
        )
        before = found.get(case.started_on)
        if before is None or not before.is_open:
            found[case.started_on] = case
    return found


def after(before: PersonCases, now: CaseRecord) -> PersonCases:
    """A person's cases once the record *now* follows *before* in the log."""
    if now.is_whole:
        return PersonCases(now.cases, True, now.household, _beside(now), _past(before, now))
    if now.ends or now.status == ENDED or before.is_by_cases:
        cases = {**before.cases, **now.cases}
        household = now.household or before.household
        past = before.past.difference(cases)
        return PersonCases(cases, before.is_by_cases, household, before.extra, past)
    return PersonCases(now.cases, False, now.household, past=_past(before, now))


class CaseIndex:
    """The cases of everybody who is or was under protection. Not safe for several threads."""

    def __init__(self) -> None:
        self._standings: dict[str, PersonCases] = {}

    def of(self, key: str) -> PersonCases:
        """The cases of the subject with that key."""
        return self._standings.get(key, NOTHING)

    def take(self, record: CaseRecord) -> PersonCases:
        """Take in *record*, the next of the log; the subject's cases after it."""
        found = self._standings[record.key] = after(self.of(record.key), record)
        return found

    def forget(self, key: str) -> None:
        """Take in that the subject with that key was erased."""
        self._standings.pop(key, None)

    def __iter__(self) -> Iterator[tuple[str, PersonCases]]:
        yield from self._standings.items()


def _past(before: PersonCases, now: CaseRecord) -> frozenset[date]:
    """What had ended and is not in *now*, which replaces all cases; an open one was moved."""
    ended = (day for day, case in before.cases.items() if not case.is_open)
    return before.past.union(ended).difference(now.cases)


def _beside(now: CaseRecord) -> frozenset[str]:
    """Whom a record names that none of its open cases names; publishing would have refused it."""
    if now.status == ENDED:
        return frozenset()
    subject = now.key.partition("/")[2]
    opened = [case.shared_with for case in now.cases.values() if case.is_open]
    return now.shared_with.difference(*opened) if opened else now.shared_with.union([subject])


def covered(key: str, standing: PersonCases, form: NumberForm) -> Protected:
    """The keys of everybody whom the open cases of the subject *key* cover.

    A number stands in it as the record has it and, where that is another, in the site's *form*:
    stores find by equality, and may hold either.
    """
    opened = standing.open
    if not opened and not standing.extra:
        return Protected()
    municipality, _, subject = key.partition("/")
    named = frozenset().union(*(case.shared_with for case in opened))
    households = [standing.household] if standing.household else []
    return Protected(
        _keys(municipality, [subject, *named, *standing.extra], form),
        _keys(municipality, households, form),
    )


def _keys(municipality: str, numbers: Collection[str], form: NumberForm) -> frozenset[str]:
    written = {spelled for number in numbers for spelled in (number, form.of(number))}
    return frozenset(event_key(municipality, number) for number in written)
