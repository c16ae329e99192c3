"""Read a list of ended protections, judge all of it, and make a change of each entry.

Pure. A list is CSV or JSON lines; each entry names a case (申出): municipality, number, the day it
began, and the day on which its end was decided. An entry is judged by its cases as the publisher
will judge them, each behind those before it; what else a publisher would refuse is told by one
(:mod:`bus.operate.protections`). So what is shown first is what happens.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from bus.model import ENDED, Case, Change, ChangeRecord, Fault, Nature, NumberForm, PartialDate
from bus.model.change import calendar_date
from bus.policy.cases import SUPPRESSED, CaseRecord, PersonCases, after
from bus.publish.cases import Refused, judge
from bus.publish.digits import is_municipality

COLUMNS = ("municipality_code", "subject_id", "started_on", "decided_on")
"""The columns of a CSV, and the keys of each JSON line."""
_EARLY = Refused("date-order", "a day not before started_on", "decided_on", "支援措置終了決定日")


@dataclass(frozen=True, slots=True)
class CaseEnd:
    """One entry of a list: a case, and the day on which its end was decided."""

    line: int
    key: str
    began: date
    decided: date


@dataclass(frozen=True, slots=True)
class CaseEndChecked:
    """The verdict on an entry: refused, or the person's cases after it."""

    end: CaseEnd
    refused: tuple[Refused, ...]
    after: PersonCases

    @property
    def stays(self) -> bool:
        """Whether another case of the person stays open."""
        return not self.refused and bool(self.after.open)


def read_ends(data: bytes, form: NumberForm, *, is_csv: bool) -> tuple[list[CaseEnd], list[Fault]]:
    """The entries of a list, and every fault with its line; no value is shown.

    Args:
        data: UTF-8.
        form: How the site writes its numbers; another spelling is taken for it.
        is_csv: Whether it is a CSV with a heading; else each line is a JSON object.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return [], [Fault(code="encoding", expected="UTF-8")]
    ends: list[CaseEnd] = []
    faults: list[Fault] = []
    for line, entry in _from_csv(text) if is_csv else _from_lines(text):
        if entry is None or set(entry) != set(COLUMNS):
            expected = "the columns " + ", ".join(COLUMNS) if is_csv else "an object with "
            expected += "" if is_csv else ", ".join(COLUMNS)
            faults.append(Fault(code="entry", expected=expected, line=line))
            continue
        found = _end(line, entry, form)
        (ends if isinstance(found, CaseEnd) else faults).append(found)  # type: ignore[arg-type]
    return ends, faults


def judged(
    ends: Sequence[CaseEnd],
    standing: Callable[[str], PersonCases],
    refused_at: Mapping[int, Sequence[Refused]] = MappingProxyType({}),
) -> list[CaseEndChecked]:
    """What is to become of each entry, behind those before it.

    Args:
        ends: The list.
        standing: How the subject with a key stands, as far as the log says.
        refused_at: What a publisher says beyond that, by the entry's place in the list.
    """
    now: dict[str, PersonCases] = {}
    found = []
    for place, end in enumerate(ends):
        before = now.get(end.key) or standing(end.key)
        said = _said(before, end)
        refused = list(judge(before, said, opens=False))
        if end.decided < end.began:
            refused.append(_EARLY)
        refused += refused_at.get(place, ())
        behind = before if refused else after(before, said)
        now[end.key] = behind
        found.append(CaseEndChecked(end, tuple(refused), behind))
    return found


def change_of(
    one: CaseEndChecked,
    *,
    version: int,
    snapshot: ChangeRecord | None,
    source: str,
    change_id: str,
    at: datetime,
) -> Change:
    """The change that ends a case, with the person's snapshot."""
    municipality, _, number = one.end.key.partition("/")
    body = body_of(one.after, one.end.began, one.end.decided)
    protection = ChangeRecord(
        stream="protection",
        event_type="protection.ended",
        nature=Nature.CHANGE if one.stays else Nature.CESSATION,
        subject_id=number,
        version=version,
        effective_date=PartialDate(date=one.end.decided),
        body=body,
    )
    return Change(
        change_id=change_id,
        municipality_code=municipality,
        source=source,
        processed_at=at,
        records=(protection,) if snapshot is None else (protection, snapshot),
    )


