"""Changes that other systems make, mostly after a change in the register.

Like :mod:`bus.sample.municipality.events`: each function enters one change into the books of
its system and hands it over, with that system as its source. *at* is when it is entered, aware;
it never goes back. Take the first load before: what it would have been is made at the first of
these.

Raises, each of them, :class:`LookupError` where it can happen to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import TypeVar

from bus.model import Change, Nature
from bus.sample.municipality.ages import (
    attains,
    birthday,
    compulsory_school_end,
    is_at_least,
    milestones,
    school_entry,
)
from bus.sample.municipality.making import JAPAN
from bus.sample.municipality.offices import Hall, children, crossing, insurance, taxes, welfare
from bus.sample.municipality.offices.circumstances import (
    Assistance,
    families_with_children,
    parents,
    since,
)
from bus.sample.municipality.offices.holdings import Holding
from bus.sample.municipality.places import anywhere
from bus.sample.municipality.register import Municipality, Part
from bus.sample.municipality.subjects import Body, Household, Person, known

T = TypeVar("T")
_LITTLE = 900_000  # yen a year: an allowance is paid in whole


# -- after a move ------------------------------------------------------------------------------


def vehicle_follows(municipality: Municipality, at: datetime, household: Household) -> Change:
    """The vehicle of somebody who moved is kept at the new address (定置場)."""
    hall = _now(municipality, at)
    numbers = {member.number: member for member in household.members}
    held = hall.holdings(taxes.VEHICLE)
    vehicle = _first(each for each in held if each.content["owner_subject_id"] in numbers)
    owner = numbers[vehicle.content["owner_subject_id"]]
    content = vehicle.content | {
        "owner_address": anywhere(owner.address) if owner.address else None,
        "kept_at": owner.address,
        "protected": hall.is_protected(owner.number, vehicle.content["user_subject_id"]),
    }
    return _enter(municipality, at, _again(vehicle, "changed", _today(at), content))


def levy_follows(municipality: Municipality, at: datetime, household: Household) -> Change:
    """The notice of a levy on land goes to the owner's new address from now on."""
    hall = _now(municipality, at)
    numbers = {member.number: member for member in household.members}
    held = hall.holdings(taxes.LAND)
    levy = _first(each for each in held if each.content["taxpayer_subject_id"] in numbers)
    owner = numbers[levy.content["taxpayer_subject_id"]]
    owners = [each["subject_id"] for each in levy.content["co_owners"]]
    content = levy.content | {
        "mailing_address": anywhere(owner.address) if owner.address else None,
        "protected": hall.is_protected(owner.number, levy.content["tax_agent_subject_id"], *owners),
    }
    return _enter(municipality, at, _again(levy, "relevied", _today(at), content))


def school_changes(municipality: Municipality, at: datetime, household: Household) -> Change:
    """The children of a family that moved go to the school of their new town (転学)."""
    hall = _now(municipality, at)
    parts = []
    for child in _pupils(household, hall.today):
        before = hall.holding(children.SCHOOL, child.number)
        if before is not None:
            now = children.school_content(hall, child) | {"enrolled_on": hall.today}
            parts.append(_again(before, "transferred", hall.today, now))
    return _enter(municipality, at, *parts)


# -- after moving in ---------------------------------------------------------------------------


def insured_on_arrival(municipality: Municipality, at: datetime, household: Household) -> Change:
    """A household that nobody's employer insures enters 国民健康保険 on the day it moved in."""
    hall = _now(municipality, at)
    hall.circumstances.welcome(household)
    parts = []
    for place, member in enumerate(household.members, 1):
        if insurance.elderly_since(hall, member) is None:
            day = since(member)
            content = insurance.health_content(hall, household, member, place, day)
            parts.append(_put(municipality, f"{insurance.HEALTH}.acquired", member, day, content))
    return _enter(municipality, at, *parts)


def pensioned_on_arrival(municipality: Municipality, at: datetime, household: Household) -> Change:
    """Those from 20 to 59 in a household that moved in are enrolled in 国民年金 here."""
    hall = _now(municipality, at)
    hall.circumstances.welcome(household)
    parts = []
    for member in household.members:
        if is_at_least(member, 20, hall.today) and not is_at_least(member, 60, hall.today):
            twenty = attains(member.birth["date"], 20)
            content = insurance.pension_content(hall, member, twenty)
            day, what = since(member), f"{insurance.PENSION}.acquired"
            parts.append(_put(municipality, what, member, day, content))
    return _enter(municipality, at, *parts)


