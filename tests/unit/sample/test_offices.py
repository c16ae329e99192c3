"""What seventeen systems say of the same people fits together, and every check lets it pass.

Ages, school years and sums are worked out here anew, from the laws; nothing of the generator is
used but its rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from bus.catalog import Catalog, load
from bus.model import Severity
from bus.publish.check import Checker
from bus.sample.municipality import Municipality
from bus.sample.municipality.register import ALL_STREAMS, LOADED_AT

pytestmark = pytest.mark.slow

TODAY = date(2026, 4, 1)
Row = dict[str, Any]
Rows = dict[str, list[Row]]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.fixture(scope="module")
def rows(catalog: Catalog) -> Rows:
    """A town of 6,000 as all systems have it. Not to be changed."""
    town = Municipality(seed=11, population=6_000)
    return {
        name: [row for batch in town.columns(catalog.stream(name)) for row in batch.to_pylist()]
        for name in ALL_STREAMS
    }


@pytest.fixture(scope="module")
def people(rows: Rows) -> dict[str, Row]:
    return {row["header"]["subject_id"]: row for row in rows["resident"]}


@pytest.fixture(scope="module")
def under_protection(rows: Rows) -> set[str]:
    return {number_of(row) for row in rows["protection"] if row["status"] != "ENDED"}


def number_of(row: Row) -> str:
    return str(row["header"]["subject_id"])


def age_on(row: Row, day: date) -> int | None:
    """Full years by counting birthdays, one day early as 年齢計算ニ関する法律 has it."""
    born = row["birth_date"]["date"]
    if born is None:
        return None
    tomorrow = day + timedelta(days=1)
    had = (tomorrow.month, tomorrow.day) >= (born.month, born.day)
    return tomorrow.year - born.year - (0 if had else 1)


def years_on_birthdays(row: Row, day: date) -> int | None:
    """Full years as everybody counts them: on the birthday itself."""
    born = row["birth_date"]["date"]
    if born is None:
        return None
    return day.year - born.year - (0 if (day.month, day.day) >= (born.month, born.day) else 1)


def grade_of(row: Row) -> int | None:
    """The school year of somebody in April 2026: first graders were born up to 2020-04-01."""
    born = row["birth_date"]["date"]
    if born is None:
        return None
    return 2026 - (born.year if (born.month, born.day) > (4, 1) else born.year - 1) - 6


def ids(value: Any, path: list[str]) -> Iterator[str]:
    """What a path of ``x-persons`` leads to, lists on the way allowed."""
    if isinstance(value, list):
        for each in value:
            yield from ids(each, path)
    elif value is not None:
        if path:
            yield from ids(value[path[0]], path[1:])
        else:
            yield value


# -- every stream ---------------------------------------------------------------------------------


def test_every_published_stream_has_records(catalog: Catalog, rows: Rows) -> None:
    """Of all that the catalogue publishes there is something, each subject once."""
    published = {s.name for s in catalog.streams.values() if s.providers}

    assert set(rows) == published
    for name, held in rows.items():
        assert held, name
        assert len({number_of(row) for row in held}) == len(held), name


@pytest.mark.slow
@pytest.mark.parametrize("stream", ALL_STREAMS)
def test_nothing_is_wrong_or_doubtful(catalog: Catalog, stream: str) -> None:
    """Every check of the publisher, warnings included; but for a birth on a day of no calendar."""
    town = Municipality(seed=12, population=1_500)
    checker = Checker(catalog, catalog.stream(stream))

    for batch in town.columns(catalog.stream(stream)):
        found = [(each.code, each.severity) for each in checker.find(batch, LOADED_AT)]
        assert found == [] or (stream, found) == (
            "resident",
            [("no-calendar-date", Severity.WARNING)],
        )


def test_each_record_comes_from_a_provider_of_its_stream(catalog: Catalog, rows: Rows) -> None:
    """``source`` is one of those that the schema names."""
    for name, held in rows.items():
        assert {row["header"]["source"] for row in held} <= set(catalog.stream(name).providers)


def test_whoever_is_named_is_known(catalog: Catalog, rows: Rows, people: dict[str, Row]) -> None:
    """Every 宛名番号 belongs to a resident, a former one, or a nonresident."""
    known = set(people) | {number_of(row) for row in rows["nonresident"]}
    for name, held in rows.items():
        for path in catalog.stream(name).persons:
            for row in held:
                assert set(ids(row, path.split("."))) <= known, (name, path)


def test_a_record_is_flagged_if_anybody_in_it_is_protected(
    catalog: Catalog, rows: Rows, under_protection: set[str]
) -> None:
    """Owner, co-owner, agent, user, guardian, applicant: by the paths that the schema gives."""
    flagged = Counter[str]()
    for name, held in rows.items():
        stream = catalog.stream(name)
        if not held or "protected" not in held[0]:
            continue
        for row in held:
            named = {each for path in stream.persons for each in ids(row, path.split("."))}
            assert row["protected"] == bool(named & under_protection), name
            flagged[name] += row["protected"]
    assert flagged["school_enrollment.enrollment"]
    assert flagged["fixed_asset_tax.levy"]
    assert flagged["light_vehicle_tax.vehicle"]
    assert flagged["nonresident"]


def test_nothing_is_of_tomorrow(rows: Rows) -> None:
    """Processed by the load; effective by then too."""
    for name, held in rows.items():
        for row in held:
            assert row["header"]["processed_at"] <= LOADED_AT, name
            effective = row["header"]["effective_date"]["date"]
            assert effective is None or effective <= TODAY, name


# -- insurance and pension ------------------------------------------------------------------------


def insured(rows: Rows, stream: str) -> dict[str, Row]:
    return {number_of(row): row for row in rows[stream] if row["insured"]}


def test_nobody_is_insured_twice(rows: Rows) -> None:
    """国保, 後期高齢 and 生活保護 exclude each other."""
    health = insured(rows, "national_health_insurance.qualification")
    elderly = insured(rows, "late_elderly_medical.qualification")
    helped = {number_of(row) for row in rows["public_assistance.receipt"] if row["receiving"]}

    assert len(health) > 500
    assert not health.keys() & elderly.keys()
    assert helped
    assert not helped & (health.keys() | elderly.keys())


def test_elderly_care_begins_on_the_75th_birthday(rows: Rows, people: dict[str, Row]) -> None:
    """Or from 65 with a certificate of disability; not before the law, not before moving in."""
    certified = {number_of(row): row for row in rows["disability_welfare.certificate"]}
    found = insured(rows, "late_elderly_medical.qualification")
    grounds = Counter(row["ground"] for row in found.values())

    assert grounds["AGE_75"] > 200
    assert grounds["DISABILITY"]
    assert grounds["MOVED_IN"]
    for number, row in found.items():
        person, acquired = people[number], row["acquired_on"]
        years = years_on_birthdays(person, acquired)
        assert years is not None
        assert acquired >= date(2008, 4, 1)
        if row["ground"] == "DISABILITY":
            assert (age_on(person, acquired) or 0) >= 65
            assert years < 75
            assert certified[number]["certificates"][0]["issued_on"] <= acquired
        else:
            assert years >= 75
        if row["ground"] == "AGE_75" and acquired > date(2008, 4, 1):
            born = person["birth_date"]["date"]
            assert (acquired.month, acquired.day) in {(born.month, born.day), (3, 1)}


def test_every_resident_of_75_is_insured_as_elderly(rows: Rows, people: dict[str, Row]) -> None:
    """Unless on public assistance; somebody whose birth date is unknown is in none of it."""
    found = insured(rows, "late_elderly_medical.qualification")
    helped = {number_of(row) for row in rows["public_assistance.receipt"] if row["receiving"]}
    old = {
        number
        for number, person in people.items()
        if person["resident_state"] == "1" and (years_on_birthdays(person, TODAY) or 0) >= 75
    }
    unknown = {number for number, person in people.items() if not person["birth_date"]["date"]}

    assert old - helped <= found.keys()
    assert unknown
    for stream in ("late_elderly_medical", "long_term_care_insurance", "national_pension"):
        assert not unknown & {number_of(row) for row in rows[f"{stream}.qualification"]}


def test_long_term_care_is_first_class_from_65(rows: Rows, people: dict[str, Row]) -> None:
    """The day before the birthday; second class only from 40 and with a care level."""
    levels = {number_of(row) for row in rows["long_term_care_insurance.care_level"]}
    found = insured(rows, "long_term_care_insurance.qualification")
    for number, row in found.items():
        age, then = age_on(people[number], TODAY), age_on(people[number], row["acquired_on"])
        assert age is not None
        assert then is not None
        if row["insured_class"] == "FIRST":
            assert then >= 65
        else:
            assert 40 <= then <= age < 65
            assert number in levels
    old = {
        number
        for number, person in people.items()
        if person["resident_state"] == "1" and (age_on(person, TODAY) or 0) >= 65
    }
    assert {n for n, row in found.items() if row["insured_class"] == "FIRST"} == old
    assert levels <= found.keys()


def test_pension_is_from_20_to_59(rows: Rows, people: dict[str, Row]) -> None:
    """Whoever is older is enrolled of their own will, up to 64; at 60 it ends the day before."""
    kinds = Counter[str]()
    for row in rows["national_pension.qualification"]:
        person = people[number_of(row)]
        age = age_on(person, TODAY)
        assert age is not None
        kinds[row["insured_kind"]] += 1
        if not row["enrolled"]:
            assert age_on(person, row["lost_on"]) == 60
            assert age_on(person, row["lost_on"] - timedelta(days=1)) == 59
        elif row["insured_kind"] == "VOLUNTARY":
            assert 60 <= age < 65
        else:
            assert 20 <= age < 60
    assert all(kinds[kind] for kind in ("FIRST", "SECOND", "THIRD", "VOLUNTARY"))


def test_who_left_has_lost_what_they_had(rows: Rows, people: dict[str, Row]) -> None:
    """Nobody who moved out or died is insured."""
    for stream in ("national_health_insurance", "late_elderly_medical", "long_term_care_insurance"):
        held = rows[f"{stream}.qualification"]
        gone = [row for row in held if people[number_of(row)]["resident_state"] != "1"]
        assert all(not row["insured"] and row["lost_on"] for row in gone)
        assert all(row["insured"] or row["lost_on"] for row in held)
    held = rows["national_health_insurance.qualification"]
    assert any(
        not row["insured"] and people[number_of(row)]["resident_state"] == "1" for row in held
    )


# -- children -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def households(rows: Rows) -> dict[str, set[str]]:
    """Who lives with whom: by member, the members."""
    found: dict[str, set[str]] = {}
    for row in rows["household"]:
        members = {member["subject_id"] for member in row["members"]}
        found |= dict.fromkeys(members, members)
    return found


def assert_is_parent(
    people: dict[str, Row], households: dict[str, set[str]], parent: str, child: str
) -> None:
    """They live together, and the parent is older by a generation."""
    assert people[parent]["resident_state"] == "1"
    assert child in households[parent]
    older, younger = (people[each]["birth_date"]["date"] for each in (parent, child))
    assert (younger - older).days > 15 * 365


@pytest.mark.parametrize("stream", ["child_allowance.receipt", "child_rearing_allowance.receipt"])
def test_an_allowance_goes_to_a_parent_in_the_household(
    rows: Rows, people: dict[str, Row], households: dict[str, set[str]], stream: str
) -> None:
    """For children up to the school year's end after 18, eldest first, none twice."""
    children = []
    for row in rows[stream]:
        for child in row["children"]:
            assert_is_parent(people, households, number_of(row), child["subject_id"])
            grade = grade_of(people[child["subject_id"]])
            assert grade is not None
            assert grade <= 12
        births = [people[each["subject_id"]]["birth_date"]["date"] for each in row["children"]]
        assert births == sorted(births)
        assert [each["order"] for each in row["children"]] == list(range(1, len(births) + 1))
        assert (row["monthly_amount"] > 0) == row["receiving"]
        assert row["start_month"].day == 1
        children += [each["subject_id"] for each in row["children"]]
    assert len(children) > 100
    assert len(set(children)) == len(children)


