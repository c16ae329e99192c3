"""An event that nobody can read stops its lane until an operator sets it aside, unread."""

from __future__ import annotations

import pytest

from bus.control.parked import ParkedIndex
from bus.errors import ConfigurationError, EventUnread, SchemaMismatch
from bus.model import LaneName, ParkedEvent
from tests.support.lanes import Hosted, Town, hosted

SYSTEM = "child_allowance"
LANE = LaneName(SYSTEM, "resident", 0)
TOPIC = "linkage.resident"
ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"


async def append_foreign(town: Town, subject: str, stream: str = "resident") -> int:
    """An event of another stream's schema, under this subject's key; its offset."""
    other = "household" if stream != "household" else "resident"
    return await town.append(stream, subject, town.value(other, subject, 1))


async def set_aside(index: ParkedIndex, offset: int, note: str = "T-1") -> ParkedEvent:
    """What the command does."""
    event = await index.refer_to(LANE, TOPIC, offset, note)
    await index.record([event])
    return event


def states(bus: Hosted) -> list[tuple[int, str, str]]:
    return [(event.offset, event.state.value, event.code) for event in bus.parked()]


async def test_the_lane_goes_past_it(town: Town, sinks, store) -> None:
    """Everybody else's events are applied, and the same subject's later ones wait behind it."""
    await town.publish("resident", TWO, 1)
    await append_foreign(town, ONE)
    await town.publish("resident", ONE, 2)
    await town.publish("resident", THREE, 1)
    async with hosted(town, sinks) as bus:
        await bus.stopped()
        event = await set_aside(bus.process.control.parked, 1)
        await bus.resume(SYSTEM)
        await bus.at(4)

        assert (event.event_id, event.note, event.attempts) == (None, "T-1", 0)
        assert store.versions() == {TWO: 1, THREE: 1}
        assert states(bus) == [(1, "PARKED", EventUnread.code), (2, "WAITING", "RK-208")]

        await bus.process.control.parked.dismiss([event], "T-1")
        bus.process.control.parked.lane(LANE).on_news()
        await bus.until(lambda: not bus.parked())

    assert store.versions() == {ONE: 2, TWO: 1, THREE: 1}
    receipts = town.read_all("receipt")
    assert [r["delivered"] for r in receipts if not r["is_replay"]] == ["{[0,1),[3,4)}"]


@pytest.mark.parametrize("before", [0, 2], ids=["alone", "last"])
async def test_where_it_ends_a_batch(town: Town, sinks, store, before: int) -> None:
    """The position passes it without knowing its id; the next start is none the worse for it."""
    for version in range(1, before + 1):
        await town.publish("resident", TWO, version)
    offset = await append_foreign(town, ONE)
    async with hosted(town, sinks) as bus:
        await bus.stopped()
        await set_aside(bus.process.control.parked, offset)
        await bus.resume(SYSTEM)
        await bus.at(offset + 1)
    assert store.checkpoints["resident", 0].position.last_event_id is None
    await town.publish("resident", THREE, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(offset + 2)

    assert store.versions()[THREE] == 1


async def test_several_in_one_batch(town: Town, sinks, store) -> None:
    """The lane names each in turn."""
    first = await append_foreign(town, ONE)
    await town.publish("resident", TWO, 1)
    second = await append_foreign(town, ONE)
    async with hosted(town, sinks) as bus:
        for offset in (first, second):
            await bus.stopped()
            await bus.until(lambda o=offset: o in _stops(town))
            await set_aside(bus.process.control.parked, offset)
            await bus.resume(SYSTEM)
        await bus.at(3)

    assert store.versions() == {TWO: 1}


def _stops(town: Town) -> list[int]:
    return [row["offset"] for row in town.read_all("operation") if row["state"] == "STOPPED"]


async def test_another_try_fails_and_stops_nobody(town: Town, sinks, store) -> None:
    """Asked for by mistake, or with all the others: it stays set aside, with what is wrong."""
    await append_foreign(town, ONE)
    async with hosted(town, sinks) as bus:
        await bus.stopped()
        event = await set_aside(bus.process.control.parked, 0)
        await bus.resume(SYSTEM)
        await bus.at(1)
        await bus.process.control.parked.ask_retry([event])
        bus.process.control.parked.lane(LANE).on_news()
        await bus.until(lambda: states(bus) == [(0, "PARKED", SchemaMismatch.code)])
        await town.publish("resident", TWO, 1)
        await bus.at(2)

    assert store.versions() == {TWO: 1}


async def test_it_is_referred_to_once(town: Town, sinks) -> None:
    """A second time says what is known of it already."""
    await append_foreign(town, ONE)
    async with hosted(town, sinks) as bus:
        await bus.stopped()
        event = await set_aside(bus.process.control.parked, 0)

        assert await bus.process.control.parked.refer_to(LANE, TOPIC, 0, "T-2") == event


async def test_what_is_not_set_aside(town: Town, sinks) -> None:
    """What is not there, what has been applied, and an erasure, which must not wait."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        await bus.until(lambda: town.memory._group(f"renkei.{SYSTEM}").committed)
        index = bus.process.control.parked
        with pytest.raises(ConfigurationError, match="has passed this event"):
            await index.refer_to(LANE, TOPIC, 0, "T-1")
        assert (await index.refer_to(LANE, TOPIC, 0, "T-1", is_stuck=True)).offset == 0
        with pytest.raises(ConfigurationError, match="no event at this offset"):
            await index.refer_to(LANE, TOPIC, 7, "T-1")
        with pytest.raises(ConfigurationError, match="no such partition"):
            await index.refer_to(LANE._replace(partition=9), TOPIC, 0, "T-1")
        await bus.pause(SYSTEM)
        await bus.paused()
        await town.append("resident", ONE, None)
        with pytest.raises(ConfigurationError, match="erasure"):
            await index.refer_to(LANE, TOPIC, 1, "T-1")


async def test_the_fence_protects_whom_a_foreign_event_names(town: Town, sinks, store) -> None:
    """In doubt a subject is protected; no lane of another stream stops for it."""
    await append_foreign(town, ONE, "protection")
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(2)

    held = {row["subject_id"]: row for row in store.rows("resident")}
    assert (held[ONE]["protected"], held[ONE]["address_lot"]) == (True, None)
    assert held[TWO]["address_lot"] is not None