def school_begins(municipality: Municipality, at: datetime, household: Household) -> Change:
    """The children of a household that moved in are entered into 学齢簿."""
    hall = _now(municipality, at)
    parts = []
    for child in _pupils(household, hall.today):
        content = children.school_content(hall, child)
        day = content["enrolled_on"]
        parts.append(_put(municipality, f"{children.SCHOOL}.enrolled", child, day, content))
    return _enter(municipality, at, *parts)


# -- with children -----------------------------------------------------------------------------


def allowance_is_granted(municipality: Municipality, at: datetime, household: Household) -> Change:
    """A parent claims 児童手当 after a birth or after moving in."""
    hall = _now(municipality, at)
    hall.circumstances.welcome(household)
    mine, theirs = _first(families_with_children([household], hall.today).values())
    person = _first(
        (each for each in mine if hall.holding(children.ALLOWANCE, each.number)),
        children.recipient(hall, mine),
    )
    content = children.allowance_content(person, theirs, hall.today)
    before = hall.holding(children.ALLOWANCE, person.number)
    if before is not None:
        content["start_month"] = before.content["start_month"]
        return _enter(municipality, at, _again(before, "changed", hall.today, content))
    what = f"{children.ALLOWANCE}.started"
    return _enter(municipality, at, _put(municipality, what, person, hall.today, content))


def rearing_allowance_is_granted(municipality: Municipality, at: datetime) -> Change:
    """A single parent is granted 児童扶養手当; in a small town, one who earned too much before."""
    hall = _now(municipality, at)
    alone = [
        (mine[0], theirs)
        for mine, theirs in families_with_children(hall.households, hall.today).values()
        if len(mine) == 1 and not mine[0].is_protected
    ]
    held = {each.number: each for each in hall.holdings(children.REARING)}
    parent, theirs = _first(
        [each for each in alone if each[0].number not in held]
        + [each for each in alone if each[0].number in held]
    )
    hall.circumstances.income[parent.number] = _LITTLE
    content = children.rearing_content(hall, parent, theirs)
    what = f"{children.REARING}.{'changed' if parent.number in held else 'started'}"
    return _enter(municipality, at, _put(municipality, what, parent, hall.today, content))


def childcare_is_certified(
    municipality: Municipality, at: datetime, household: Household
) -> Change:
    """The children of a household that do not go to school yet are certified for childcare."""
    hall = _now(municipality, at)
    hall.circumstances.welcome(household)
    parts = []
    for child in household.members:
        born = child.birth["date"]
        if born is not None and hall.today < school_entry(born) and parents(child):
            content = children.childcare_content(hall, child)
            content["valid_from"] = min(max(content["valid_from"], hall.today), content["valid_to"])
            before = hall.holding(children.CHILDCARE, child.number)
            what = "changed" if before else "certified"
            name = f"{children.CHILDCARE}.{what}"
            parts.append(_put(municipality, name, child, hall.today, content))
    return _enter(municipality, at, *parts)


def number_is_assigned(municipality: Municipality, at: datetime, person: Person) -> Change:
    """A newborn gets an 個人番号; the register publishes it."""
    hall = _now(municipality, at)
    content = crossing.number_content(hall, person)
    what, day = f"{crossing.NUMBER}.assigned", content["assigned_on"]
    part = _put(municipality, what, person, day, content, "resident_registry")
    return _enter(municipality, at, part)


def application_arrives(municipality: Municipality, at: datetime, household: Household) -> Change:
    """A parent applies for 児童手当 over マイナポータル; 申請管理 knows who that is."""
    hall = _now(municipality, at)
    child = _first(member for member in household.members if parents(member))
    applicant = parents(child)[0]
    content = crossing.application_content(
        hall, "CHILD_ALLOWANCE_CLAIM", applicant, [child], hall.today
    ) | {
        "state": "IDENTIFIED",
        "received_at": at,
        "applicant_subject_id": applicant.number,
        "concerned": [{"subject_id": child.number}],
    }
    count = len(hall.holdings(crossing.APPLICATION))
    number = crossing.application_number(hall, count)
    part = _put(
        municipality, f"{crossing.APPLICATION}.identified", number, hall.today, content,
        "application_management",
    )  # fmt: skip
    return _enter(municipality, at, part)


def nonresident_is_linked(municipality: Municipality, at: datetime, resident: Person) -> Change:
    """Somebody who owned land here from elsewhere has moved in: 名寄せ."""
    hall = _now(municipality, at)
    before = _first(
        each
        for each in hall.holdings(crossing.NONRESIDENT)
        if not each.content["linked_source"]
        and not each.content["protected"]
        and each.content["closed_on"] is None
    )
    content = dict(before.content)
    crossing.link(hall, content, resident)
    return _enter(municipality, at, _again(before, "linked", hall.today, content))


# -- by age ------------------------------------------------------------------------------------


