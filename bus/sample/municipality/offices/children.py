"""児童手当, 児童扶養手当, 子ども・子育て支援, 就学: what follows from having a child.

Amounts are those of 2025; school years and ages by law (:mod:`bus.sample.municipality.ages`).
Whoever cares for a child lives in its household and is its parent there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from bus.sample.municipality.ages import (
    attains,
    compulsory_school_end,
    school_entry,
)
from bus.sample.municipality.offices.circumstances import (
    families_with_children,
    parents,
    residents,
    since,
)
from bus.sample.municipality.offices.hall import Hall
from bus.sample.municipality.offices.holdings import Holding
from bus.sample.municipality.subjects import Body, Person

ALLOWANCE = "child_allowance.receipt"
REARING = "child_rearing_allowance.receipt"
CHILDCARE = "child_childcare_support.certification"
SCHOOL = "school_enrollment.enrollment"

_ALLOWANCE_BEGAN, _CHILDCARE_BEGAN = date(2010, 4, 1), date(2015, 4, 1)
_YOUNG, _OLDER, _THIRD = 15_000, 10_000, 30_000  # 児童手当 a month: under 3, from 3, third child
_WHOLE, _WHOLE_MORE = 46_690, 11_030  # 児童扶養手当 a month: first child, each further one
_WHOLE_UP_TO, _PARTIAL_UP_TO = 1_070_000, 2_460_000  # income with one child
_BIRTH_LEAVE = timedelta(days=57)
_FEES = ((48_600, "C", 9_000), (97_000, "D1", 20_000), (301_000, "D2", 44_500))
_HIGHEST_FEE = ("D3", 61_000)
_ONE_DAY = timedelta(days=1)


# -- 児童手当 ----------------------------------------------------------------------------------


def allowances(hall: Hall) -> list[Holding]:
    """Of two parents, the one who earns more; for children up to the end of their 18th year."""
    found = []
    scribe = hall.scribe(ALLOWANCE)
    for mine, children in families_with_children(hall.households, hall.today).values():
        person = recipient(hall, mine)
        content = allowance_content(person, children, hall.today)
        found.append(
            scribe.holding(f"{ALLOWANCE}.started", person.number, content["decided_on"], content)
        )
    return found


def recipient(hall: Hall, parents_: Sequence[Person]) -> Person:
    """Who of a child's parents claims for it."""
    income = hall.circumstances.income
    return max(parents_, key=lambda each: (income[each.number], each.number))


def allowance_content(person: Person, children: Sequence[Person], today: date) -> Body:
    """The body for a parent of *children*, eldest first; paid from the month after the claim."""
    day = max(since(person), min(max(_born(each), since(each)) for each in children))
    decided = min(max(day, _ALLOWANCE_BEGAN), today)
    amount = 0
    for place, child in enumerate(children, 1):
        if place >= 3:
            amount += _THIRD
        else:
            amount += _OLDER if attains(_born(child), 3) <= today else _YOUNG
    return {
        "receiving": True,
        "children": _in_order(children),
        "start_month": _month_after(decided),
        "end_month": None,
        "monthly_amount": amount,
        "decided_on": decided,
    }


def _in_order(children: Sequence[Person]) -> list[Body]:
    return [{"subject_id": child.number, "order": place} for place, child in enumerate(children, 1)]


