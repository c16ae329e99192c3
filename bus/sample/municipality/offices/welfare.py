"""生活保護, 障害者福祉, 健康管理, 選挙人名簿管理.

Source: 生活保護法 11条, 公職選挙法 9条・21条・22条・27条・28条 (Japanese, 18, three months on the
register; the days of the regular entry; struck off four months after moving out). When a child is
vaccinated follows the usual plan, roughly; certificates and aids are drawn.
"""

from __future__ import annotations

from datetime import date, timedelta

from bus.model import Nature
from bus.sample.municipality import families
from bus.sample.municipality.ages import (
    attains,
    compulsory_school_end,
    is_at_least,
    school_entry,
)
from bus.sample.municipality.offices.circumstances import Assistance, residents, since
from bus.sample.municipality.offices.hall import Hall
from bus.sample.municipality.offices.holdings import Holding
from bus.sample.municipality.subjects import MOVED_OUT, Body, Household, Person

ASSISTANCE = "public_assistance.receipt"
CERTIFICATE = "disability_welfare.certificate"
VACCINATION = "health_management.vaccination"
ROLL = "electoral_roll.registration"

_CHILD_PLAN = (  # vaccine, and at how many months each dose is due
    ("HEPATITIS_B", (2, 3, 8)),
    ("ROTAVIRUS", (2, 3)),
    ("HIB", (2, 3, 4, 12)),
    ("PNEUMOCOCCUS_CHILD", (2, 3, 4, 12)),
    ("DPT_IPV", (2, 3, 4, 12)),
    ("BCG", (6,)),
    ("MEASLES_RUBELLA", (12, 66)),
    ("VARICELLA", (12, 18)),
    ("JAPANESE_ENCEPHALITIS", (36, 37, 48)),
)
_CHILD_PLAN_UNTIL = 12
_HPV_FROM, _HPV_UNTIL = 12, 17
_MONTH = 30.44
_REGULAR_ENTRY = (3, 6, 9, 12)  # the 1st of these months


# -- 生活保護 ----------------------------------------------------------------------------------


def assistance(hall: Hall) -> list[Holding]:
    """Everybody in a household that is, or was, on public assistance."""
    found = []
    scribe = hall.scribe(ASSISTANCE)
    for household in hall.households:
        runs = hall.circumstances.assistance.get(household.number)
        if runs is None:
            continue
        for member in household.members:
            content = assistance_content(hall, household, member, runs)
            day, what = content["started_on"], "started"
            nature = Nature.RECORD
            if runs.ended_on is not None:
                if runs.ended_on < content["started_on"]:
                    continue  # born or moved in after it had ended
                day, what, nature = runs.ended_on, "ended", Nature.CESSATION
            found.append(
                scribe.holding(f"{ASSISTANCE}.{what}", member.number, day, content, nature=nature)
            )
    return found


def assistance_content(hall: Hall, household: Household, person: Person, runs: Assistance) -> Body:
    """The body of a household's member: kinds of aid by what they need."""
    born = person.birth["date"]
    aids = ["LIVELIHOOD", "HOUSING", "MEDICAL"]
    if born is not None and school_entry(born) <= hall.today <= compulsory_school_end(born):
        aids.insert(1, "EDUCATION")
    if person.number in hall.circumstances.care:
        aids.append("LONG_TERM_CARE")
    return {
        "receiving": runs.ended_on is None,
        "household_number": household.number,
        "case_number": household.number[-8:],
        "aids": aids,
        "started_on": max(runs.started_on, since(person)),
        "suspended_on": None,
        "ended_on": runs.ended_on,
    }


# -- 障害者福祉 --------------------------------------------------------------------------------


def certificates(hall: Hall) -> list[Holding]:
    """Whoever holds a certificate of disability; a few hold two."""
    found = []
    scribe = hall.scribe(CERTIFICATE)
    for person in residents(hall.households):
        issued = hall.circumstances.disability.get(person.number)
        if issued is not None:
            content = certificate_content([certificate(hall, issued)])
            if scribe.random.random() < 0.04:
                content["certificates"].append(certificate(hall, issued))
            found.append(scribe.holding(f"{CERTIFICATE}.issued", person.number, issued, content))
    return found


def certificate(hall: Hall, issued: date) -> Body:
    """One certificate; that of a mental disability runs for two years and is renewed."""
    random = hall.scribe(CERTIFICATE).random
    kind = random.choice(("PHYSICAL", "PHYSICAL", "PHYSICAL", "INTELLECTUAL", "MENTAL"))
    valid_to = None
    if kind == "MENTAL":
        valid_to = issued + timedelta(days=729)
        while valid_to < hall.today:
            valid_to += timedelta(days=730)
    grades = {"PHYSICAL": "123456", "INTELLECTUAL": "AB", "MENTAL": "123"}[kind]
    return {
        "kind": kind,
        "number": f"{random.randint(1, 999_999):06d}",
        "grade": random.choice(grades),
        "issued_on": issued,
        "valid_to": valid_to,
        "returned_on": None,
    }


