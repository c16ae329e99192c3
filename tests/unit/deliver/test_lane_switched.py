"""Lanes whose system may have something else from one moment to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bus.deliver.state import LaneStatus
from bus.hosting.host import ill
from tests.support.lanes import Town, hosted
from tests.support.madeup import passes
from tests.support.policies import Policies, fields_are, text_of, tiled
from tests.unit.deliver.test_lane_paused import Slow

SYSTEM = "child_allowance"
ONE, TWO = "000000000000001", "000000000000002"
NARROW = text_of(SYSTEM, fields_are("resident", "name.full", "protected"))
WIDE = text_of(
    SYSTEM, fields_are("resident", "household_number", "name", "birth_date", "address", "protected")
)


async def test_a_lost_column_is_gone_before_anything_follows(town: Town, sinks, store) -> None:
    """From what the system holds already, and from what comes; the lane goes on where it was."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(1)
        assert store.rows("resident")[0]["address_town"] is not None
        await policies.apply(SYSTEM, NARROW)
        await bus.until(lambda: store.standings["resident"].edition == 1)
        (row,) = store.rows("resident")
        await town.publish("resident", TWO, 1)
        await bus.at(2)

    assert (row["address_town"], row["name_full"] is not None) == (None, True)
    assert "address_town" not in {row["subject_id"]: row for row in store.rows("resident")}[TWO]
    views = tiled(town.read_all("receipt"), 2)
    assert len(set(views)) == 2


async def test_a_gained_column_is_there_from_the_next_event_on(town: Town, sinks, store) -> None:
    """What was there waits for a rebuild."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await policies.apply(SYSTEM, NARROW)
        await bus.until(lambda: store.standings["resident"].edition == 1)
        await town.publish("resident", ONE, 2)
        await bus.at(2)
        await policies.apply(SYSTEM, WIDE)
        await bus.until(lambda: store.standings["resident"].edition == 2)
        await town.publish("resident", TWO, 1)
        await bus.at(3)

    towns = {row["subject_id"]: row.get("address_town") for row in store.rows("resident")}
    assert towns[ONE] is None
    assert towns[TWO] is not None


@pytest.mark.made_up_time
async def test_the_batch_in_hand_is_finished_under_the_view_it_was_seen_by(
    town: Town, store
) -> None:
    """It is applied with its receipt; the new view opens after it."""
    go, begun = asyncio.Event(), asyncio.Event()
    sinks = {SYSTEM: lambda _: Slow(store, go, begun)}
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await begun.wait()
        await policies.apply(SYSTEM, NARROW)
        await town.publish("resident", TWO, 1)
        await passes(0.05)
        assert store.standings["resident"].edition == 0
        go.set()
        await bus.at(2)

    views = tiled(town.read_all("receipt"), 2)
    assert views[0] != views[1]
    assert store.standings["resident"].fingerprint == views[1]


async def test_the_same_view_of_another_edition_disturbs_nobody(town: Town, sinks, store) -> None:
    """A reason beside the rule is no other view: the lane goes on, and later is of the edition."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(1)
        (delivery,) = bus.deliveries
        (lane,) = delivery.fleet.at_work.values()

        def change(streams: dict[str, Any]) -> None:
            streams["resident"]["suppression_reason"] = "another one"

        await policies.apply(SYSTEM, text_of(SYSTEM, change))
        await town.publish("resident", ONE, 2)
        await bus.at(2)
        assert list(delivery.fleet.at_work.values()) == [lane]
        await bus.pause(SYSTEM)
        await bus.paused()
        await bus.resume(SYSTEM)
        await bus.until(lambda: store.standings["resident"].edition == 1)


