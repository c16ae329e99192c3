"""What crosses between the systems: 個人番号, 住登外者, applications, milestones.

A nonresident who is linked (名寄せ) has the name and birth date of the resident they are. Of
somebody whose birth date is unknown there is no milestone: no deemed date may be made (みなし日).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random

from bus.sample.municipality import names
from bus.sample.municipality.ages import is_at_least, milestones
from bus.sample.municipality.making import JAPAN
from bus.sample.municipality.numbers import individual_number, numbered
from bus.sample.municipality.offices.circumstances import parents, residents, since
from bus.sample.municipality.offices.hall import Hall
from bus.sample.municipality.offices.holdings import Holding
from bus.sample.municipality.places import anywhere
from bus.sample.municipality.subjects import Body, Person, known, unknown

NUMBER = "individual_number"
NONRESIDENT = "nonresident"
APPLICATION = "application.received"
MILESTONE = "calendar.milestone"

_NUMBERS_BEGAN = date(2015, 10, 5)
_SPREAD, _NUMBERS = 7_368_787, 10**11  # a walk through all numbers that meets none twice
_FIRST_NONRESIDENT = 9_000_001
_ONE_NONRESIDENT_IN = 40
_ONE_APPLICATION_IN = 100
_YEAR = timedelta(days=365)

OF_PARENTS = (
    "CHILD_ALLOWANCE_CLAIM", "CHILD_ALLOWANCE_REVISION", "CHILD_ALLOWANCE_NAME_ADDRESS",
    "CHILD_ALLOWANCE_END", "CHILD_ALLOWANCE_UNPAID", "CHILD_ALLOWANCE_DONATION",
    "CHILD_ALLOWANCE_DONATION_CHANGE", "CHILD_ALLOWANCE_SCHOOL_LUNCH",
    "CHILD_ALLOWANCE_SCHOOL_LUNCH_CHANGE", "CHILD_ALLOWANCE_STATUS", "CHILDCARE_CERTIFICATION",
    "CHILDCARE_ADMISSION", "CHILDCARE_STATUS", "CHILD_REARING_ALLOWANCE_STATUS",
    "PREGNANCY_NOTICE",
)  # fmt: skip
OF_ELDERLY = (
    "CARE_CERTIFICATION", "CARE_RENEWAL", "CARE_LEVEL_CHANGE", "CARE_PLAN_NOTICE",
    "CARE_BURDEN_CERTIFICATE", "CARE_INSURED_CERTIFICATE", "CARE_HIGH_COST", "CARE_BURDEN_LIMIT",
    "CARE_EQUIPMENT", "CARE_HOME_REPAIR", "CARE_CERTIFICATION_AFTER_MOVE",
)  # fmt: skip
OF_ADULTS = (
    "DISASTER_CERTIFICATE", "CAR_ENVIRONMENT_LEVY", "CAR_TAX_RETURN", "CAR_TAX_ADDRESS",
    "CAR_PARKING_CERTIFICATE",
)  # fmt: skip


# -- 個人番号 ----------------------------------------------------------------------------------


def individual_numbers(hall: Hall) -> list[Holding]:
    """Everybody in the register has one, those who left included."""
    found = []
    scribe = hall.scribe(NUMBER)
    for person in hall.persons:
        content = number_content(hall, person)
        day = content["assigned_on"]
        found.append(
            scribe.holding(
                f"{NUMBER}.assigned", person.number, day, content, source="resident_registry"
            )
        )
    return found


def number_content(hall: Hall, person: Person) -> Body:
    """The body: a number that only its own check digit says anything about."""
    assigned = max(since(person), _NUMBERS_BEGAN)
    return {
        "number": individual_number(int(person.number[:-1]) * _SPREAD % _NUMBERS),
        "assigned_on": min(assigned, hall.today),
    }


# -- 住登外者 ----------------------------------------------------------------------------------


def nonresidents(hall: Hall) -> list[Holding]:
    """Owners who live elsewhere; some turned out to be residents; some of those were not after all.

    Whoever is under protection by another municipality's notice (転送受付) is here too.
    """
    found = []
    scribe = hall.scribe(NONRESIDENT)
    random = scribe.random
    here = [person for person in residents(hall.households) if not person.is_foreign]
    grown = [person for person in here if is_at_least(person, 20, hall.today)]
    for count in range(len(hall.persons) // _ONE_NONRESIDENT_IN):
        number, chance = numbered(_FIRST_NONRESIDENT + count), random.random()
        day = scribe.between(date(2010, 4, 1), hall.today)
        content = nonresident_content(hall, number)
        what = "registered"
        if chance < 0.12 and grown:
            link(hall, content, random.choice(grown))
            what = "linked"
        elif chance < 0.15:
            what = "unlinked"
        elif chance < 0.19:
            what, content["closed_on"] = "closed", day
        found.append(_nonresident(hall, number, what, day, content))
    for number, protection in hall.protections.items():
        if protection.is_from_elsewhere:
            day = protection.started_on
            content = nonresident_content(hall, number)
            found.append(_nonresident(hall, number, "registered", day, content))
    return found


def nonresident_content(hall: Hall, number: str) -> Body:
    """The body of somebody who lives elsewhere in Japan."""
    random = hall.scribe(NONRESIDENT).random
    sex = random.choice(("1", "2"))
    return {
        "name": names.japanese(names.family_name(random), sex, random),
        "sex": sex,
        "birth_date": _birth(random, hall.today),
        "address": hall.places.elsewhere(random),
        "business_ids": [],
        "local_system_ids": [],
        "linked_source": False,
        "linked_to": None,
        "not_for_other_businesses": random.random() < 0.03,
        "closed_on": None,
        "protected": hall.is_protected(number),
    }


def link(hall: Hall, content: Body, resident: Person) -> None:
    """Make *content* that of the *resident* whom the nonresident turned out to be."""
    content |= {
        "name": resident.name,
        "sex": resident.sex,
        "birth_date": resident.birth,
        "linked_source": True,
        "linked_to": resident.number,
        "protected": content["protected"] or hall.is_protected(resident.number),
    }
    if content["protected"]:
        content["address"] = None


def _birth(random: Random, today: date) -> Body | None:
    chance = random.random()
    if chance < 0.1:
        return None
    if chance < 0.13:
        return unknown("年月日不詳")
    return known(today - timedelta(days=random.randint(20 * 366, 95 * 365)))


def _nonresident(hall: Hall, number: str, what: str, day: date, content: Body) -> Holding:
    return hall.scribe(NONRESIDENT).holding(
        f"{NONRESIDENT}.{what}", number, day, content, source="nonresident_atena"
    )


# -- 申請管理 ----------------------------------------------------------------------------------


def applications(hall: Hall) -> list[Holding]:
    """Every procedure is used; of some applicants only the certificate's serial is known yet."""
    found: list[Holding] = []
    scribe = hall.scribe(APPLICATION)
    procedures = (*OF_PARENTS, *OF_ELDERLY, *OF_ADULTS)
    people = residents(hall.households)
    grown = [person for person in people if is_at_least(person, 18, hall.today)]
    elderly = [person for person in grown if is_at_least(person, 65, hall.today)]
    children = [each for each in people if parents(each) and not is_at_least(each, 18, hall.today)]
    for count in range(max(len(procedures), len(hall.persons) // _ONE_APPLICATION_IN)):
        procedure = procedures[count % len(procedures)]
        if procedure in OF_PARENTS:
            child = scribe.random.choice(children) if children else None
            concerned = [child] if child and procedure != "PREGNANCY_NOTICE" else []
            applicant = parents(child)[0] if child else None
        elif procedure in OF_ELDERLY:
            applicant = scribe.random.choice(elderly) if elderly else None
            concerned = [applicant] if applicant else []
        else:
            applicant = scribe.random.choice(grown) if grown else None
            concerned = []
        if applicant is None:
            continue
        day = scribe.between(hall.today - _YEAR, hall.today)
        content = application_content(hall, procedure, applicant, concerned, day)
        state, what = content["state"], "arrived"
        if state != "RECEIVED":
            what = state.lower()
        found.append(
            scribe.holding(
                f"{APPLICATION}.{what}",
                application_number(hall, len(found)),
                day,
                content,
                source="application_management",
            )
        )
    return found


def application_number(hall: Hall, count: int) -> str:
    """申請受付番号."""
    return f"{hall.today:%Y}{count + 1:08d}"


def application_content(
    hall: Hall, procedure: str, applicant: Person, concerned: list[Person], day: date
) -> Body:
    """The body of an application; of somebody protected it is always known who they are."""
    random = hall.scribe(APPLICATION).random
    persons = [applicant.number, *(each.number for each in concerned)]
    is_protected = hall.is_protected(*persons)
    is_known = is_protected or random.random() < 0.8
    opens = datetime.combine(day, time(9), JAPAN)  # 申請管理 takes in what came since yesterday
    states = ("IDENTIFIED", "COMPLETED", "COMPLETED", "RETURNED", "WITHDRAWN")
    return {
        "procedure": procedure,
        "state": random.choice(states) if is_known else "RECEIVED",
        "received_at": opens - timedelta(seconds=random.randint(0, 86_399)),
        "certificate_serial": f"{random.getrandbits(64):016X}",
        "applicant_subject_id": applicant.number if is_known else None,
        "applicant_name": applicant.name["full"],
        "applicant_address": anywhere(applicant.address) if applicant.address else None,
        "concerned": [{"subject_id": each.number} for each in concerned] if is_known else [],
        "attachments": random.randint(0, 3),
        "protected": is_protected,
    }


# -- 期日 --------------------------------------------------------------------------------------


def reached(hall: Hall) -> list[Holding]:
    """What was reached by anybody in the last year."""
    found = []
    for person in residents(hall.households):
        born = person.birth["date"]
        if born is None:
            continue
        for milestone, day in milestones(born).items():
            if hall.today - _YEAR < day <= hall.today:
                found.append(milestone_of(hall, person, milestone, day))
    return found


def milestone_of(hall: Hall, person: Person, milestone: str, day: date) -> Holding:
    """One day that one person has reached."""
    content = {"person_subject_id": person.number, "milestone": milestone, "reached_on": day}
    number = f"{person.number}-{milestone}"
    return hall.scribe(MILESTONE).holding(
        f"{MILESTONE}.reached", number, day, content, source="calendar"
    )
