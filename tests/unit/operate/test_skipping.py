"""All systems pass one event that nobody can read, by one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bus.deliver.state import LaneStatus
from bus.errors import ConfigurationError
from bus.model import LaneName, View
from bus.operate.skipping import PriorState, SkipOrder, Skipper, Skipping
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import Hosted, Town, hosted

ONE, TWO = "000000000000001", "000000000000002"
TOPIC = "linkage.resident"
SYSTEMS = ["child_allowance", "national_pension", "public_assistance"]


@pytest.fixture
def stores() -> dict[str, MemoryStore]:
    """One for each system."""
    return {system: MemoryStore() for system in SYSTEMS}


def sinks(
    stores: dict[str, MemoryStore], systems: Sequence[str] = SYSTEMS
) -> dict[str, Callable[[View], MemorySink]]:
    return {
        system: lambda _view, store=stores[system]: MemorySink(MemoryOptions(store=store))
        for system in systems
    }


async def skipped(town: Town, bus: Hosted, offset: int, *, is_held: bool = False) -> Skipping:
    """What the command does."""
    process = bus.process
    skipper = Skipper(town.broker, process.control.parked, process.control.operations)
    unread = await skipper.look(TOPIC, 0, offset)
    word = SkipOrder("ops1", "T-4711", process.runtime.clock.now(), is_held=is_held)
    assert not await unread.can_be_read(town.reader("resident"))
    planned = await skipper.plan("resident", TOPIC, 0, unread, SYSTEMS, word)
    await process.control.parked.record(planned.exceptions)
    await process.control.operations.instruct(planned.operations)
    await bus.news()
    return planned


async def gone_on(bus: Hosted) -> None:
    """No lane stands, and the process that is asked has heard of it."""
    while any(o.state == "STOPPED" for o in bus.process.control.operations.standing()):
        await bus.news()


async def foreign(town: Town) -> int:
    """An event of another stream's schema, between two of ONE's."""
    await town.publish("resident", ONE, 1)
    offset = await town.append("resident", ONE, town.value("household", ONE, 1))
    await town.publish("resident", ONE, 2)
    await town.publish("resident", TWO, 1)
    return offset


def held(store: MemoryStore) -> dict[str, int]:
    return {row["subject_id"]: row["version"] for row in store.rows("resident")}


async def all_stopped_and_told(bus: Hosted, count: int) -> None:
    """Every lane stands, and the process that is asked has heard of it."""

    def has_heard() -> bool:
        return len(bus.process.control.operations.standing()) == count

    await bus.until(
        lambda: [s.status for s in bus.process.lanes.all.values()] == [LaneStatus.STOPPED] * count
    )
    while not has_heard():
        await bus.news()


async def test_one_command_has_all_go_on(town: Town, stores) -> None:
    """Set aside, closed before anybody has passed it, resumed; with who and why."""
    offset = await foreign(town)
    async with hosted(town, sinks(stores)) as bus:
        await all_stopped_and_told(bus, 3)
        planned = await skipped(town, bus, offset)
        await bus.until(lambda: all(held(s) == {ONE: 2, TWO: 1} for s in stores.values()))

        assert [(s.system, s.was) for s in planned.systems] == [
            (s, PriorState.STOPPED) for s in SYSTEMS
        ]
        assert bus.parked() == []
    said = [r for r in town.read_all("exception") if r["offset"] == offset]
    assert [r["state"] for r in said] == ["PARKED", "DISMISSED"] * 3
    assert {(r["operator"], r["note"]) for r in said} == {("ops1", "T-4711")}


async def test_held_until_the_true_state_is_there(town: Town, stores) -> None:
    """Later events of the subject wait in every system, until it is dismissed."""
    offset = await foreign(town)
    async with hosted(town, sinks(stores)) as bus:
        await all_stopped_and_told(bus, 3)
        await skipped(town, bus, offset, is_held=True)
        await bus.until(lambda: all(held(s) == {ONE: 1, TWO: 1} for s in stores.values()))
        await gone_on(bus)
        again = await skipped(town, bus, offset)
        for system in SYSTEMS:
            bus.process.control.parked.lane(LaneName(system, "resident", 0)).on_news()
        await bus.until(lambda: all(held(s) == {ONE: 2, TWO: 1} for s in stores.values()))

        assert {s.was for s in again.systems} == {PriorState.ASIDE}
        assert again.operations == []


async def test_each_system_where_it_is(town: Town, stores) -> None:
    """One stands, one is paused and has not come to it, one was dealt with before."""
    offset = await foreign(town)
    async with hosted(town, sinks(stores, SYSTEMS[:1])) as bus:
        await all_stopped_and_told(bus, 1)
        await bus.pause(SYSTEMS[1])
        index = bus.process.control.parked
        lane = LaneName(SYSTEMS[2], "resident", 0)
        event = await index.refer_to(lane, TOPIC, offset, "T-1")
        await index.record([event])
        await index.dismiss([event], "T-1")
        planned = await skipped(town, bus, offset)

        assert [(s.was, s.is_paused) for s in planned.systems] == [
            (PriorState.STOPPED, False), (PriorState.COMING, True), (PriorState.CLOSED, False),
        ]  # fmt: skip
        assert [o.system for o in planned.operations] == SYSTEMS[:1]
        await bus.until(lambda: held(stores[SYSTEMS[0]]) == {ONE: 2, TWO: 1})
        await gone_on(bus)
        again = await skipped(town, bus, offset)

        assert (again.exceptions, again.operations) == ([], [])


async def test_what_was_passed_and_cannot_be_read_may_be_set_aside(town: Town, stores) -> None:
    """What can be read may not: it is in the store."""
    offset = await foreign(town)
    async with hosted(town, sinks(stores)) as bus:
        await all_stopped_and_told(bus, 3)
        await skipped(town, bus, offset)
        await bus.until(lambda: town.memory._group(f"renkei.{SYSTEMS[0]}").committed)
        await bus.until(lambda: all(held(s) == {ONE: 2, TWO: 1} for s in stores.values()))
        await bus.at(4)
        index, reader = bus.process.control.parked, town.reader("resident")
        lane = LaneName(SYSTEMS[0], "resident", 0)
        await bus.until(lambda: (TOPIC, 0) in town.memory._group(f"renkei.{SYSTEMS[0]}").committed)

        assert (await index.refer_to(lane, TOPIC, offset, "T-2", reader=reader)).note == "T-2"
        with pytest.raises(ConfigurationError, match="has passed this event"):
            await index.refer_to(lane, TOPIC, 0, "T-2", reader=reader)


async def test_nobody_receives_it(town: Town, stores) -> None:
    """A stream without receivers has nobody to pass anything."""
    offset = await foreign(town)
    async with hosted(town, {}) as bus:
        skipper = Skipper(town.broker, bus.process.control.parked, bus.process.control.operations)
        unread = await skipper.look(TOPIC, 0, offset)
        with pytest.raises(ConfigurationError):
            await skipper.plan(
                "resident",
                TOPIC,
                0,
                unread,
                [],
                SkipOrder("o", "T-1", bus.process.runtime.clock.now()),
            )