def test_a_rearing_allowance_is_for_single_parents(
    rows: Rows, people: dict[str, Row], households: dict[str, set[str]]
) -> None:
    """Nobody in the household is the recipient's spouse."""
    for row in rows["child_rearing_allowance.receipt"]:
        relations = {people[member]["relationship"] for member in households[number_of(row)]}
        assert not relations & {"11", "12", "13", "14"}


def test_school_is_for_nine_years(
    rows: Rows, people: dict[str, Row], households: dict[str, set[str]]
) -> None:
    """By school year; the guardian lives, and lives there; foreign children by choice."""
    at_school = {number_of(row): row for row in rows["school_enrollment.enrollment"]}
    for number, row in at_school.items():
        grade = grade_of(people[number])
        assert grade is not None
        assert 1 <= grade <= 9
        if row["school_kind"] in {"ELEMENTARY", "JUNIOR_HIGH"}:
            assert row["grade"] == (grade if row["school_kind"] == "ELEMENTARY" else grade - 6)
        if row["guardian_subject_id"] is not None:
            assert_is_parent(people, households, row["guardian_subject_id"], number)
    due = {
        number
        for number, person in people.items()
        if person["resident_state"] == "1"
        and person["resident_kind"] == "1"
        and 1 <= (grade_of(person) or 0) <= 9
    }
    assert len(due) > 200
    assert due <= at_school.keys()