def certificate_content(held: list[Body]) -> Body:
    """The body of somebody who holds these certificates."""
    return {
        "holds_certificate": any(each["returned_on"] is None for each in held),
        "certificates": held,
    }


# -- 健康管理 ----------------------------------------------------------------------------------


def vaccinations(hall: Hall) -> list[Holding]:
    """Children by the usual plan, girls against HPV, the elderly each autumn or once."""
    found = []
    scribe = hall.scribe(VACCINATION)
    for person in residents(hall.households):
        given = _given(hall, person)
        if given:
            day = max(each["given_on"] for each in given)
            content = {"vaccinations": given}
            found.append(scribe.holding(f"{VACCINATION}.given", person.number, day, content))
    return found


def vaccination(hall: Hall, vaccine: str, dose: int, day: date) -> Body:
    """One vaccination."""
    lot = f"LOT{hall.scribe(VACCINATION).random.randint(1, 9999):04d}"
    return {"vaccine": vaccine, "dose": dose, "given_on": day, "lot_number": lot}


def _given(hall: Hall, person: Person) -> list[Body]:
    born, today = person.birth["date"], hall.today
    random = hall.scribe(VACCINATION).random
    if born is None:
        return []
    if attains(born, _CHILD_PLAN_UNTIL) > today:
        late = random.randint(0, 25)
        if random.random() < 0.03:
            return []
        due = [
            (vaccine, dose, born + timedelta(days=round(months * _MONTH) + late))
            for vaccine, doses in _CHILD_PLAN
            for dose, months in enumerate(doses, 1)
        ]
        return [vaccination(hall, *each) for each in due if each[2] <= today]
    if person.sex == families.FEMALE and attains(born, _HPV_UNTIL) > today:
        begin = attains(born, _HPV_FROM) + timedelta(days=random.randint(1, 700))
        due = [("HPV", dose, begin + timedelta(days=183 * (dose - 1))) for dose in (1, 2)]
        if random.random() < 0.4:
            return [vaccination(hall, *each) for each in due if each[2] <= today]
        return []
    if is_at_least(person, 65, today):
        given = []
        autumn = date(today.year if today.month == 12 else today.year - 1, 11, 1)
        if attains(born, 65) <= autumn and random.random() < 0.55:
            day = autumn + timedelta(days=random.randint(-20, 29))
            if attains(born, 65) <= day:
                given.append(vaccination(hall, "INFLUENZA_ELDERLY", 1, day))
        pneumococcus = attains(born, 65) + timedelta(days=random.randint(1, 360))
        if date(2014, 10, 1) <= pneumococcus <= today and random.random() < 0.35:
            given.append(vaccination(hall, "PNEUMOCOCCUS_ELDERLY", 1, pneumococcus))
        return given
    return []


# -- 選挙人名簿 --------------------------------------------------------------------------------


def roll(hall: Hall) -> list[Holding]:
    """Japanese from 18 on, three months on the register, entered on a regular day.

    Who has moved out stays on it, marked, for four months.
    """
    found = []
    scribe = hall.scribe(ROLL)
    for person in hall.persons:
        entered = entered_on_roll(person)
        if entered is None or entered > hall.today:
            continue
        left = person.entry.effective["date"]
        if person.household is not None:
            content = roll_content(hall, person, entered)
            found.append(scribe.holding(f"{ROLL}.registered", person.number, entered, content))
        elif person.state == MOVED_OUT and left is not None and entered <= left:
            content = roll_content(hall, person, entered) | {"marked_on": left}
            struck = months_later(left, 4)
            if struck <= hall.today:
                content |= {"registered": False, "struck_off_on": struck}
                what, day, nature = "struck_off", struck, Nature.CESSATION
            else:
                what, day, nature = "marked", left, Nature.CHANGE
            found.append(
                scribe.holding(f"{ROLL}.{what}", person.number, day, content, nature=nature)
            )
    return found


def entered_on_roll(person: Person) -> date | None:
    """The regular day after somebody is 18 and three months here; None for who is not to vote."""
    born = person.birth["date"]
    if person.is_foreign or born is None:
        return None
    ready = max(attains(born, 18), months_later(since(person), 3))
    for year in (ready.year, ready.year + 1):
        for month in _REGULAR_ENTRY:
            if date(year, month, 1) >= ready:
                return date(year, month, 1)
    raise AssertionError("a year has regular days of entry")


def roll_content(hall: Hall, person: Person, entered: date) -> Body:
    """The body of somebody who is on the roll."""
    address = person.address or {}
    return {
        "registered": True,
        "registered_on": entered,
        "polling_district": f"{address.get('town') or address.get('municipality')}投票区",
        "marked_on": None,
        "struck_off_on": None,
        "protected": hall.is_protected(person.number),
    }


def months_later(day: date, months: int) -> date:
    """The same day so many months later, or that month's last one."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")