async def test_another_ground_is_another_view(town: Town, sinks, store) -> None:
    """The lane switches, and each receipt says on which ground it was: both are recorded."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(1)

        def change(streams: dict[str, Any]) -> None:
            streams["resident"]["purpose"] = "another one"

        await policies.apply(SYSTEM, text_of(SYSTEM, change))
        await bus.until(lambda: store.standings["resident"].edition == 1)
        await town.publish("resident", ONE, 2)
        await bus.at(2)

    purposes = {view["fingerprint"]: view["purpose"] for view in town.read_all("view")}
    first, *_, last = [receipt["view"] for receipt in town.read_all("receipt")]
    assert purposes[first] != purposes[last] == "another one"
    assert store.versions() == {ONE: 2}


async def test_a_stream_that_is_granted_is_subscribed(town: Town, sinks, store) -> None:
    """It starts at the log's beginning; what was there goes on."""
    await town.publish("resident", ONE, 1)
    await town.publish("household", TWO, 1)

    def without(streams: dict[str, Any]) -> None:
        del streams["household"]

    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident", "household"])
        await policies.apply(SYSTEM, text_of(SYSTEM, without))
        await bus.at(1)
        assert store.rows("household") == []
        await policies.apply(SYSTEM, text_of(SYSTEM))
        await bus.at(1, "household")
        await town.publish("resident", ONE, 2)
        await bus.at(2)

    assert [row["subject_id"] for row in store.rows("household")] == [TWO]
    assert store.versions() == {ONE: 2}


async def test_an_edition_of_the_same_view_outlives_an_outage(town: Town, sinks, store) -> None:
    """The store is opened anew under it; the lane, which began under the one before, goes on."""
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        await policies.apply(SYSTEM, text_of(SYSTEM))
        store.is_away = True
        await town.publish("resident", ONE, 2)
        await bus.until(lambda: bus.lane().code is not None)
        store.is_away = False
        await bus.at(2)

    assert store.versions() == {ONE: 2}


async def test_what_is_held_of_a_stream_that_is_withdrawn_goes(town: Town, sinks, store) -> None:
    """Rows and positions; nothing more of it is read. Granted again, it starts anew."""
    await town.publish("household", TWO, 1)
    await town.publish("resident", ONE, 1)

    def without(streams: dict[str, Any]) -> None:
        del streams["household"]

    async with hosted(town, sinks, streams=("resident", "household")) as bus:
        policies = Policies(town, bus, sinks, ["resident", "household"])
        await bus.at(1, "household")
        await policies.apply(SYSTEM, text_of(SYSTEM, without))
        await bus.until(lambda: store.standings["household"].fingerprint == "")
        await town.publish("household", TWO, 2)
        await town.publish("resident", ONE, 2)
        await bus.at(2)
        assert store.rows("household") == []
        assert {lane.stream for lane in bus.lanes} == {"resident"}

        await policies.apply(SYSTEM, text_of(SYSTEM))
        await bus.at(2, "household")

    assert store.versions("household") == {TWO: 2}


async def test_a_store_that_is_away_gives_up_what_it_holds_when_it_is_back(
    town: Town, sinks, store
) -> None:
    """Until then the process says that it is ill."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(1)
        store.is_away = True
        await policies.apply(SYSTEM, text_of(SYSTEM, lambda streams: streams.clear()))
        await bus.until(lambda: any("not withdrawn" in said for said in ill(bus.process)))
        assert len(store.tables["resident"]) == 1
        store.is_away = False
        await bus.until(lambda: store.rows("resident") == [])
        await bus.until(lambda: not ill(bus.process))


@pytest.mark.parametrize(
    "text", ["no: yaml: at all", "system: somebody_else\n", text_of("school_enrollment")]
)
@pytest.mark.made_up_time
async def test_a_text_that_is_refused_takes_its_system_out(
    town: Town, sinks, store, text: str
) -> None:
    """Nothing more is delivered to it, and nothing taken from it; others go on."""
    other = type(store)()
    both = {**sinks, "public_assistance": lambda _: type(sinks[SYSTEM](None))(other)}
    await town.publish("resident", ONE, 1)
    async with hosted(town, both) as bus:
        policies = Policies(town, bus, both, ["resident"])
        await bus.until(lambda: store.versions() == {ONE: 1} == other.versions())
        await policies.apply(SYSTEM, text)
        await bus.until(lambda: policies.refused)
        await town.publish("resident", ONE, 2)
        await bus.until(lambda: other.versions() == {ONE: 2})
        await passes(0.05)
        assert store.versions() == {ONE: 1}
        assert (SYSTEM, None, "RK-101") in policies.refused

        await policies.apply(SYSTEM, text_of(SYSTEM))
        await bus.until(lambda: store.versions() == {ONE: 2})


async def test_a_renewed_grant_goes_on(town: Town, sinks, store) -> None:
    """A lane that stopped on the last day opens again with a later one."""

    def until_today(streams: dict[str, Any]) -> None:
        streams["resident"]["expires_on"] = date(2026, 11, 24)

    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await policies.apply(SYSTEM, text_of(SYSTEM, until_today))
        await bus.at(0)
        town.moved.time = town.moved.time.replace(month=12)
        await town.publish("resident", ONE, 1)
        await bus.until(lambda: bus.lane().status is LaneStatus.STOPPED)
        await policies.apply(SYSTEM, text_of(SYSTEM))
        await bus.at(1)

    assert store.versions() == {ONE: 1}


@pytest.mark.made_up_time
async def test_a_paused_stream_switches_and_stays_paused(town: Town, sinks, store) -> None:
    """It opens under the new view when it is told to go on."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(1)
        await bus.pause(SYSTEM)
        await bus.paused()
        await policies.apply(SYSTEM, NARROW)
        await passes(0.05)
        await bus.paused()
        assert bus.lane().status is LaneStatus.PAUSED
        await bus.resume(SYSTEM)
        await bus.until(lambda: store.standings["resident"].edition == 1)
        await bus.at(1)


