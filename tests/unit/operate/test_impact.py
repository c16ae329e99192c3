"""Whom a change of views touches, counted on the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml

from bus.model import View
from bus.operate.impact import Impact, ItemImpact, ViewComparison, count
from bus.policy import compile_view, read_subscription
from tests.support.lanes import CATALOG, TODAY, Town, hosted
from tests.support.policies import fields_are, text_of

SYSTEM = "child_allowance"
ONE, TWO, THREE, FOUR = (f"{number:015d}" for number in range(1, 5))


def view(text: str, stream: str = "resident") -> View:
    reading = read_subscription(SYSTEM, text.encode(), CATALOG)
    assert reading.errors == ()
    return compile_view(reading.subscriptions[SYSTEM], CATALOG.stream(stream), TODAY)


def of(*fields: str) -> View:
    return view(text_of(SYSTEM, fields_are("resident", *fields)))


def with_(change: Callable[[dict[str, Any]], None]) -> View:
    def changed(streams: dict[str, Any]) -> None:
        change(streams["resident"])

    return view(text_of(SYSTEM, changed))


async def touched(
    town: Town, before: View | None, after: View | None, stream: str = "resident"
) -> Impact:
    comparison = ViewComparison(before, after)
    async with hosted(town, {}) as bus:
        said: list[tuple[int, int]] = []
        unreadable = await count(
            CATALOG.stream(stream),
            town.reader(stream),
            [comparison],
            bus.process,
            lambda *far: said.append(far),
        )
    assert unreadable == 0
    assert not said or said[-1][0] == said[-1][1]
    return comparison.touched


async def test_items_that_are_gained_and_lost(town: Town) -> None:
    """Only of whom there is something to gain or to lose; by the newest event of each."""
    await town.publish("resident", ONE, 1, relationship="02")
    await town.publish("resident", ONE, 2, relationship=None)
    await town.publish("resident", TWO, 1, relationship="02")
    await town.publish("resident", THREE, 1, relationship=None)
    await town.publish("resident", FOUR, 1)
    await town.append("resident", FOUR, None)

    found = await touched(town, of("name.full", "relationship"), of("name.full", "name.kana"))

    assert found == Impact(
        rows=3,
        rows_gained=0,
        rows_lost=0,
        columns={"relationship": ItemImpact(0, 1), "name_kana": ItemImpact(3, 0)},
        subjects=3,
    )


async def test_nobody_is_touched_who_has_nothing_there(town: Town) -> None:
    """A column that is empty for everybody."""
    await town.publish("resident", ONE, 1, relationship=None)

    found = await touched(town, of("name.full", "relationship"), of("name.full"))

    assert (found.rows, found.columns, found.subjects) == (1, {}, 0)


async def test_what_is_withheld_is_not_gained(town: Town) -> None:
    """Whoever of those whom a record names is protected: here the vehicle's owner."""
    vehicle, owner = "light_vehicle_tax.vehicle", "owner_address"

    def of_vehicles(*more: str) -> View:
        def change(streams: dict[str, Any]) -> None:
            streams[vehicle] = streams["resident"] | {
                "event_types": list(CATALOG.stream(vehicle).event_types),
                "fields": ["owner_subject_id", "user_subject_id", "protected", *more],
                "masks": {},
            }

        return view(text_of(SYSTEM, change), vehicle)

    await town.publish("protection", ONE, 1)
    file = CATALOG.folder / f"streams/{vehicle}/examples/valid/moped_of_a_resident.json"
    example = json.loads(file.read_text(encoding="utf-8"))
    for subject, person in (("V-1", ONE), ("V-2", TWO)):
        header = town.record("resident", subject, 1, event_type=f"{vehicle}.registered")["header"]
        people = {"owner_subject_id": person, "user_subject_id": None, "protected": False}
        record = {**example, **people, "header": header}
        await town.append(vehicle, subject, town.framed(CATALOG.stream(vehicle).latest, record))

    found = await touched(town, of_vehicles(), of_vehicles(owner), vehicle)

    assert (found.rows, found.subjects) == (2, 1)
    assert found.columns["owner_address_town"] == ItemImpact(1, 0)


async def test_rows_by_event_type(town: Town) -> None:
    """A row stays at its subject's newest event that the view selects."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1, event_type="resident.died")
    await town.publish("resident", THREE, 1)
    await town.publish("resident", THREE, 2, event_type="resident.died")

    def without_deaths(grant: dict[str, Any]) -> None:
        grant["event_types"].remove("resident.died")

    found = await touched(town, view(text_of(SYSTEM)), with_(without_deaths))

    assert (found.rows, found.rows_gained, found.rows_lost) == (3, 0, 1)
    assert found.subjects == 1


async def test_rows_by_condition(town: Town) -> None:
    """Who no longer fits leaves; who never did is not there."""
    await town.publish("resident", ONE, 1, sex="1")
    await town.publish("resident", TWO, 1, sex="2")
    await town.publish("resident", THREE, 1, sex="1")
    await town.publish("resident", THREE, 2, sex="2")

    def men(grant: dict[str, Any]) -> None:
        grant["where"] = [{"field": "sex", "equals": "1"}]

    found = await touched(town, view(text_of(SYSTEM)), with_(men))

    assert (found.rows, found.rows_lost, found.subjects) == (3, 2, 2)


async def test_a_mask_touches_whoever_has_a_value(town: Town) -> None:
    """It is lost as it was, and gained as it is left."""
    await town.publish("resident", ONE, 1)

    def masked(grant: dict[str, Any]) -> None:
        grant["masks"] = {"name.kana": "present"}

    found = await touched(town, view(text_of(SYSTEM)), with_(masked))

    assert found.columns == {"name_kana": ItemImpact(1, 1)}


async def test_trust_in_a_system_touches_the_protected(town: Town) -> None:
    """Nobody else's address changes by it."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    await town.publish("protection", TWO, 1)

    def capable(grant: dict[str, Any]) -> None:
        grant |= {"suppression": "capable", "suppression_reason": "letters"}

    found = await touched(town, view(text_of(SYSTEM)), with_(capable))

    assert found.subjects == 1
    assert found.columns["address_town"] == ItemImpact(1, 0)


async def test_a_stream_that_is_gained_or_lost(town: Town) -> None:
    """Every subject of it."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)

    gained = await touched(town, None, view(text_of(SYSTEM)))
    lost = await touched(town, view(text_of(SYSTEM)), None)

    assert (gained.rows, gained.rows_gained, gained.subjects) == (0, 2, 2)
    assert (lost.rows, lost.rows_lost, lost.subjects) == (2, 2, 2)


def test_texts_of_these_tests_are_yaml() -> None:
    """And say what the file says where nothing is changed."""
    file = CATALOG.folder / "subscriptions" / f"{SYSTEM}.yaml"
    assert yaml.safe_load(text_of(SYSTEM)) == yaml.safe_load(file.read_text("utf-8"))
