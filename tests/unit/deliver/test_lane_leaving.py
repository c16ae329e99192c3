"""A view with conditions: who no longer fits them leaves the store, and comes back by fitting."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bus.deliver.leaving import part
from bus.errors import LaneError
from bus.failpoints import Point
from bus.log.run import Run
from bus.model import LaneName, View
from bus.policy import compile_view
from bus.policy.grants import Where
from tests.support.lanes import CATALOG, SUBSCRIPTIONS, TODAY, Town, hosted

SYSTEM = "child_allowance"
LANE = LaneName(SYSTEM, "resident", 0)
ONE, TWO = "000000000000001", "000000000000002"
UNFIT = "a\x00b"  # the store takes no NUL
HERE, GONE = "1", "2"


def residents(**changed: Any) -> Callable[[str, str], View]:
    """What child_allowance sees, of those alone who are residents now."""
    subscription = SUBSCRIPTIONS[SYSTEM]
    rule = Where.model_validate({"field": "resident_state", "equals": HERE})
    grant = subscription.streams["resident"].model_copy(update={"where": (rule,)})
    streams = {**subscription.streams, "resident": grant}
    narrowed = subscription.model_copy(update={"streams": streams})
    view = replace(compile_view(narrowed, CATALOG.stream("resident"), TODAY), **changed)
    return lambda _system, _stream: view


RESIDENTS = residents()


def one_batch(town: Town, *events: tuple[str, int, str]) -> Any:
    """Publish events (subject, version, state) before anybody reads."""

    async def publish() -> None:
        for subject, version, state in events:
            await town.publish("resident", subject, version, resident_state=state)

    return publish()


async def test_who_leaves_is_erased(town: Town, sinks, store) -> None:
    """The event that says so is not delivered: only that the subject is to go."""
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await town.publish("resident", ONE, 1, resident_state=HERE)
        await town.publish("resident", TWO, 1, resident_state=HERE)
        await bus.at(2)
        assert store.versions() == {ONE: 1, TWO: 1}

        await town.publish("resident", ONE, 2, resident_state=GONE)
        await bus.at(3)

    assert store.versions() == {TWO: 1}
    said = [row["delivered"] for row in town.read_all("receipt")]
    assert "{[2,3)}" not in said  # nothing was given of it


async def test_who_comes_back_is_there_again(town: Town, sinks, store) -> None:
    """With the newest version."""
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        for version, state in enumerate((HERE, GONE, HERE), start=1):
            offset = await town.publish("resident", ONE, version, resident_state=state)
            await bus.at(offset + 1)

    assert store.versions() == {ONE: 3}


@pytest.mark.parametrize(
    ("states", "held"),
    [
        ([HERE, GONE], {}),
        ([GONE, HERE], {ONE: 2}),
        ([HERE, GONE, HERE], {ONE: 3}),
        ([GONE, GONE], {}),
        ([HERE, HERE, GONE], {}),
    ],
)
async def test_the_last_event_of_a_batch_decides(
    town: Town, sinks, store, states: list[str], held: dict[str, int]
) -> None:
    """Whatever stands before it in the same batch."""
    await one_batch(town, (TWO, 1, HERE), *((ONE, n, s) for n, s in enumerate(states, start=1)))

    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await bus.at(len(states) + 1)

    assert store.versions() == {TWO: 1, **held}


async def test_a_crash_between_erasing_and_writing(
    town: Town, sinks, store, crash_at: Callable[..., None]
) -> None:
    """The batch comes again whole: the position has not moved."""
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await town.publish("resident", ONE, 1, resident_state=HERE)
        await bus.at(1)
    await one_batch(town, (TWO, 1, HERE), (ONE, 2, GONE))

    crash_at(Point.LANE_RECEIPTED)  # of the erasing; the rows are not written yet
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await bus.stopped()
    crash_at(None)
    assert store.versions() == {}

    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await bus.at(3)
    assert store.versions() == {TWO: 1}


async def test_leaving_settles_what_is_set_aside(town: Town, sinks, store) -> None:
    """A parked event tried again later would bring back whom the view no longer covers."""
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await town.publish("resident", ONE, 1, resident_state=HERE)
        await town.publish("resident", ONE, 2, resident_state=HERE, name__full=UNFIT)
        await bus.at(2)
        assert [event.offset for event in bus.parked()] == [1]

        await town.publish("resident", ONE, 3, resident_state=GONE)
        await bus.at(3)

        assert bus.parked() == []
    assert store.versions() == {}
    assert {row["state"] for row in town.read_all("exception")} == {"PARKED", "SUPERSEDED"}


async def test_who_left_by_an_event_that_was_set_aside_goes_with_its_retry(
    town: Town, sinks, store
) -> None:
    """Its next try does what the lane would have done; nothing stays parked."""
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await town.publish("resident", ONE, 1, resident_state=HERE)
        await bus.at(1)
        await bus.pause(SYSTEM)
        await bus.paused()
        left = await town.publish("resident", ONE, 2, resident_state=GONE)
        event = await bus.process.control.parked.refer_to(LANE, "linkage.resident", left, "T-1")
        await bus.process.control.parked.record([event])
        await bus.resume(SYSTEM)
        await bus.at(2)
        assert store.versions() == {ONE: 1}

        await bus.process.control.parked.ask_retry([event])
        bus.process.control.parked.lane(LANE).on_news()
        await bus.until(lambda: not bus.parked())

    assert store.versions() == {}


async def test_the_event_type_does_not_matter_for_leaving(town: Town, sinks, store) -> None:
    """A type that is not granted is not delivered, but who has left has left."""

    moved_in_only = residents(event_types=frozenset({"resident.moved_in"}))
    async with hosted(town, sinks, views=moved_in_only) as bus:
        await town.publish("resident", ONE, 1, resident_state=HERE, event_type="resident.moved_in")
        await bus.at(1)
        await town.publish("resident", ONE, 2, resident_state=HERE, event_type="resident.corrected")
        await bus.at(2)
        assert store.versions() == {ONE: 1}
        await town.publish("resident", ONE, 3, resident_state=GONE, event_type="resident.died")
        await bus.at(3)

    assert store.versions() == {}


async def test_a_store_that_refuses_to_erase_stops_the_lane(town: Town, sinks, store) -> None:
    """Nobody may stay in it unseen."""
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await town.publish("resident", ONE, 1, resident_state=HERE)
        await bus.at(1)
        store.refuses_erasures = True
        await town.publish("resident", ONE, 2, resident_state=GONE)
        lane = await bus.stopped()

    assert lane.code == LaneError.code
    assert store.versions() == {ONE: 1}


@pytest.mark.parametrize("seed", range(200))
def test_part_agrees_with_a_loop(seed: int) -> None:
    """Beside a way that keeps a store and goes through the events one by one."""
    chance = random.Random(seed)
    size = chance.randrange(1, 12)
    keys = [b"131016/%d" % chance.randrange(3) for _ in range(size)]
    words = [chance.choice(["shown", "outside", "other type"]) for _ in range(size)]
    before = {key for key in set(keys) if chance.random() < 0.5}
    run = Run(list(range(size)), keys, [b""] * size)

    shown = [index for index, word in enumerate(words) if word == "shown"]
    found = part(run, shown, [index for index, word in enumerate(words) if word == "outside"])

    one_by_one: dict[bytes, int] = dict.fromkeys(before, -1)
    for index, (key, word) in enumerate(zip(keys, words, strict=True)):
        if word == "shown":
            one_by_one[key] = index
        elif word == "outside":
            one_by_one.pop(key, None)
    at_once: dict[bytes, int] = dict.fromkeys(before, -1)
    for key in found.leaving.keys:
        at_once.pop(key, None)
    for place in found.inside:
        at_once[keys[shown[place]]] = shown[place]
    assert at_once == one_by_one
    assert not [n for n in found.inside if _is_taken_out(run, words, shown[n])]


def _is_taken_out(run: Run, words: list[str], index: int) -> bool:
    """Whether a later event of the same subject is outside."""
    return any(
        word == "outside" and key == run.keys[index]
        for key, word in zip(run.keys[index:], words[index:], strict=True)
    )


@pytest.mark.parametrize("name", ["a", UNFIT], ids=["taken", "refused"])
async def test_who_goes_and_comes_back_in_one_batch(town: Town, sinks, store, name: str) -> None:
    """As in several: what was set aside before is settled by the going; and the row of before is
    there no more where that of after cannot be written."""
    await town.publish("resident", ONE, 1, resident_state=HERE)
    await town.append("resident", ONE, b"\x00no event")
    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await bus.at(2)
    await town.publish("resident", ONE, 2, resident_state=HERE, household_number=UNFIT)
    await town.publish("resident", ONE, 3, resident_state=GONE)
    await town.publish("resident", ONE, 4, resident_state=HERE, household_number=name)

    async with hosted(town, sinks, views=RESIDENTS) as bus:
        await bus.at(5)

        assert store.versions() == ({ONE: 4} if name == "a" else {})
        assert [event.offset for event in bus.parked()] == ([] if name == "a" else [4])