def test_childcare_is_before_school(
    rows: Rows, people: dict[str, Row], households: dict[str, set[str]]
) -> None:
    """Third category under 3; no fee from 3 on."""
    categories = Counter[str]()
    for row in rows["child_childcare_support.certification"]:
        child = people[number_of(row)]
        grade, age = grade_of(child), age_on(child, TODAY)
        assert grade is not None
        assert grade <= 0
        assert age is not None
        assert (row["category"] == "THIRD") == (age < 3)
        assert (row["hours"] is None) == (row["category"] == "FIRST")
        assert row["category"] == "THIRD" or row["free_of_charge"]
        assert row["valid_from"] <= TODAY <= row["valid_to"]
        assert_is_parent(people, households, row["guardian_subject_id"], number_of(row))
        categories[row["category"]] += 1
    assert all(categories[name] for name in ("FIRST", "SECOND", "THIRD"))


def test_vaccinations_come_after_birth_and_in_order(rows: Rows, people: dict[str, Row]) -> None:
    """Doses of one vaccine count up with the days; old people's vaccines are for the old."""
    for row in rows["health_management.vaccination"]:
        born = people[number_of(row)]["birth_date"]["date"]
        doses = defaultdict(list)
        for each in row["vaccinations"]:
            assert born < each["given_on"] <= TODAY
            doses[each["vaccine"]].append((each["dose"], each["given_on"]))
            if each["vaccine"].endswith("_ELDERLY"):
                assert (age_on(people[number_of(row)], each["given_on"]) or 0) >= 65
        for given in doses.values():
            assert given == sorted(given)
            assert [dose for dose, _ in given] == list(range(1, len(given) + 1))
            assert [day for _, day in given] == sorted(day for _, day in given)