def somebody_who_reached(municipality: Municipality, at: datetime, milestone: str) -> Person:
    """A resident who has reached a milestone since the first load that is not published yet."""
    hall = _now(municipality, at)
    said = {
        each.content["person_subject_id"]
        for each in hall.holdings(crossing.MILESTONE)
        if each.content["milestone"] == milestone
    }
    return _first(
        person
        for person in municipality.residents()
        if person.number not in said
        and person.birth["date"] is not None
        and municipality.make.at.date() < milestones(person.birth["date"])[milestone] <= hall.today
        and not hall.circumstances.on_assistance(person.household)
    )


def milestone_is_reached(
    municipality: Municipality, at: datetime, person: Person, milestone: str
) -> Change:
    """The calendar says that somebody has come of some age."""
    hall = _now(municipality, at)
    day = milestones(person.birth["date"])[milestone]
    made = crossing.milestone_of(hall, person, milestone, day)
    part = _put(municipality, made.entry.event_type, made.number, day, made.content, made.source)
    return _enter(municipality, at, part)


def care_insurance_begins(municipality: Municipality, at: datetime, person: Person) -> Change:
    """Somebody turns 65 and is a first-class insured person of 介護保険 (the day before)."""
    hall = _now(municipality, at)
    day = max(attains(person.birth["date"], 65), since(person))
    content = insurance.care_content(hall, person, "FIRST", day)
    before = hall.holding(insurance.CARE, person.number)
    what = "changed" if before else "acquired"
    part = _put(municipality, f"{insurance.CARE}.{what}", person, day, content)
    return _enter(municipality, at, part)


def elderly_care_begins(municipality: Municipality, at: datetime, person: Person) -> Change:
    """Somebody turns 75 and is insured in 後期高齢者医療 from that day on."""
    hall = _now(municipality, at)
    day = max(birthday(person.birth["date"], 75), since(person))
    content = insurance.elderly_content(hall, person, day)
    before = hall.holding(insurance.ELDERLY, person.number)
    what = "changed" if before else "acquired"
    part = _put(municipality, f"{insurance.ELDERLY}.{what}", person, day, content)
    return _enter(municipality, at, part)


def health_insurance_ends(municipality: Municipality, at: datetime, person: Person) -> Change:
    """Whoever turned 75 leaves 国民健康保険 on the same day."""
    hall = _now(municipality, at)
    before = hall.holding(insurance.HEALTH, person.number)
    if before is None or not before.content["insured"]:
        raise LookupError("this person is not insured in 国民健康保険")
    day = birthday(person.birth["date"], 75)
    content = before.content | {"insured": False, "lost_on": day}
    return _enter(municipality, at, _again(before, "lost", day, content, Nature.CESSATION))


# -- by application, or by the office's own act ------------------------------------------------


def assistance_starts(municipality: Municipality, at: datetime) -> Change:
    """A household is put under 生活保護; one that is in no insurance that this would end."""
    hall = _now(municipality, at)
    insured = {
        each.number
        for stream in (insurance.HEALTH, insurance.ELDERLY)
        for each in hall.holdings(stream)
        if each.content["insured"]
    }
    household = _first(
        each
        for each in hall.households
        if each.members
        and not each.is_protected
        and each.number not in hall.circumstances.assistance
        and not insured & {member.number for member in each.members}
    )
    runs = hall.circumstances.assistance[household.number] = Assistance(hall.today, None)
    parts = []
    for member in household.members:
        content = welfare.assistance_content(hall, household, member, runs)
        what = f"{welfare.ASSISTANCE}.started"
        parts.append(_put(municipality, what, member, hall.today, content))
    return _enter(municipality, at, *parts)


def certificate_is_issued(municipality: Municipality, at: datetime) -> Change:
    """Somebody gets a certificate of disability."""
    hall = _now(municipality, at)
    person = _first(
        each
        for each in municipality.residents()
        if hall.holding(welfare.CERTIFICATE, each.number) is None and not each.is_protected
    )
    hall.circumstances.disability[person.number] = hall.today
    content = welfare.certificate_content([welfare.certificate(hall, hall.today)])
    what = f"{welfare.CERTIFICATE}.issued"
    return _enter(municipality, at, _put(municipality, what, person, hall.today, content))


def care_is_certified(municipality: Municipality, at: datetime) -> Change:
    """Somebody of 75 or more applied and is certified at a care level."""
    hall = _now(municipality, at)
    person = _first(
        each
        for each in municipality.residents()
        if is_at_least(each, 75, hall.today)
        and hall.holding(insurance.LEVEL, each.number) is None
        and not each.is_protected
    )
    content = insurance.level_content("CARE_1", hall.today, hall.today)
    hall.circumstances.care[person.number] = hall.today
    what = f"{insurance.LEVEL}.certified"
    return _enter(municipality, at, _put(municipality, what, person, hall.today, content))


