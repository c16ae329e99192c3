"""国民健康保険, 後期高齢者医療, 介護保険, 国民年金: who is insured where, since when.

Source: 高齢者の医療の確保に関する法律 50条–52条 (75, or 65 with a disability; nobody on public
assistance), 国民健康保険法 6条 (nobody who is insured elsewhere or on public assistance),
介護保険法 9条–11条, 国民年金法 7条–9条. What share of people is where is made up.
"""

from __future__ import annotations

from datetime import date, timedelta

from bus.model import Nature
from bus.sample.municipality.ages import attains, birthday, is_at_least
from bus.sample.municipality.numbers import insurer_number
from bus.sample.municipality.offices.circumstances import residents, since, spouses
from bus.sample.municipality.offices.hall import Hall
from bus.sample.municipality.offices.holdings import Holding
from bus.sample.municipality.subjects import (
    DECEASED,
    HEAD,
    MOVED_OUT,
    Body,
    Household,
    Person,
)

HEALTH = "national_health_insurance.qualification"
ELDERLY = "late_elderly_medical.qualification"
CARE = "long_term_care_insurance.qualification"
LEVEL = "long_term_care_insurance.care_level"
PENSION = "national_pension.qualification"

_ELDERLY_BEGAN, _CARE_BEGAN = date(2008, 4, 1), date(2000, 4, 1)  # the two laws come into force
_LEVELS = ("SUPPORT_1", "SUPPORT_2", "CARE_1", "CARE_2", "CARE_3", "CARE_4", "CARE_5")
_ONE_DAY = timedelta(days=1)
_YEAR = timedelta(days=365)


# -- 国民健康保険 ------------------------------------------------------------------------------


def health(hall: Hall) -> list[Holding]:
    """Households that nobody's employer insures; whoever turned 75 lately or left has lost it."""
    found = []
    scribe = hall.scribe(HEALTH)
    for household in hall.households:
        members = household.members
        if not members or hall.circumstances.on_assistance(household):
            continue
        if any(hall.circumstances.is_employed[member.number] for member in members):
            continue
        begin = scribe.between(max(since(member) for member in members), hall.today)
        ended = hall.circumstances.assistance.get(household.number)
        if ended is not None and ended.ended_on is not None:
            begin = ended.ended_on
        for place, member in enumerate(members, 1):
            if elderly_since(hall, member) is not None:
                lost = _turned_75(member)
                if lost is None or not hall.today - _YEAR < lost <= hall.today:
                    continue
                acquired = max(since(member), min(begin, lost))
                if acquired > lost:
                    continue
                found.append(_health_lost(hall, household, member, place, acquired, lost))
            else:
                acquired = max(begin, since(member))
                found.append(
                    scribe.holding(
                        f"{HEALTH}.acquired",
                        member.number,
                        acquired,
                        health_content(hall, household, member, place, acquired),
                    )
                )
    for person in hall.persons:
        if person.state in (MOVED_OUT, DECEASED) and not is_at_least(person, 75, hall.today):
            left = person.entry.effective["date"]
            if left is not None and person.birth["date"] and since(person) <= left < hall.today:
                content = health_content(hall, None, person, 1, since(person))
                found.append(_lost(hall, HEALTH, person, content, left + _ONE_DAY))
    return found


def health_content(
    hall: Hall, household: Household | None, person: Person, place: int, acquired: date
) -> Body:
    """The body of somebody who is insured; *place* is theirs within the household."""
    head = household.head if household else None
    number = household.number if household else person.last_household
    return {
        "insured": True,
        "insurer_number": insurer_number(hall.code[:5]),
        "certificate_symbol": f"{hall.code[2:5]}",
        "certificate_number": number[-8:-1],
        "branch_number": f"{place:02d}",
        "household_number": number,
        "household_head_subject_id": head.number if head else None,
        "acquired_on": acquired,
        "lost_on": None,
    }