# -- the others -----------------------------------------------------------------------------------


def test_electors_are_japanese_and_grown_and_here_for_three_months(
    rows: Rows, people: dict[str, Row]
) -> None:
    """On a regular day of entry; who moved out is marked, and struck off four months later."""
    ends = Counter[str]()
    for row in rows["electoral_roll.registration"]:
        person, entered = people[number_of(row)], row["registered_on"]
        assert person["resident_kind"] == "1"
        assert (age_on(person, entered) or 0) >= 18
        assert entered.day == 1
        assert entered.month in {3, 6, 9, 12}
        came = person["became_resident_on"]["date"]
        assert came is None or (entered - came).days >= 89
        assert row["registered"] == (row["struck_off_on"] is None)
        assert (row["marked_on"] is None) == (person["resident_state"] == "1")
        if row["struck_off_on"]:
            assert (row["struck_off_on"] - row["marked_on"]).days in range(119, 124)
        ends["struck" if row["struck_off_on"] else "marked" if row["marked_on"] else "on"] += 1
    assert ends["on"] > 3_000
    assert ends["struck"]


def test_sums_of_assessments_hold(
    rows: Rows, people: dict[str, Row], households: dict[str, set[str]]
) -> None:
    """Municipal six, prefectural four of a hundred; nothing for whoever is not taxed."""
    helped = {number_of(row): row for row in rows["public_assistance.receipt"]}
    kinds = Counter[bool]()
    for row in rows["individual_resident_tax.assessment"]:
        number = row["taxpayer_subject_id"]
        assert number_of(row) == f"{number}-{row['fiscal_year']}"
        assert (age_on(people[number], date(row["fiscal_year"], 1, 1)) or 0) >= 18
        assert 0 <= row["dependants"] < len(households[number])
        levies = [row[f"{whose}_income_levy"] for whose in ("municipal", "prefectural")]
        heads = [row[f"{whose}_per_capita_levy"] for whose in ("municipal", "prefectural")]
        if row["non_taxable"]:
            assert levies + heads == [0, 0, 0, 0]
        else:
            assert levies[0] == row["taxable_income"] * 6 // 100 // 100 * 100
            assert levies[1] == row["taxable_income"] * 4 // 100 // 100 * 100
            assert heads == [3_000, 1_000]
        assert row["income_levy"] == sum(levies)
        assert (
            row["annual_tax"]
            == sum(levies) + sum(heads)
            == row["income_levy"] + row["per_capita_levy"]
        )
        if number in helped and helped[number]["started_on"] <= date(row["fiscal_year"], 1, 1):
            assert row["non_taxable"] or helped[number]["ended_on"]
        kinds[row["non_taxable"]] += 1
    assert kinds[True] > 300
    assert kinds[False] > 1_000


