"""A list of ends is judged as a whole before anything is sent, and tells no value."""

from __future__ import annotations

import json
from datetime import date

import pytest

from bus.model import Case, NumberForm
from bus.policy.cases import NOTHING, PersonCases
from bus.publish.case_ends import COLUMNS, body_of, judged, read_ends

FORM = NumberForm()
KEY = "131016/000000012345674"
SPRING, SUMMER = date(2025, 5, 1), date(2025, 6, 10)
HEADING = ",".join(COLUMNS)


def standing(*days: date, **items: object) -> PersonCases:
    """Open cases that began on these days."""
    cases = {day: Case(started_on=day, status="ACTIVE", **items) for day in days}  # type: ignore[arg-type]
    return PersonCases(cases, True)


@pytest.mark.parametrize("order", [COLUMNS, COLUMNS[::-1]])
def test_a_csv(order: tuple[str, ...]) -> None:
    """In any order of columns, a spelling of the number taken for the site's form."""
    row = dict(zip(COLUMNS, ("131016", "12345674", "2025-05-01", "2025-06-01"), strict=True))
    text = "\ufeff" + ",".join(order) + "\r\n" + ",".join(row[name] for name in order) + "\r\n"

    ends, faults = read_ends(text.encode(), FORM, is_csv=True)

    assert faults == []
    assert [(e.line, e.key, e.began, e.decided) for e in ends] == [
        (2, KEY, SPRING, date(2025, 6, 1))
    ]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a,b\n1,2\n", "entry", 1),
        (f"{HEADING}\n131016,12345674,2025-05-01\n", "entry", 2),
        (f'{HEADING}\n131016,"12345674,2025-05-01\n', "entry", 2),
        (f"{HEADING}\n20261129,12345674,2025-05-01,2025-06-01\n", "check-digit", 2),
        (f"{HEADING}\n131016,9999-99-9x,2025-05-01,2025-06-01\n", "number-form", 2),
        (f"{HEADING}\n131016,12345674,2025-5-1,2025-06-01\n", "date", 2),
        (f"{HEADING}\n131016,12345674,2025-05-01,2025-02-30\n", "date", 2),
    ],
)
def test_what_is_no_entry(text: str, code: str, line: int) -> None:
    """By line and item; the value is not told."""
    ends, faults = read_ends(text.encode(), FORM, is_csv=True)

    assert ends == []
    assert [(fault.code, fault.line) for fault in faults] == [(code, line)]
    assert "9999" not in str(faults[0])


def test_lines() -> None:
    """JSON objects with the same names; others are refused, one by one."""
    good = dict(zip(COLUMNS, ("131016", "12345674", "2025-05-01", "2025-06-01"), strict=True))
    odd = ["[]", "{", json.dumps(good | {"more": 1}), json.dumps(good | {"started_on": 1})]
    text = "\n".join([json.dumps(good), "", *odd])

    ends, faults = read_ends(text.encode(), FORM, is_csv=False)

    assert [end.key for end in ends] == [KEY]
    assert [(fault.line, fault.code) for fault in faults] == [
        (3, "entry"), (4, "entry"), (5, "entry"), (6, "type"),
    ]  # fmt: skip
    assert read_ends(b"\xff", FORM, is_csv=False)[1][0].code == "encoding"


def entries(*rows: tuple[date, str]) -> list:
    """Entries of one person."""
    lines = [f"131016,12345674,{day},{decided}" for day, decided in rows]
    ends, faults = read_ends("\n".join([HEADING, *lines]).encode(), FORM, is_csv=True)
    assert faults == []
    return ends


def test_each_is_judged_behind_those_before_it() -> None:
    """Both cases of one person may end, each once; how the person stands at the end is said."""
    found = judged(
        entries((SPRING, "2025-12-01"), (SPRING, "2025-12-01"), (SUMMER, "2025-12-01")),
        lambda _: standing(SPRING, SUMMER),
    )

    assert [[why.code for why in one.refused] for one in found] == [[], ["case-ended"], []]
    assert [one.stays for one in found] == [True, False, False]


@pytest.mark.parametrize(
    ("before", "day", "decided", "codes"),
    [
        (NOTHING, SPRING, "2025-12-01", ["case-unknown"]),
        (standing(SPRING), SUMMER, "2025-12-01", ["case-unknown"]),
        (standing(SPRING, SUMMER), SUMMER, "2025-06-10", ["case-decided"]),
        (standing(SPRING, SUMMER), SUMMER, "2025-06-01", ["case-decided", "date-order"]),
        (standing(SUMMER), SUMMER, "2025-06-01", ["date-order"]),
        (standing(SUMMER), SUMMER, "2025-06-10", []),
    ],
)
def test_a_list_that_is_older(
    before: PersonCases, day: date, decided: str, codes: list[str]
) -> None:
    """Than the case that it would end means another."""
    (one,) = judged(entries((day, decided)), lambda _: before)

    assert [why.code for why in one.refused] == codes
    assert one.after == before or not codes


def test_the_record_behind_it() -> None:
    """All that are open and the one that ended, with what the open ones say together."""
    cases = standing(SPRING, SUMMER, suppresses=frozenset({"CURRENT_ADDRESS"}))
    (one,) = judged(entries((SPRING, "2025-12-01")), lambda _: cases)

    body = body_of(one.after, SPRING, one.end.decided)

    assert (body["status"], body["suppresses"]) == ("ACTIVE", ["CURRENT_ADDRESS"])
    assert [(c["started_on"], c["status"]) for c in body["cases"]] == [
        ("2025-05-01", "ENDED"), ("2025-06-10", "ACTIVE"),
    ]  # fmt: skip
    assert (body["started_on"], body["decided_on"]) == ("2025-05-01", "2025-12-01")