def vaccination_is_given(municipality: Municipality, at: datetime) -> Change:
    """Somebody of 65 or more is vaccinated against COVID-19; what was known before stays."""
    hall = _now(municipality, at)
    person = _first(
        each
        for each in municipality.residents()
        if is_at_least(each, 65, hall.today) and not each.is_protected
    )
    before = hall.holding(welfare.VACCINATION, person.number)
    earlier = before.content["vaccinations"] if before else []
    dose = 1 + sum(each["vaccine"] == "COVID_19" for each in earlier)
    given = welfare.vaccination(hall, "COVID_19", dose, hall.today)
    content = {"vaccinations": [*earlier, given]}
    what = f"{welfare.VACCINATION}.given"
    return _enter(municipality, at, _put(municipality, what, person, hall.today, content))


def elector_is_struck_off(municipality: Municipality, at: datetime, person: Person) -> Change:
    """An elector who died is struck off the roll."""
    hall = _now(municipality, at)
    before = hall.holding(welfare.ROLL, person.number)
    if before is None:
        raise LookupError("this person is on no electoral roll")
    content = before.content | {"registered": False, "struck_off_on": hall.today}
    part = _again(before, "struck_off", hall.today, content, Nature.CESSATION)
    return _enter(municipality, at, part)


def tax_is_reassessed(municipality: Municipality, at: datetime) -> Change:
    """Somebody has declared late; their income is a fifth less than was thought."""
    hall = _now(municipality, at)
    people = {person.number: person for person in municipality.residents()}
    before = _first(
        each
        for each in hall.holdings(taxes.ASSESSMENT)
        if not each.content["non_taxable"] and each.content["taxpayer_subject_id"] in people
    )
    person = people[before.content["taxpayer_subject_id"]]
    income = before.content["total_income"] * 4 // 5_000 * 1_000
    hall.circumstances.income[person.number] = income
    content = taxes.assessment_content(hall, person, before.content["fiscal_year"], hall.today)
    return _enter(municipality, at, _again(before, "reassessed", hall.today, content))


def corporation_amends(municipality: Municipality, at: datetime) -> Change:
    """A corporation amends its return: 100,000 yen more on its corporate tax."""
    hall = _now(municipality, at)
    before = _first(hall.holdings(taxes.CORPORATION))
    content = before.content | {
        "filing_kind": "AMENDED",
        "corporate_tax_levy": before.content["corporate_tax_levy"] + 100_000,
        "total_tax": before.content["total_tax"] + 100_000,
        "filed_on": hall.today,
    }
    return _enter(municipality, at, _again(before, "relevied", hall.today, content))


# -- parts of a change -------------------------------------------------------------------------


def _now(municipality: Municipality, at: datetime) -> Hall:
    municipality.hall.turn_to(at)
    return municipality.hall


def _enter(municipality: Municipality, at: datetime, *parts: Part) -> Change:
    if not parts:
        raise LookupError("nobody there whom this could happen to")
    return municipality.enter(at, None, None, parts)


def _again(
    holding: Holding, what: str, day: date, content: Body, nature: Nature = Nature.CHANGE
) -> Part:
    """The record that a system holds, with another content from *day* on."""
    holding.content = content
    return Part(
        subject=holding,
        event_type=f"{holding.stream}.{what}",
        effective=known(day),
        nature=nature,
    )


def _put(
    municipality: Municipality,
    event_type: str,
    subject: Person | str,
    day: date,
    content: Body,
    source: str | None = None,
) -> Part:
    """Add a new record, or the next state of the subject's record."""
    number = subject if isinstance(subject, str) else subject.number
    stream, _, what = event_type.rpartition(".")
    held = municipality.hall.holdings(stream)
    found = next((each for each in held if each.number == number), None)
    if found is not None:
        return _again(found, what, day, content)
    scribe = municipality.hall.scribe(stream)
    made = scribe.holding(event_type, number, day, content, source)
    made.version = 0
    held.append(made)
    return _again(made, what, day, content, Nature.RECORD)


def _first(found: Iterable[T], otherwise: T | None = None) -> T:
    for each in found:
        return each
    if otherwise is None:
        raise LookupError("there is nobody like that in this municipality")
    return otherwise


def _pupils(household: Household, today: date) -> list[Person]:
    return [
        each
        for each in household.members
        if (born := each.birth["date"]) is not None
        and school_entry(born) <= today <= compulsory_school_end(born)
    ]


def _today(at: datetime) -> date:
    return at.astimezone(JAPAN).date()
