"""個人住民税, 固定資産税, 軽自動車税, 法人住民税: what is levied on whom.

Rates and amounts are those that the law names as standard (地方税法 34条–37条, 310条–314条の6,
350条, 463条の15, 702条の4); who owns and earns what is made up. Sums hold to the yen.
"""

from __future__ import annotations

from datetime import date, timedelta

from bus.sample.municipality.ages import attains, is_at_least
from bus.sample.municipality.numbers import corporate_number, full_width, numbered
from bus.sample.municipality.offices.circumstances import residents, since, spouses
from bus.sample.municipality.offices.hall import Hall
from bus.sample.municipality.offices.holdings import Holding
from bus.sample.municipality.places import Address, anywhere
from bus.sample.municipality.subjects import Body, Person

ASSESSMENT = "individual_resident_tax.assessment"
LAND = "fixed_asset_tax.levy"
VEHICLE = "light_vehicle_tax.vehicle"
CORPORATION = "corporate_resident_tax.levy"

_DEDUCTION, _PER_DEPENDANT = 430_000, 330_000
_FREE, _FREE_EACH, _FREE_MORE = 450_000, 350_000, 310_000  # 非課税限度額, 1級地
_VEHICLE_TAX = {
    "MOPED": 2_000, "LIGHT_TWO_WHEELER": 3_600, "SMALL_TWO_WHEELER": 6_000,
    "LIGHT_PASSENGER": 10_800, "LIGHT_CARGO": 5_000,
}  # fmt: skip
_FIRST_CORPORATION = 30_000_001
_ONE_CORPORATION_IN = 50
_TRADES = ("商事", "工業", "建設", "運輸", "食品", "印刷", "電機", "不動産")


# -- 個人住民税 -------------------------------------------------------------------------------


def assessments(hall: Hall) -> list[Holding]:
    """Everybody who was 18 and lived here on the 1st of January of the year last decided."""
    year = hall.today.year if hall.today >= date(hall.today.year, 6, 1) else hall.today.year - 1
    reference, decided = date(year, 1, 1), date(year, 6, 1)
    found = []
    scribe = hall.scribe(ASSESSMENT)
    for person in residents(hall.households):
        if since(person) <= reference and is_at_least(person, 18, reference):
            content = assessment_content(hall, person, year, decided)
            number = f"{person.number}-{year}"
            found.append(scribe.holding(f"{ASSESSMENT}.assessed", number, decided, content))
    return found


def assessment_content(
    hall: Hall, person: Person, year: int, decided: date, income: int | None = None
) -> Body:
    """The body for one year, of *income* (what is known of the person by default)."""
    known = hall.circumstances
    income = known.income[person.number] if income is None else income
    dependants = len(known.dependants(person))
    limit = _FREE_EACH * (dependants + 1) + _FREE_MORE if dependants else _FREE
    was_helped = known.on_assistance(person.household, date(year, 1, 1))
    is_free = was_helped or income <= limit
    taxable = max(0, income - _DEDUCTION - _PER_DEPENDANT * dependants) // 1_000 * 1_000
    is_retired = is_at_least(person, 65, date(year, 1, 1))
    prefecture = 0 if is_free else taxable * 4 // 100 // 100 * 100
    municipality = 0 if is_free else taxable * 6 // 100 // 100 * 100
    heads = (0, 0) if is_free else (1_000, 3_000)
    return {
        "taxpayer_subject_id": person.number,
        "fiscal_year": year,
        "total_income": income,
        "aggregate_income": income,
        "public_pension_revenue": max(0, income) + 1_100_000 if is_retired else None,
        "income_declared": income != 0,
        "taxable_income": taxable,
        "dependants": dependants,
        "prefectural_income_levy": prefecture,
        "municipal_income_levy": municipality,
        "income_levy": prefecture + municipality,
        "prefectural_per_capita_levy": heads[0],
        "municipal_per_capita_levy": heads[1],
        "per_capita_levy": sum(heads),
        "annual_tax": prefecture + municipality + sum(heads),
        "non_taxable": is_free,
        "decided_on": decided,
    }


