"""What is set aside of a subject does not hold up its protection: the flagged one overtakes."""

from __future__ import annotations

import pytest

from bus.conformance.sink_suite import rows_of
from bus.errors import EventRefused, SubjectWaiting
from bus.failpoints import Point
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import Hosted, Town, hosted

ONE, TWO = "000000000000001", "000000000000002"
ADDRESS = "address_lot"
UNFIT = "a\x00b"  # the store takes no NUL


def states(bus: Hosted) -> list[tuple[int, str, str]]:
    """(offset, state, code) of what is set aside."""
    return [(event.offset, event.state.value, event.code) for event in bus.parked()]


def ends(town: Town) -> dict[int, str]:
    """Offset -> the last state that the exception stream says."""
    return {row["offset"]: row["state"] for row in town.read_all("exception")}


def only(store: MemoryStore) -> tuple[int, bool, str | None]:
    """The one row that is held: (version, protected, address)."""
    (row,) = store.rows("resident")
    return row["version"], row["protected"], row[ADDRESS]


async def address_is_held_and_the_next_event_parked(town: Town) -> None:
    """Version 1 with its address, version 2 that no store takes, version 3 behind it."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", ONE, 2, name__full=UNFIT)
    await town.publish("resident", ONE, 3)


async def test_the_address_goes_though_an_event_is_parked(town: Town, sinks, store) -> None:
    """Protection starts with its new snapshot: the old address is gone, the flag is set."""
    async with hosted(town, sinks) as bus:
        await address_is_held_and_the_next_event_parked(town)
        await bus.at(3)
        assert states(bus) == [
            (1, "PARKED", EventRefused.code),
            (2, "WAITING", SubjectWaiting.code),
        ]
        assert only(store)[2] is not None

        await town.publish("protection", ONE, 1)
        await town.publish("resident", ONE, 4, protected=True)
        await bus.at(4)

        assert bus.parked() == []

    assert only(store) == (4, True, None)
    assert ends(town) == {1: "SUPERSEDED", 2: "SUPERSEDED"}


async def test_within_one_batch(town: Town, sinks, store) -> None:
    """All of it at once, and what follows the flagged snapshot is free too."""
    await address_is_held_and_the_next_event_parked(town)
    await town.publish("resident", ONE, 4, protected=True)
    await town.publish("resident", ONE, 5)
    await town.publish("resident", TWO, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(6)
        assert bus.parked() == []

    assert {row["subject_id"]: row["version"] for row in store.rows("resident")} == {ONE: 5, TWO: 1}
    assert ends(town) == {1: "SUPERSEDED", 2: "SUPERSEDED"}


async def test_the_fence_alone_says_so(town: Town, sinks, store) -> None:
    """A snapshot that does not know of the protection yet overtakes as well, masked."""
    async with hosted(town, sinks) as bus:
        await address_is_held_and_the_next_event_parked(town)
        await bus.at(3)

        await town.publish("protection", ONE, 1)
        await town.publish("resident", ONE, 4)
        await bus.at(4)

    assert only(store) == (4, True, None)


async def test_a_capable_system_gets_the_flag(town: Town, store: MemoryStore) -> None:
    """It keeps the address and must know that it may not show it."""
    sinks = {"public_assistance": lambda _view: MemorySink(MemoryOptions(store=store))}
    async with hosted(town, sinks) as bus:
        await address_is_held_and_the_next_event_parked(town)
        await bus.at(3)
        await town.publish("resident", ONE, 4, protected=True)
        await bus.at(4)

    version, protected, address = only(store)
    assert (version, protected, address is None) == (4, True, False)


async def test_a_history_has_nothing_to_overtake(town: Town) -> None:
    """The ledger keeps every event and no address: there, later events wait as ever."""
    store = MemoryStore()

    class Refusing(MemorySink):
        async def apply(self, batch):
            if any(row["version"] == 1 for row in rows_of(batch)):
                raise EventRefused("the store refuses a row")
            return await super().apply(batch)

    async with hosted(town, {"ledger": lambda _view: Refusing(MemoryOptions(store=store))}) as bus:
        await town.publish("resident", ONE, 1)
        await town.publish("resident", ONE, 2, protected=True)
        await bus.at(2)

        assert [state for _, state, _ in states(bus)] == ["PARKED", "WAITING"]


async def test_one_that_the_store_refuses_is_parked_as_ever(town: Town, sinks, store) -> None:
    """Then it is what later events wait behind, until the next flagged one overtakes it."""
    async with hosted(town, sinks) as bus:
        await address_is_held_and_the_next_event_parked(town)
        await town.publish("resident", ONE, 4, protected=True, name__full=UNFIT)
        await town.publish("resident", ONE, 5)
        await bus.at(5)
        assert states(bus) == [
            (3, "PARKED", EventRefused.code),
            (4, "WAITING", SubjectWaiting.code),
        ]

        await town.publish("resident", ONE, 6, protected=True)
        await bus.at(6)
        assert bus.parked() == []

    assert only(store) == (6, True, None)
    assert set(ends(town).values()) == {"SUPERSEDED"}


async def test_what_comes_after_it_in_the_log_still_waits(town: Town, sinks, store) -> None:
    """An unreadable event behind the flagged snapshot is not superseded by it."""
    await town.publish("resident", ONE, 1, name__full=UNFIT)
    await town.publish("resident", ONE, 2, protected=True)
    await town.append("resident", ONE, b"garbage")
    await town.publish("resident", ONE, 3)

    async with hosted(town, sinks) as bus:
        await bus.at(4)
        assert [(offset, state) for offset, state, _ in states(bus)] == [
            (2, "PARKED"),
            (3, "WAITING"),
        ]

    assert only(store) == (2, True, None)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "point",
    [Point.LANE_VIEWED, Point.LANE_PARKED, Point.SINK_MOVED, Point.SINK_COMMITTED],
)
async def test_dying_on_the_way(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch, crash_at, point: Point, nth: int
) -> None:
    """Recorded and not applied, or applied and not said: the next owner ends in the same place."""
    await address_is_held_and_the_next_event_parked(town)
    await town.publish("resident", ONE, 4, protected=True)
    town.settings = town.settings.model_copy(update={"fetch_records": 2})
    left = nth

    def kill(reached: Point) -> None:
        nonlocal left
        left -= reached is point
        if reached is point and left == 0:
            raise RuntimeError("killed")

    if point in (Point.SINK_MOVED, Point.SINK_COMMITTED):
        monkeypatch.setattr(store, "on_point", kill)
    else:
        crash_at(point, nth)
    async with hosted(town, sinks) as bus:
        await bus.until(
            lambda: (
                bus.process.lanes.stopped()
                or any(state.offset == 4 for state in bus.process.lanes.all.values())
            )
        )
    crash_at(None)
    store.on_point = lambda point: None

    async with hosted(town, sinks) as bus:
        await bus.at(4)
        assert bus.parked() == []

    assert only(store) == (4, True, None)
    assert ends(town) == {1: "SUPERSEDED", 2: "SUPERSEDED"}


async def test_a_batch_that_is_tried_again_is_masked_anew(town: Town, sinks, store) -> None:
    """Whoever keeps a store away cannot have what was seen before a protection handed over after
    it: the fence is asked at each try."""
    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", TWO, 1) + 1)
        store.is_away = True
        end = await town.publish("resident", ONE, 1) + 1
        tries = len(store.applies)
        await bus.until(lambda: len(store.applies) > tries)
        await town.publish("protection", ONE, 1)
        await bus.news()
        before = len(store.applies)
        store.is_away = False
        await bus.at(end)

    offered = [row for batch in store.applies[before:] for row in rows_of(batch)]
    assert [(row["protected"], row[ADDRESS]) for row in offered] == [(True, None)]