def test_dependants_are_nobodys_twice(rows: Rows, households: dict[str, set[str]]) -> None:
    """One person in a household has dependants, and fewer than live there."""
    claims = Counter[frozenset[str]]()
    for row in rows["individual_resident_tax.assessment"]:
        if row["dependants"]:
            claims[frozenset(households[row["taxpayer_subject_id"]])] += 1
    assert claims
    assert set(claims.values()) == {1}


def test_land_and_vehicles_belong_to_people_who_live(rows: Rows, people: dict[str, Row]) -> None:
    """Residents, nonresidents, together or alone; the shares of co-owners make one."""
    elsewhere = {number_of(row) for row in rows["nonresident"] if not row["closed_on"]}
    living = {number for number, row in people.items() if row["resident_state"] == "1"}
    owners = Counter[str]()
    for row in rows["fixed_asset_tax.levy"]:
        named = {each["subject_id"] for each in row["co_owners"]} | {row["taxpayer_subject_id"]}
        assert named <= elsewhere | living
        owners["elsewhere" if row["taxpayer_subject_id"] in elsewhere else "here"] += 1
        owners["together"] += bool(row["co_owners"])
        owners["agent"] += row["tax_agent_subject_id"] is not None
        if row["co_owners"]:
            assert row["taxpayer_subject_id"] in {each["subject_id"] for each in row["co_owners"]}
            assert {each["share"] for each in row["co_owners"]} == {f"1/{len(row['co_owners'])}"}
            assert sum(each["representative"] for each in row["co_owners"]) == 1
        assert row["annual_tax"] == row["fixed_asset_tax"] + row["city_planning_tax"]
    for row in rows["light_vehicle_tax.vehicle"]:
        assert {row["owner_subject_id"], row["user_subject_id"]} - {None} <= elsewhere | living
        owners["vehicle elsewhere"] += row["owner_subject_id"] in elsewhere
        if row["owner_subject_id"] in people:
            assert row["kept_at"] == people[row["owner_subject_id"]]["address"]
    assert all(
        owners[kind] for kind in ("elsewhere", "here", "together", "agent", "vehicle elsewhere")
    )