def body_of(standing: PersonCases, named: date, decided: date | None) -> dict[str, Any]:
    """The body of a protection record about the case *named*, with all cases of the person."""
    about, opened = standing.cases[named], standing.open
    states = {case.status for case in opened}
    listed = [case for day, case in sorted(standing.cases.items()) if case.is_open or day == named]
    together = frozenset().union(*(case.suppresses for case in opened))
    return {
        "status": "ACTIVE" if "ACTIVE" in states else "PROVISIONAL" if states else ENDED,
        "kind": about.kind,
        "started_on": str(named),
        "ends_on": None if about.ends_on is None else str(about.ends_on),
        "suppresses": [word for word in SUPPRESSED.values() if word in together],
        "from_other_municipality": about.from_other_municipality,
        "household_number": standing.household,
        "shared_with": sorted(frozenset().union(*(case.shared_with for case in opened))),
        "decided_on": None if decided is None else str(decided),
        "cases": [_case_body(case) for case in listed],
        "sharers": [
            {"started_on": str(case.started_on), "subject_id": number}
            for case in listed
            for number in sorted(case.shared_with)
        ],
    }


def _case_body(case: Case) -> dict[str, Any]:
    return {
        "started_on": str(case.started_on),
        "status": case.status,
        "kind": case.kind,
        "ends_on": None if case.ends_on is None else str(case.ends_on),
        **{flag: word in case.suppresses for flag, word in SUPPRESSED.items()},
        "from_other_municipality": case.from_other_municipality,
    }


def _said(before: PersonCases, end: CaseEnd) -> CaseRecord:
    """The record that ends one case and leaves all others as they are."""
    named = before.cases.get(end.began) or Case(started_on=end.began, status=ENDED)
    opened = [case for case in before.open if case.started_on != end.began]
    ended = replace(named, status=ENDED, shared_with=frozenset())
    return CaseRecord(
        key=end.key,
        event_type="protection.ended",
        named=end.began,
        status=opened[0].status if opened else ENDED,
        cases={**{case.started_on: case for case in opened}, end.began: ended},
        is_whole=True,
        household=before.household,
        shared_with=frozenset().union(*(case.shared_with for case in opened)),
        decided_on=end.decided,
    )


def _end(line: int, entry: Mapping[str, Any], form: NumberForm) -> CaseEnd | Fault:
    texts = {name: entry[name] for name in COLUMNS}
    if not all(isinstance(text, str) for text in texts.values()):
        return Fault(code="type", expected="texts", line=line)
    if not is_municipality(texts["municipality_code"]):
        expected = "a 全国地方公共団体コード"
        return Fault(code="check-digit", expected=expected, line=line, field="municipality_code")
    number = form.of(texts["subject_id"])
    if not (number.isascii() and number.isdecimal()):
        return Fault(code="number-form", expected=form.expected, line=line, field="subject_id")
    began, decided = (calendar_date(texts[name]) for name in ("started_on", "decided_on"))
    if began is None or decided is None:
        name = "started_on" if began is None else "decided_on"
        return Fault(code="date", expected="a day, YYYY-MM-DD", line=line, field=name)
    return CaseEnd(line, f"{texts['municipality_code']}/{number}", began, decided)


def _from_csv(text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    heading: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield rows.line_num, None
            return
        if heading is None:
            heading = row
            if sorted(row) != sorted(COLUMNS):
                yield rows.line_num, None
                return
        elif row:
            yield rows.line_num, dict(zip(heading, row, strict=False)) if len(row) == 4 else None


def _from_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        yield number, found if isinstance(found, dict) else None