def _health_lost(
    hall: Hall, household: Household, person: Person, place: int, acquired: date, lost: date
) -> Holding:
    content = health_content(hall, household, person, place, acquired)
    return _lost(hall, HEALTH, person, content, lost)


def _turned_75(person: Person) -> date | None:
    born = person.birth["date"]
    return birthday(born, 75) if born else None


# -- 後期高齢者医療 -----------------------------------------------------------------------------


def elderly(hall: Hall) -> list[Holding]:
    """From the 75th birthday, from 65 with a disability; lost by those who died or left."""
    found = []
    scribe = hall.scribe(ELDERLY)
    for person in residents(hall.households):
        acquired = elderly_since(hall, person)
        if acquired is None:
            continue
        content = elderly_content(hall, person, acquired)
        found.append(scribe.holding(f"{ELDERLY}.acquired", person.number, acquired, content))
    for person in hall.persons:
        born, left = person.birth["date"], person.entry.effective["date"]
        if person.state in (MOVED_OUT, DECEASED) and born is not None and left is not None:
            acquired = max(birthday(born, 75), since(person), _ELDERLY_BEGAN)
            if acquired <= left < hall.today:
                content = elderly_content(hall, person, acquired)
                found.append(_lost(hall, ELDERLY, person, content, left + _ONE_DAY))
    return found


def elderly_since(hall: Hall, person: Person) -> date | None:
    """Since when somebody is insured as an elderly person; None for everybody else."""
    born, known = person.birth["date"], hall.circumstances
    if born is None or known.on_assistance(person.household):
        return None
    turned = birthday(born, 75)
    if turned <= hall.today:
        return max(turned, since(person), _ELDERLY_BEGAN)
    if person.number in known.prefers_elderly:
        return max(attains(born, 65), since(person), known.disability[person.number])
    return None


def elderly_content(hall: Hall, person: Person, acquired: date) -> Body:
    """The body of somebody who is insured since *acquired*."""
    turned = _turned_75(person)
    if turned is None or acquired < turned:
        ground = "DISABILITY"
    else:
        ground = "MOVED_IN" if acquired > max(turned, _ELDERLY_BEGAN) else "AGE_75"
    return {
        "insured": True,
        "ground": ground,
        "insurer_number": insurer_number(f"39{hall.code[:5]}"),
        "insured_number": person.number[-8:],
        "acquired_on": acquired,
        "lost_on": None,
    }


# -- 介護保険 ----------------------------------------------------------------------------------


def care(hall: Hall) -> list[Holding]:
    """First class from 65; second class where somebody from 40 on has a care level."""
    found = []
    scribe = hall.scribe(CARE)
    for person in residents(hall.households):
        born = person.birth["date"]
        if born is None or not is_at_least(person, 40, hall.today):
            continue
        if is_at_least(person, 65, hall.today):
            acquired = max(attains(born, 65), since(person), _CARE_BEGAN)
            content = care_content(hall, person, "FIRST", acquired)
        elif person.number in hall.circumstances.care and not hall.circumstances.on_assistance(
            person.household
        ):
            acquired = max(attains(born, 40), since(person), _CARE_BEGAN)
            content = care_content(hall, person, "SECOND", acquired)
        else:
            continue
        found.append(scribe.holding(f"{CARE}.acquired", person.number, acquired, content))
    for person in hall.persons:
        born, left = person.birth["date"], person.entry.effective["date"]
        if person.state in (MOVED_OUT, DECEASED) and born is not None and left is not None:
            acquired = max(attains(born, 65), since(person), _CARE_BEGAN)
            if acquired <= left < hall.today:
                content = care_content(hall, person, "FIRST", acquired)
                found.append(_lost(hall, CARE, person, content, left + _ONE_DAY))
    return found