# -- 固定資産税 -------------------------------------------------------------------------------


Owner = tuple[str, str | None]
"""宛名番号 and name."""


def land(hall: Hall) -> list[Holding]:
    """Residents and nonresidents who own a house here, some of them with others."""
    found = []
    year = fiscal_year(hall.today)
    first_of_january = date(year, 1, 1)
    random = hall.scribe(LAND).random
    elsewhere = [each for each in hall.holdings("nonresident") if each.content["closed_on"] is None]
    heads = [
        head
        for household in hall.households
        if (head := household.head) is not None
        and since(head) <= first_of_january
        and is_at_least(head, 28, hall.today)
    ]
    for head in heads:
        if random.random() > 0.45:
            continue
        others: list[Owner] = []
        if random.random() < 0.35 and head.household is not None:
            others = [(each.number, each.name["full"]) for each in spouses(head.household)]
        elif elsewhere and random.random() < 0.08:
            other = random.choice(elsewhere)
            others = [(other.number, other.content["name"]["full"])]
        owner = head.number, head.name["full"]
        address = anywhere(head.address) if head.address else None
        is_exempt = hall.circumstances.on_assistance(head.household, first_of_january)
        content = land_content(hall, owner, address, year, others=others, is_exempt=is_exempt)
        found.append(levy(hall, content, "levied"))
    for nonresident in elsewhere:
        if random.random() < 0.4:
            continue
        owner = nonresident.number, nonresident.content["name"]["full"]
        agent = random.choice(heads).number if heads and random.random() < 0.2 else None
        address = nonresident.content["address"]
        found.append(levy(hall, land_content(hall, owner, address, year, agent=agent), "levied"))
    return found


def fiscal_year(day: date) -> int:
    """年度: from the 1st of April."""
    return day.year if day >= date(day.year, 4, 1) else day.year - 1


def land_content(
    hall: Hall,
    owner: Owner,
    address: Address | None,
    year: int,
    *,
    others: list[Owner] | None = None,
    agent: str | None = None,
    is_exempt: bool = False,
) -> Body:
    """The body of one owner's levy; with *others*, all own the same share."""
    random = hall.scribe(LAND).random
    bases = (
        random.randint(800, 30_000) * 1_000,
        random.randint(200, 15_000) * 1_000,
        random.randint(1_500, 9_000) * 1_000 if random.random() < 0.05 else 0,
    )
    tax = 0 if is_exempt else sum(bases) * 14 // 1_000 // 100 * 100
    planning = 0 if is_exempt else sum(bases[:2]) * 3 // 1_000 // 100 * 100
    owners = [owner, *others] if others else []
    return {
        "taxpayer_subject_id": owner[0],
        "taxpayer_name": owner[1],
        "fiscal_year": year,
        "mailing_address": address,
        "tax_agent_subject_id": agent,
        "co_owners": [
            {
                "subject_id": number,
                "name": name,
                "share": f"1/{len(owners)}",
                "representative": number == owner[0],
            }
            for number, name in owners
        ],
        "land_base": bases[0],
        "house_base": bases[1],
        "depreciable_base": bases[2],
        "taxable_base": sum(bases),
        "fixed_asset_tax": tax,
        "city_planning_tax": planning,
        "annual_tax": tax + planning,
        "exempt": is_exempt,
        "decided_on": date(year, 4, 1),
        "protected": hall.is_protected(owner[0], agent, *(number for number, _ in owners)),
    }


def levy(hall: Hall, content: Body, what: str) -> Holding:
    """A levy on land, levied or relevied, under its own number."""
    number = f"{content['taxpayer_subject_id']}-{content['fiscal_year']}"
    return hall.scribe(LAND).holding(f"{LAND}.{what}", number, content["decided_on"], content)


# -- 軽自動車税 -------------------------------------------------------------------------------


