"""What the systems do because of the register: accepted by the real publisher, one after another.

The demo's own story is told here without engines, so that what it shows is known to be sound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from bus.broker import TopicSpec
from bus.broker.memory import MemoryBroker
from bus.catalog import Catalog, load
from bus.demo.run import SEED
from bus.demo.story import scenes
from bus.model import Change
from bus.publish.publisher import Publisher, PublisherSettings
from bus.sample.municipality import Municipality, consequences, events
from bus.sample.municipality.register import ALL_STREAMS
from bus.sealing import Seals
from tests.support.keys import Pocket
from tests.support.lanes import FixedRegistry

pytestmark = pytest.mark.slow

AT = datetime.fromisoformat("2026-11-24T10:00:00+09:00")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.fixture
async def publisher(catalog: Catalog) -> AsyncIterator[Publisher]:
    """The real publisher at a cluster in memory, whose clock allows for a whole day."""
    broker = MemoryBroker()
    await broker.create_topics(
        [TopicSpec(stream.topic, 2, 1, {}) for stream in catalog.streams.values()]
    )
    made = Publisher(
        catalog,
        FixedRegistry(catalog),
        broker,
        PublisherSettings(now=lambda: AT),
        seals=Seals(Pocket("2026")),
    )
    await made.start()
    yield made
    await made.close()


async def load_all(publisher: Publisher, catalog: Catalog, town: Municipality) -> None:
    """The first load of every stream, as columns."""
    for name in ALL_STREAMS:
        for batch in town.columns(catalog.stream(name)):
            outcome = await publisher.publish_columns(catalog.stream(name), batch)
            assert outcome.refused == ()
            assert outcome.published == batch.num_rows


async def accept(publisher: Publisher, change: Change) -> None:
    (outcome,) = await publisher.publish([change])
    assert [fault for fault in outcome.faults if fault.code != "no-calendar-date"] == []
    assert outcome.is_published


@pytest.mark.parametrize("population", [1_000, pytest.param(2_500, marks=pytest.mark.slow)])
async def test_the_story_is_accepted_and_everybody_publishes(
    publisher: Publisher, catalog: Catalog, population: int
) -> None:
    """Each change is the next of its subjects; all seventeen and their neighbours speak."""
    town = Municipality(SEED, population)
    await load_all(publisher, catalog, town)
    told: list[tuple[str, Change]] = []
    for second, scene in enumerate(scenes(town)):
        change = scene.make(AT + timedelta(seconds=second))
        await accept(publisher, change)
        told.append((scene.kind, change))

    kinds = [kind for kind, _ in told]
    assert len(set(kinds)) == len(kinds)
    providers = {name for stream in catalog.streams.values() for name in stream.providers}
    assert {change.source for _, change in told} == providers
    for _, change in told:
        assert all(
            change.source in catalog.stream(record.stream).providers for record in change.records
        )


@pytest.fixture(scope="module")
def told() -> dict[str, Change]:
    """The story of a small town, by kind of scene."""
    return {
        scene.kind: scene.make(AT + timedelta(seconds=second))
        for second, scene in enumerate(scenes(Municipality(SEED, 1_000)))
    }


def body(change: Change) -> dict[str, Any]:
    return dict(change.records[0].body)


def test_what_belongs_to_a_family_moves_with_it(told: dict[str, Change]) -> None:
    """Vehicle and levy have the very address that the register gave."""
    moved = body(told["family_moves"])["address"]

    assert body(told["vehicle_follows"])["kept_at"] == moved
    mailed = body(told["levy_follows"])["mailing_address"]
    assert {name: mailed[name] for name in moved} == moved
    assert moved["town"] in body(told["school_changes"])["school"] or (
        body(told["school_changes"])["school_kind"] in {"OTHER", "SPECIAL_NEEDS"}
    )


def test_who_moves_in_is_insured_and_granted_an_allowance(told: dict[str, Change]) -> None:
    """All four in 国保 from that very day; one parent for both children."""
    came = {
        record.subject_id: record
        for record in told["family_moves_in"].records
        if record.stream == "resident"
    }
    insured = {record.subject_id: record for record in told["health_insurance_begins"].records}
    granted = told["allowance_is_granted"].records[0]

    assert insured.keys() == came.keys()
    for number, record in insured.items():
        assert record.body["acquired_on"] == body_of(came[number])["became_resident_on"]["date"]
    assert granted.subject_id in came
    assert {each["subject_id"] for each in body_of(granted)["children"]} < came.keys()


def body_of(record: Any) -> dict[str, Any]:
    return dict(record.body)


def test_a_birthday_is_followed_by_its_insurance(told: dict[str, Change]) -> None:
    """65 and 75: the day of the milestone is the day of the insurance, or when they moved in."""
    for milestone, insurance in (
        ("turns_65", "care_insurance_begins"),
        ("turns_75", "elderly_care_begins"),
    ):
        reached = body(told[milestone])
        assert told[insurance].records[0].subject_id == reached["person_subject_id"]
        assert body(told[insurance])["acquired_on"] >= reached["reached_on"]


def test_a_protected_person_is_flagged_wherever_the_location_goes(told: dict[str, Change]) -> None:
    """In the vehicle's record as in the register's."""
    assert body(told["protected_person_moves"])["protected"] is True
    assert body(told["protected_vehicle_follows"])["protected"] is True
    assert body(told["vehicle_follows"])["protected"] is False


def test_an_allowance_grows_with_a_birth() -> None:
    """Who has one already gets the next version of it, with one child more."""
    town = Municipality(4, 600)
    held = {each.number: each for each in town.hall.holdings("child_allowance.receipt")}
    household = town.some_household(
        lambda each: (
            len(each.members) == 3
            and any(m.number in held for m in each.members)
            and len([m for m in each.members if m.relationship in {"02", "11", "12"}]) == 2
            and any(m.sex == "2" and m.relationship != "20" for m in each.members)
        )
    )
    before = {m.number: held[m.number].content for m in household.members if m.number in held}
    events.birth(town, AT, household)

    (record,) = consequences.allowance_is_granted(town, AT, household).records

    assert record.event_type == "child_allowance.receipt.changed"
    assert record.version == 2
    assert len(body_of(record)["children"]) == len(before[record.subject_id]["children"]) + 1


def test_leaving_health_insurance_at_75_is_on_the_same_day() -> None:
    """後期高齢 begins on the day on which 国保 ends."""
    town = Municipality(6, 3_000)
    insured = {
        each.number
        for each in town.hall.holdings("national_health_insurance.qualification")
        if each.content["insured"]
    }
    town.hall.turn_to(AT)
    person = next(
        each
        for each in town.residents()
        if each.number in insured
        and (born := each.birth["date"]) is not None
        and date(1951, 4, 2) <= born <= date(1951, 11, 24)
    )

    begins = consequences.elderly_care_begins(town, AT, person)
    ends = consequences.health_insurance_ends(town, AT, person)

    assert (
        body(begins)["acquired_on"] == body(ends)["lost_on"] == f"2026-{person.birth['date']:%m-%d}"
    )
    with pytest.raises(LookupError):
        consequences.health_insurance_ends(town, AT, person)


def test_other_things_can_happen_too() -> None:
    """A care level, a number for a newborn, school for those who came."""
    town = Municipality(8, 800)
    child = events.birth(town, AT).records[0].subject_id
    person = next(each for each in town.persons if each.number == child)

    assigned = consequences.number_is_assigned(town, AT, person)
    certified = consequences.care_is_certified(town, AT)

    assert assigned.source == "resident_registry"
    assert assigned.records[0].subject_id == child
    assert body(certified)["care_level"] == "CARE_1"


def test_the_register_is_left_in_peace_by_the_others() -> None:
    """Many changes of other systems later, a family's move can still be corrected."""
    town = Municipality(9, 600)
    moved = events.family_moves(town, AT)
    for _ in range(12):
        consequences.tax_is_reassessed(town, AT)

    assert len(events.correction(town, AT, moved).records) == len(moved.records)