def _month_after(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _born(person: Person) -> date:
    """The birth date of somebody who was chosen for its being known."""
    born: date = person.birth["date"]
    return born


# -- 児童扶養手当 ------------------------------------------------------------------------------


def rearing_allowances(hall: Hall) -> list[Holding]:
    """Four of five single parents; how much they get hangs on what they earn."""
    found = []
    scribe = hall.scribe(REARING)
    for mine, children in families_with_children(hall.households, hall.today).values():
        if len(mine) == 1 and scribe.random.random() < 0.8:
            content = rearing_content(hall, mine[0], children)
            what = "suspended" if content["extent"] == "SUSPENDED" else "started"
            day = content["decided_on"]
            found.append(scribe.holding(f"{REARING}.{what}", mine[0].number, day, content))
    return found


def rearing_content(hall: Hall, parent: Person, children: Sequence[Person]) -> Body:
    """The body for a single parent of *children*."""
    income = hall.circumstances.income[parent.number]
    whole = _WHOLE + _WHOLE_MORE * (len(children) - 1)
    if income <= _WHOLE_UP_TO:
        extent, amount = "WHOLE", whole
    elif income <= _PARTIAL_UP_TO:
        share = (_PARTIAL_UP_TO - income) / (_PARTIAL_UP_TO - _WHOLE_UP_TO)
        extent, amount = "PARTIAL", max(11_010, int(whole * share) // 10 * 10)
    else:
        extent, amount = "SUSPENDED", 0
    decided = max(since(parent), *(_born(child) for child in children))
    decided = min(max(decided, hall.today - timedelta(days=300)), hall.today)
    return {
        "receiving": extent != "SUSPENDED",
        "extent": extent,
        "children": _in_order(children),
        "start_month": _month_after(decided),
        "end_month": None,
        "monthly_amount": amount,
        "decided_on": decided,
    }


# -- 子ども・子育て支援 -------------------------------------------------------------------------


def certifications(hall: Hall) -> list[Holding]:
    """Nearly all from three to school, less than half of those younger."""
    found = []
    scribe = hall.scribe(CHILDCARE)
    for child in residents(hall.households):
        born = child.birth["date"]
        if born is None or school_entry(born) <= hall.today or not parents(child):
            continue
        is_three = attains(born, 3) <= hall.today
        if scribe.random.random() > (0.95 if is_three else 0.45):
            continue
        content = childcare_content(hall, child)
        if content["valid_from"] <= hall.today:
            day = content["valid_from"]
            found.append(scribe.holding(f"{CHILDCARE}.certified", child.number, day, content))
    return found


def childcare_content(hall: Hall, child: Person) -> Body:
    """The body of a child's certification: third category under 3, first or second from then on."""
    random = hall.scribe(CHILDCARE).random
    born, mine = _born(child), parents(child)
    guardian = recipient(hall, mine)
    fee_class, fee = _fee(hall, mine)
    if attains(born, 3) <= hall.today:
        category = "FIRST" if random.random() < 0.35 else "SECOND"
        begin, end, fee = attains(born, 3), school_entry(born) - _ONE_DAY, 0
    else:
        category, begin, end = "THIRD", born + _BIRTH_LEAVE, attains(born, 3) - _ONE_DAY
    kind = "幼稚園" if category == "FIRST" else "保育園"
    hours = None if category == "FIRST" else random.choice(("STANDARD", "STANDARD", "SHORT"))
    return {
        "guardian_subject_id": guardian.number,
        "category": category,
        "hours": hours,
        "valid_from": min(max(begin, since(child), since(guardian), _CHILDCARE_BEGAN), end),
        "valid_to": end,
        "facility": f"{_town(child)}{kind}",
        "fee_class": fee_class,
        "monthly_fee": fee,
        "free_of_charge": fee == 0,
        "protected": hall.is_protected(child.number, guardian.number),
    }


def _fee(hall: Hall, parents_: Sequence[Person]) -> tuple[str, int]:
    """By the parents' 市町村民税所得割: none on public assistance (A) or without tax (B)."""
    if hall.circumstances.on_assistance(parents_[0].household):
        return "A", 0
    numbers = {parent.number for parent in parents_}
    taxes = [
        hall.assessed[number].content["municipal_income_levy"]
        for number in numbers & hall.assessed.keys()
    ]
    if not sum(taxes):
        return "B", 0
    return next(((name, fee) for most, name, fee in _FEES if sum(taxes) < most), _HIGHEST_FEE)


def _town(person: Person) -> str:
    """The name of the school or nursery of somebody's town."""
    address = person.address or {}
    return str(address.get("town") or address.get("municipality") or "")


# -- 就学 --------------------------------------------------------------------------------------


def enrollments(hall: Hall) -> list[Holding]:
    """Everybody in the nine years of compulsory school; most foreign children by choice."""
    found = []
    scribe = hall.scribe(SCHOOL)
    for child in residents(hall.households):
        born = child.birth["date"]
        if born is None or not school_entry(born) <= hall.today <= compulsory_school_end(born):
            continue
        if child.is_foreign and scribe.random.random() < 0.15:
            continue
        content = school_content(hall, child)
        day = content["enrolled_on"]
        found.append(scribe.holding(f"{SCHOOL}.enrolled", child.number, day, content))
    return found


def school_content(hall: Hall, child: Person) -> Body:
    """The body of a pupil: the school of the town, mostly."""
    random = hall.scribe(SCHOOL).random
    entry = school_entry(_born(child))
    grade = _school_year(hall.today) - entry.year + 1
    kind = "ELEMENTARY" if grade <= 6 else "JUNIOR_HIGH"
    chance = random.random()
    if chance < 0.01:
        kind, name = "SPECIAL_NEEDS", "区立特別支援学校"
    elif chance < 0.06:
        kind, name = "OTHER", "私立学園"
    else:
        name = f"{_town(child)}{'小学校' if grade <= 6 else '中学校'}"
    begun = entry if grade <= 6 else date(entry.year + 6, 4, 1)
    guardian = next(iter(parents(child)), None)
    is_helped = hall.circumstances.on_assistance(child.household)
    return {
        "guardian_subject_id": guardian.number if guardian else None,
        "school_kind": kind,
        "school": name,
        "grade": grade if grade <= 6 or kind in ("SPECIAL_NEEDS", "OTHER") else grade - 6,
        "enrolled_on": max(begun, since(child)),
        "left_on": None,
        "out_of_district": kind == "OTHER" or random.random() < 0.02,
        "schooling_aid": is_helped or random.random() < 0.1,
        "protected": hall.is_protected(child.number, guardian.number if guardian else None),
    }


def _school_year(day: date) -> int:
    return day.year if day >= date(day.year, 4, 1) else day.year - 1