def vehicles(hall: Hall) -> list[Holding]:
    """Residents' light vehicles and some nonresidents'; tax of the year as at the 1st of April.

    Whoever is under protection has one, so that it matters.
    """
    found: list[Holding] = []
    scribe = hall.scribe(VEHICLE)
    random = scribe.random
    for person in residents(hall.households):
        if not is_at_least(person, 18, hall.today):
            continue
        if random.random() < 0.22 or hall.is_protected(person.number):
            bought = scribe.between(max(since(person), _eighteenth(person)), hall.today)
            content = vehicle_content(hall, person, bought)
            found.append(_vehicle(hall, content, len(found)))
    for nonresident in hall.holdings("nonresident"):
        if nonresident.content["closed_on"] is None and random.random() < 0.1:
            bought = scribe.between(date(2016, 4, 1), hall.today)
            content = vehicle_content(hall, nonresident, bought)
            found.append(_vehicle(hall, content, len(found)))
    return found


def vehicle_content(hall: Hall, owner: Person | Holding, acquired: date) -> Body:
    """The body of a new vehicle: who owns it uses it, or somebody of the household."""
    random = hall.scribe(VEHICLE).random
    kind = random.choice(list(_VEHICLE_TAX))
    if isinstance(owner, Person):
        name, here = owner.name["full"], owner.address
        address = anywhere(here) if here else None
        members = owner.household.members if owner.household else []
        grown = [each for each in members if is_at_least(each, 18, hall.today)]
        user = random.choice(grown).number if grown and random.random() < 0.2 else owner.number
        is_exempt = owner.number in hall.circumstances.disability and random.random() < 0.6
    else:
        name, address, here = owner.content["name"]["full"], owner.content["address"], None
        user, is_exempt = None, False
    year = fiscal_year(hall.today)
    is_due = acquired <= date(year, 4, 1)
    return {
        "plate": f"{random.randint(480, 599)} a {random.randint(1, 9999):04d}",
        "vehicle_kind": kind,
        "owner_subject_id": owner.number,
        "owner_name": name,
        "owner_address": address,
        "user_subject_id": user,
        "kept_at": here,
        "acquired_on": acquired,
        "disposed_on": None,
        "fiscal_year": year if is_due else None,
        "annual_tax": 0 if is_exempt or not is_due else _VEHICLE_TAX[kind],
        "exempt": is_exempt,
        "protected": hall.is_protected(owner.number, user),
    }


def _vehicle(hall: Hall, content: Body, count: int) -> Holding:
    number = f"{4_000_001 + count:010d}"
    return hall.scribe(VEHICLE).holding(
        f"{VEHICLE}.registered", number, content["acquired_on"], content
    )


def _eighteenth(person: Person) -> date:
    return attains(person.birth["date"], 18)


# -- 法人住民税 -------------------------------------------------------------------------------


def corporations(hall: Hall) -> list[Holding]:
    """Corporations with an office here, each with its last business year's return."""
    found = []
    scribe = hall.scribe(CORPORATION)
    random = scribe.random
    for count in range(max(1, len(hall.persons) // _ONE_CORPORATION_IN)):
        end = date(hall.today.year - 1, random.choice((3, 6, 9, 12)), 30)
        filed = min(scribe.between(end + timedelta(days=30), end + timedelta(days=62)), hall.today)
        name = f"株式会社第{full_width(count + 1)}{random.choice(_TRADES)}"
        content = corporation_content(hall, numbered(_FIRST_CORPORATION + count), name, end, filed)
        number = f"{content['corporation_subject_id']}-{end:%Y%m}"
        found.append(scribe.holding(f"{CORPORATION}.levied", number, filed, content))
    return found


def corporation_content(hall: Hall, number: str, name: str, end: date, filed: date) -> Body:
    """The body of a final return for the year that ends on *end*."""
    random = hall.scribe(CORPORATION).random
    on_tax = 0 if random.random() < 0.5 else random.randint(1, 4_000) * 1_000
    heads = random.choice((50_000, 120_000, 130_000, 150_000))
    return {
        "corporation_subject_id": number,
        "corporate_number": corporate_number(int(number[:-1])),
        "corporation_name": name,
        "term_start": end - timedelta(days=364),
        "term_end": end,
        "filing_kind": "FINAL",
        "corporate_tax_levy": on_tax,
        "per_capita_levy": heads,
        "total_tax": on_tax + heads,
        "filed_on": filed,
    }