def test_a_linked_nonresident_is_the_resident(rows: Rows, people: dict[str, Row]) -> None:
    """The same name and birth date, another number; some links were undone."""
    events = Counter(row["header"]["event_type"].rpartition(".")[2] for row in rows["nonresident"])
    linked = [row for row in rows["nonresident"] if row["linked_source"]]

    assert all(events[kind] for kind in ("registered", "linked", "unlinked", "closed"))
    assert linked
    for row in linked:
        resident = people[row["linked_to"]]
        assert (row["name"], row["birth_date"]) == (resident["name"], resident["birth_date"])
    numbers = {number_of(row) for row in rows["nonresident"]}
    assert not numbers & people.keys()
    from_elsewhere = {
        number_of(row) for row in rows["protection"] if row["from_other_municipality"]
    }
    assert from_elsewhere
    assert from_elsewhere <= numbers


def test_every_procedure_is_applied_for(
    catalog: Catalog, rows: Rows, people: dict[str, Row]
) -> None:
    """All 31; an applicant who is not identified has a certificate's serial and no number."""
    held = rows["application.received"]

    assert {row["procedure"] for row in held} == set(catalog.codes["procedures"].entries)
    assert any(row["applicant_subject_id"] is None for row in held)
    for row in held:
        assert row["certificate_serial"]
        if row["applicant_subject_id"] is None:
            assert row["state"] == "RECEIVED"
            assert not row["concerned"]
            assert not row["protected"]
        else:
            assert people[row["applicant_subject_id"]]["name"]["full"] == row["applicant_name"]


def test_milestones_are_on_the_days_of_the_law(rows: Rows, people: dict[str, Row]) -> None:
    """65 the day before the birthday, 75 on it, school in April; none without a birth date."""
    seen = Counter[str]()
    for row in rows["calendar.milestone"]:
        person, day, kind = people[row["person_subject_id"]], row["reached_on"], row["milestone"]
        assert number_of(row) == f"{row['person_subject_id']}-{kind}"
        before = day - timedelta(days=1)
        seen[kind] += 1
        if kind == "AGE_75":
            assert (years_on_birthdays(person, day), years_on_birthdays(person, before)) == (75, 74)
        elif kind.startswith("AGE_"):
            years = int(kind[4:])
            assert (age_on(person, day), age_on(person, before)) == (years, years - 1)
        else:
            grade = grade_of(person)
            assert grade is not None
            expected = {"SCHOOL_ENTRY": 1, "COMPULSORY_SCHOOL_END": 10, "CHILD_ALLOWANCE_END": 13}
            assert grade == expected[kind]
            assert (day.month, day.day) == ((4, 1) if kind == "SCHOOL_ENTRY" else (3, 31))
    assert len(seen) == 9


def test_individual_numbers_are_everybodys_own(rows: Rows, people: dict[str, Row]) -> None:
    """Twelve digits that check, each once, of everybody in the register."""
    numbers = {number_of(row): row["number"] for row in rows["individual_number"]}

    assert numbers.keys() == people.keys()
    assert len(set(numbers.values())) == len(numbers)
    for number in numbers.values():
        total = sum(
            int(digit) * (place + 1 if place <= 6 else place - 5)
            for place, digit in enumerate(reversed(number[:-1]), 1)
        )
        assert number[-1] == str(0 if total % 11 <= 1 else 11 - total % 11)


def test_corporations_have_numbers_and_sums(rows: Rows) -> None:
    """法人番号 checks; the whole is its parts."""
    for row in rows["corporate_resident_tax.levy"]:
        number = row["corporate_number"]
        total = sum(
            int(digit) * (1 if place % 2 else 2)
            for place, digit in enumerate(reversed(number[1:]), 1)
        )
        assert number[0] == str(9 - total % 9)
        assert row["total_tax"] == row["corporate_tax_levy"] + row["per_capita_levy"]
        assert row["term_start"] < row["term_end"] <= row["filed_on"]


def test_the_same_seed_gives_the_same_records(catalog: Catalog) -> None:
    """In whatever order they are asked for."""
    one, other = Municipality(5, 300), Municipality(5, 300)
    forward = {name: list(one.columns(catalog.stream(name))) for name in ALL_STREAMS}
    backward = {name: list(other.columns(catalog.stream(name))) for name in reversed(ALL_STREAMS)}

    assert forward == backward