@pytest.mark.made_up_time
async def test_told_twice_before_the_lane_has_ended(town: Town, store) -> None:
    """The last edition counts, and the one between is never opened."""
    go, begun = asyncio.Event(), asyncio.Event()
    sinks = {SYSTEM: lambda _: Slow(store, go, begun)}
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await begun.wait()
        await policies.apply(SYSTEM, NARROW)
        await passes(0.02)
        await policies.apply(SYSTEM, WIDE)
        go.set()
        await bus.until(lambda: store.standings["resident"].edition == 2)
        await town.publish("resident", TWO, 1)
        await bus.at(2)

    assert len(set(tiled(town.read_all("receipt"), 2))) == 2


async def test_a_lane_of_a_process_that_has_not_heard_waits(town: Town, sinks, store) -> None:
    """A newer edition was opened by another process: this one writes nothing until it hears."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(1)
        newer = sinks[SYSTEM](None)
        view = policies.feeds(SYSTEM)[0].view
        ahead = replace(view, fingerprint="f" * 64, columns=view.columns[:20], edition=1)
        await newer.open(ahead)
        await town.publish("resident", ONE, 2)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        assert bus.lane().code == "RK-409"
        assert store.versions() == {ONE: 1}
        await policies.apply(SYSTEM, NARROW)
        await bus.until(lambda: store.versions() == {ONE: 2})


VARIANTS: tuple[Callable[[], str], ...] = (lambda: NARROW, lambda: WIDE, lambda: text_of(SYSTEM))


async def test_switched_again_and_again_while_events_flow(sinks, store) -> None:
    """Nothing is lost or doubled, and nothing stays that the last view has not."""
    town = Town(partitions=2)
    await town.build()
    published: dict[str, int] = {}
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        done = asyncio.Event()

        async def publish() -> None:
            number = 0
            while not done.is_set():
                subject = f"{number % 40:015d}"
                published[subject] = published.get(subject, 0) + 1
                await town.publish("resident", subject, published[subject], partition=number % 2)
                number += 1
                await asyncio.sleep(0)

        publishing = asyncio.create_task(publish())
        for turn in range(15):
            await policies.apply(SYSTEM, VARIANTS[turn % 3]())
            await bus.until(lambda n=turn: store.standings["resident"].edition == n + 1)
            more = sum(published.values()) + 10
            await bus.until(lambda n=more: sum(published.values()) >= n)
        await policies.apply(SYSTEM, NARROW)
        await bus.until(lambda: store.standings["resident"].edition == 16)
        done.set()
        await publishing
        ends = [len(log.offsets) for log in town.memory._topic("linkage.resident").logs]
        for partition, end in enumerate(ends):
            await bus.at(end, partition=partition)
        assert bus.parked() == []

    assert store.versions() == published
    kept = {"name_full"}
    shown = {"name_family", "birth_date", "address_town", "household_number", "name_kana"}
    for row in store.rows("resident"):
        assert row["name_full"] is not None
        assert {name for name in shown | kept if row.get(name) is not None} == kept
    receipts = town.read_all("receipt")
    for partition, end in enumerate(ends):
        views = tiled([r for r in receipts if r["partition"] == partition], end)
        assert len(set(views)) >= 3