def care_content(hall: Hall, person: Person, insured_class: str, acquired: date) -> Body:
    """The body of somebody who is insured."""
    return {
        "insured": True,
        "insured_class": insured_class,
        "insurer_number": insurer_number(hall.code[:5]),
        "insured_number": person.number[-10:],
        "address_exception": False,
        "acquired_on": acquired,
        "lost_on": None,
    }


def levels(hall: Hall) -> list[Holding]:
    """要介護認定 of those whose days are harder; one in thirty applied in vain."""
    found = []
    scribe = hall.scribe(LEVEL)
    for person in residents(hall.households):
        applied = hall.circumstances.care.get(person.number)
        if applied is None or (
            not is_at_least(person, 65, hall.today)
            and hall.circumstances.on_assistance(person.household)
        ):
            continue
        certified = min(applied + timedelta(days=scribe.random.randint(14, 30)), hall.today)
        is_in_vain = scribe.random.random() < 0.03
        level = "NOT_ELIGIBLE" if is_in_vain else scribe.random.choice(_LEVELS)
        content = level_content(level, applied, certified)
        found.append(scribe.holding(f"{LEVEL}.certified", person.number, certified, content))
    return found


def level_content(level: str, applied: date, certified: date) -> Body:
    """The body of a certification for a year from the day of the application."""
    is_in_vain = level == "NOT_ELIGIBLE"
    return {
        "care_level": level,
        "applied_on": applied,
        "certified_on": certified,
        "valid_from": None if is_in_vain else applied,
        "valid_to": None if is_in_vain else applied + _YEAR,
    }


# -- 国民年金 ----------------------------------------------------------------------------------


def pension(hall: Hall) -> list[Holding]:
    """Everybody from 20 to 59; some go on to 64; whoever turned 60 in the last year has left."""
    found = []
    scribe = hall.scribe(PENSION)
    for person in residents(hall.households):
        born = person.birth["date"]
        if born is None or not is_at_least(person, 20, hall.today):
            continue
        sixty = attains(born, 60)
        acquired = max(attains(born, 20), since(person)) if person.is_foreign else attains(born, 20)
        if hall.today < sixty:
            content = pension_content(hall, person, acquired)
            found.append(scribe.holding(f"{PENSION}.acquired", person.number, acquired, content))
        elif hall.today - _YEAR < sixty and acquired < sixty:
            content = pension_content(hall, person, acquired)
            content |= {"enrolled": False, "lost_on": sixty}
            found.append(
                scribe.holding(
                    f"{PENSION}.lost", person.number, sixty, content, nature=Nature.CESSATION
                )
            )
        elif not is_at_least(person, 65, hall.today) and scribe.random.random() < 0.04:
            begin = max(sixty, since(person))
            content = pension_content(hall, person, acquired=begin) | {"insured_kind": "VOLUNTARY"}
            found.append(scribe.holding(f"{PENSION}.acquired", person.number, begin, content))
    return found


def pension_content(hall: Hall, person: Person, acquired: date) -> Body:
    """The body of somebody who is enrolled, as what kind their work makes them."""
    kind = _kind(hall, person)
    return {
        "enrolled": True,
        "basic_pension_number": person.number[-10:],
        "insured_kind": kind,
        "kind_changed_on": None if kind == "FIRST" else acquired,
        "acquired_on": acquired,
        "lost_on": None,
    }


def _kind(hall: Hall, person: Person) -> str:
    employed, household = hall.circumstances.is_employed, person.household
    if employed[person.number]:
        return "SECOND"
    if household is not None and hall.circumstances.income[person.number] < 1_000_000:
        couple = [m for m in household.members if m.relationship == HEAD] + spouses(household)
        if person in couple and any(employed[other.number] for other in couple):
            return "THIRD"
    return "FIRST"


def _lost(hall: Hall, stream: str, person: Person, content: Body, day: date) -> Holding:
    content |= {"insured": False, "lost_on": day}
    return hall.scribe(stream).holding(
        f"{stream}.lost", person.number, day, content, nature=Nature.CESSATION
    )
