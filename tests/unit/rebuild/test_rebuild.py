"""A system's table, filled anew beside the one in use."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bus.connect import STAGING
from bus.deliver.state import LaneStatus
from bus.errors import ConfigurationError, RebuildBusy, SinkUnavailable
from bus.failpoints import Point
from bus.model import ExceptionState, LaneName, Position, View
from bus.rebuild.filling import RebuildLane
from bus.rebuild.rebuild import Rebuilt, TableRebuild
from connectors.memory.sink import MemoryOptions, MemorySink
from tests.support.lanes import CATALOG, Hosted, Town, hosted, view_of
from tests.support.madeup import passes
from tests.support.policies import Policies, fields_are, text_of, tiled

SYSTEM = "child_allowance"
LANE = LaneName(SYSTEM, "resident", 0)
ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"
NARROW = text_of(SYSTEM, fields_are("resident", "name.full", "protected"))
WIDE = text_of(
    SYSTEM, fields_are("resident", "household_number", "name.full", "address", "protected")
)


def rebuild_of(
    town: Town, bus: Hosted, store: Any, view: View, *, progress: Callable[[int, int], None] = print
) -> TableRebuild:
    stream = CATALOG.stream(view.stream)
    return TableRebuild(
        view,
        stream.topic,
        reader=town.reader(view.stream),
        sink=MemorySink(MemoryOptions(store=store)),
        process=bus.process,
        progress=progress,
    )


async def rebuilt(town: Town, store: Any, view: View | None = None) -> Rebuilt:
    """In a process of its own, as the command does it."""
    view = view_of(SYSTEM, "resident") if view is None else view
    async with hosted(town, {}) as bus:
        return await rebuild_of(town, bus, store, view).run()


async def test_a_gained_column_is_filled(town: Town, sinks, store) -> None:
    """Every row has it then, also that of somebody who has not changed since."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await policies.apply(SYSTEM, NARROW)
        await bus.until(lambda: store.versions() == {ONE: 1})
        await bus.until(lambda: store.standings["resident"].edition == 1)
        await town.publish("resident", TWO, 1)
        await bus.at(2)
        await policies.apply(SYSTEM, WIDE)
        await bus.until(lambda: store.standings["resident"].edition == 2)
        await bus.at(2)

        done = await rebuilt(town, store, policies.feeds(SYSTEM)[0].view)
        await town.publish("resident", ONE, 2)
        await bus.until(lambda: store.versions() == {ONE: 2, TWO: 1})

    assert done.events == 2
    assert done.merged is not None
    assert (done.merged.changed, done.merged.added, done.merged.removed) == (2, 0, 0)
    assert all(row["address_town"] for row in store.rows("resident"))
    assert not [name for name in store.tables if name.endswith(STAGING)]


async def test_a_rebuild_of_the_protections_says_nothing_older(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled from the log's beginning, it must not make the store believe less than it knows:
    what was masked under an older protection would be let in."""
    reached: list[int] = []
    async with hosted(town, sinks, streams=("resident", "protection")) as bus:
        for version in (1, 2, 3):
            await town.publish("protection", ONE, version)
            await bus.at(version, "protection")
    fill = RebuildLane.fill

    async def filled(self: RebuildLane, end: Position) -> None:
        await fill(self, replace(end, offset=1))
        reached.append(store.fence["protection/0"])
        await fill(self, end)

    monkeypatch.setattr(RebuildLane, "fill", filled)
    await rebuilt(town, store, view_of(SYSTEM, "protection"))

    assert set(reached) == {3}
    assert store.fence == {"protection/0": 3, "household/0": 0, "nonresident/0": 0}


async def test_events_flow_meanwhile(sinks, store) -> None:
    """Nothing is lost or doubled; lanes and rebuild each tile the log with their receipts."""
    town = Town(partitions=2)
    await town.build()
    published: dict[str, int] = {}
    done = asyncio.Event()

    async def publish() -> None:
        number = 0
        while not done.is_set():
            subject = f"{number % 50:015d}"
            published[subject] = published.get(subject, 0) + 1
            await town.publish("resident", subject, published[subject], partition=number % 2)
            number += 1
            await asyncio.sleep(0)

    async with hosted(town, sinks) as bus:
        await bus.until(lambda: len(bus.lanes) == 2)
        publishing = asyncio.create_task(publish())
        await bus.until(lambda: len(store.rows("resident")) == 50)
        for _ in range(3):
            made = await rebuilt(town, store)
            assert made.merged is not None
            assert (made.merged.added, made.merged.removed) == (0, 0)
        done.set()
        await publishing
        await bus.until(lambda: store.versions() == published)

    ends = [len(log.offsets) for log in town.memory._topic("linkage.resident").logs]
    receipts = town.read_all("receipt")
    for partition, end in enumerate(ends):
        mine = {r["chain"]: r for r in receipts if r["partition"] == partition}
        chains = _chains(list(mine.values()))
        assert len(chains) >= 4
        assert max(chain[-1]["end"] for chain in chains) == end
        for chain in chains:
            tiled(chain, chain[-1]["end"])


def _chains(receipts: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Every way from a beginning to an end, by what each names as the one before."""
    after: dict[str, list[dict[str, Any]]] = {}
    for receipt in receipts:
        after.setdefault(receipt["previous"], []).append(receipt)
    found = []
    ways = [[first] for first in after.get("0" * 64, [])]
    while ways:
        way = ways.pop()
        following = after.get(way[-1]["chain"], [])
        if not following:
            found.append(way)
        ways += [[*way, receipt] for receipt in following]
    return found


async def test_what_was_filled_is_taken_up_again(town: Town, sinks, store) -> None:
    """A rebuild that was cut off goes on where it was; the table in use is as it was."""
    for number in range(30):
        await town.publish("resident", f"{number:015d}", 1)
    async with hosted(town, sinks) as bus:
        await bus.at(30)
    view = view_of(SYSTEM, "resident")
    before = store.rows("resident")

    class Cut(BaseException):
        pass

    def cut(point: Point) -> None:
        if point is Point.SINK_MERGED:
            raise Cut

    store.on_point = cut
    async with hosted(town, {}) as bus:
        with pytest.raises(Cut):
            await rebuild_of(town, bus, store, view).run()
    store.on_point = lambda _: None
    assert store.rows("resident") == before
    assert len(store.tables["resident" + STAGING]) == 30

    made = await rebuilt(town, store)

    assert made.events == 0
    assert store.rows("resident") == before


async def test_what_was_filled_from_another_log_is_dropped(town: Town, sinks, store) -> None:
    """Or so long ago that an erasure may be missing."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    sink = MemorySink(MemoryOptions(store=store)).staging()
    view = view_of(SYSTEM, "resident")
    await sink.open(view)
    store.checkpoints["resident" + STAGING, 0] = store.checkpoints["resident", 0]
    await sink.close()
    town.moved.time += timedelta(days=365)

    made = await rebuilt(town, store)

    assert made.events == 1
    assert store.versions() == {ONE: 1}


async def test_two_at_once_are_refused(town: Town, sinks, store) -> None:
    """The first goes on."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    fresh = MemorySink(MemoryOptions(store=store)).staging()
    await fresh.open(view_of(SYSTEM, "resident"))
    with pytest.raises(RebuildBusy):
        await rebuilt(town, store)
    await fresh.close()
    await rebuilt(town, store)


async def test_where_nothing_was_delivered_there_is_nothing_to_rebuild(town: Town, store) -> None:
    """A new system begins at the log's beginning by itself."""
    with pytest.raises(ConfigurationError):
        await rebuilt(town, store)


async def test_a_lane_that_was_away_too_long_goes_on_from_the_logs_end(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it may have missed, an erasure above all, is put right."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(2)
    await town.publish("resident", TWO, 2)
    await town.append("resident", ONE, None)
    log = town.memory._topic("linkage.resident").logs[0]
    for index in sorted((0, 1, 3), reverse=True):  # compaction, and the erasure with it
        for column in (log.offsets, log.keys, log.values, log.timestamps_ms):
            del column[index]
    store.clock = town.moved.now
    store.checkpoints["resident", 0] = await _aged(store.checkpoints["resident", 0], town)
    log.timestamps_ms[:] = [int(town.moved.time.timestamp() * 1000)]
    town.moved.time += timedelta(days=60)
    await town.publish("resident", THREE, 1)

    async with hosted(town, sinks) as bus:
        lane = await bus.stopped()
        assert lane.code == "RK-503"
        assert store.versions() == {ONE: 1, TWO: 1}
        await rebuilt(town, store)
        assert store.versions() == {TWO: 2, THREE: 1}
        await bus.resume(SYSTEM)
        await bus.until(lambda: bus.lane().status is LaneStatus.RUNNING)
        await town.publish("resident", THREE, 2)
        await bus.until(lambda: store.versions() == {TWO: 2, THREE: 2})


async def _aged(checkpoint: Any, town: Town) -> Any:
    aged = replace(checkpoint, applied_at=town.moved.time - timedelta(days=40))
    return await town.standing_at(aged)


async def test_what_is_set_aside_stays_so(town: Town, sinks, store) -> None:
    """Its subject has the row of before; a try that succeeds later is applied as ever."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        store.refused.add(ONE)
        await town.publish("resident", ONE, 2)
        await town.publish("resident", ONE, 3)
        await town.publish("resident", TWO, 1)
        await bus.at(4)
        await rebuilt(town, store)
        assert store.versions() == {ONE: 1, TWO: 1}
        assert len(bus.parked()) == 2

        store.refused.clear()
        (parked, _) = bus.parked()
        await bus.process.control.parked.ask_retry([parked])
        bus.process.control.parked.lane(LaneName(SYSTEM, "resident", 0)).on_news()
        await bus.until(lambda: not bus.parked())

    assert store.versions() == {ONE: 3, TWO: 1}


@pytest.mark.parametrize("is_foreign", [False, True], ids=["garbage", "of another schema"])
async def test_what_was_dismissed_stays_so(town: Town, sinks, store, is_foreign: bool) -> None:
    """It is passed by, nothing is parked anew, and the version that came after it stays."""
    value = town.value("household", ONE, 1) if is_foreign else b"\x00no event"
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        index = bus.process.control.parked
        offset = await town.append("resident", ONE, value)
        if is_foreign:
            await bus.stopped()
            await index.record([await index.refer_to(LANE, "linkage.resident", offset, "T-1")])
            await bus.resume(SYSTEM)
        await bus.at(2)
        await town.publish("resident", ONE, 2)
        await bus.at(3)
        await index.dismiss([event for event in bus.parked() if event.offset == offset], "T-1")
        index.lane(LANE).on_news()
        await bus.until(lambda: not bus.parked())

        done = await rebuilt(town, store)
        await bus.news()

        assert (store.versions(), bus.parked()) == ({ONE: 2}, [])
        await town.publish("resident", ONE, 3)
        await bus.until(lambda: store.versions() == {ONE: 3})

    assert done.merged is not None
    assert (done.merged.changed, done.merged.kept) == (0, 0)


async def test_what_was_dismissed_stays_so_for_a_store_that_goes_back(
    town: Town, sinks, store
) -> None:
    """Its lane meets the event again, and has no more to do with it than before."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        before = copy.deepcopy((store.tables, store.checkpoints))
        await town.append("resident", ONE, b"\x00no event")
        await town.publish("resident", ONE, 2)
        await bus.at(3)
        (parked, _) = bus.parked()
        await bus.process.control.parked.dismiss([parked], "T-1")
        bus.process.control.parked.lane(LANE).on_news()
        await bus.until(lambda: not bus.parked())
    store.tables, store.checkpoints = before

    async with hosted(town, sinks) as bus:
        await bus.at(3)

        assert (store.versions(), bus.parked()) == ({ONE: 2}, [])


async def test_no_row_goes_down(town: Town, sinks, store) -> None:
    """What the table has newer than the log gives, nobody knows why, stays, and is told."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    (key,) = store.tables["resident"]
    store.tables["resident"][key]["version"] = 7

    done = await rebuilt(town, store)

    assert store.versions() == {ONE: 7}
    assert done.merged is not None
    assert done.merged.kept == 1


async def test_a_try_whose_end_is_not_yet_written_down(town: Town, sinks, store) -> None:
    """The row is there, its exception still open: it does not go, and does not go back."""
    store.refused.add(ONE)
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(2)
        store.refused.clear()
        bus.process.control.parked.record = _unheard(bus.process.control.parked.record)
        await bus.process.control.parked.ask_retry(bus.parked())
        bus.process.control.parked.lane(LANE).on_news()
        await bus.until(lambda: store.versions() == {ONE: 1, TWO: 1})
        await rebuilt(town, store)

        assert store.versions() == {ONE: 1, TWO: 1}
        assert [event.state for event in bus.parked()] == [ExceptionState.RETRY]


def _unheard(record: Any) -> Any:
    """An index that can be asked for another try, and never hears what came of it."""

    async def only_asked(events: Any) -> None:
        if any(event.state is not ExceptionState.RETRY for event in events):
            await asyncio.Event().wait()
        await record(events)

    return only_asked


@pytest.mark.parametrize("refused", [2, 1])
async def test_what_is_tried_again_meanwhile_is_kept(
    town: Town, sinks, store, refused: int
) -> None:
    """Set aside when the staging table passed it, and applied before that took its place; also
    where the staging table has nothing of its subject."""
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        for version in range(1, refused):
            await town.publish("resident", ONE, version)
            await bus.at(1 + version)
        store.refused.add(ONE)
        await town.publish("resident", ONE, refused)
        await bus.at(1 + refused)
        store.refused.clear()
        async with hosted(town, {}) as own:
            rebuild = rebuild_of(town, own, store, view_of(SYSTEM, "resident"))
            catch_up = rebuild._catch_up

            async def then_try_again(held: Any) -> None:
                await catch_up(held)
                await bus.process.control.parked.ask_retry(bus.parked())
                bus.process.control.parked.lane(LaneName(SYSTEM, "resident", 0)).on_news()
                await bus.until(lambda: not bus.parked())

            rebuild._catch_up = then_try_again  # type: ignore[method-assign]
            await rebuild.run()

    assert store.versions() == {ONE: refused, TWO: 1}


async def test_erased_and_protected_subjects(town: Town, sinks, store) -> None:
    """The one is not there; of the other the address is not."""
    for subject in (ONE, TWO, THREE):
        await town.publish("resident", subject, 1)
    await town.append("resident", ONE, None)
    await town.publish("protection", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(4)
        await rebuilt(town, store)

    held = {row["subject_id"]: row["address_lot"] for row in store.rows("resident")}
    assert held.keys() == {TWO, THREE}
    assert held[TWO] is None
    assert held[THREE] is not None


async def test_the_policy_changes_meanwhile(town: Town, sinks, store) -> None:
    """What was filled goes with the view, and the rebuild says why it ends."""
    for number in range(5):
        await town.publish("resident", f"{number:015d}", 1)
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await bus.at(5)
        async with hosted(town, {}) as own:
            rebuild = rebuild_of(town, own, store, view_of(SYSTEM, "resident"))
            catch_up = rebuild._catch_up

            async def then_switch(held: Any) -> None:
                await catch_up(held)
                await policies.apply(SYSTEM, NARROW)
                await bus.until(lambda: store.standings["resident"].edition == 1)

            rebuild._catch_up = then_switch  # type: ignore[method-assign]
            with pytest.raises(ConfigurationError):
                await rebuild.run()

    assert not [name for name in store.tables if name.endswith(STAGING)]
    assert len(store.rows("resident")) == 5


async def test_a_swap_whose_answer_is_lost(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not done twice, and nothing is left behind."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        async with hosted(town, {}) as own:
            rebuild = rebuild_of(town, own, store, view_of(SYSTEM, "resident"))
            merge = rebuild._merge
            calls: list[int] = []

            async def unheard(held: Any) -> Any:
                await merge(held)
                calls.append(1)
                raise SinkUnavailable("the answer was lost")

            rebuild._merge = unheard  # type: ignore[method-assign]
            done = await rebuild.run()

    assert calls == [1]
    assert done.merged is None
    assert not [name for name in store.tables if name.endswith(STAGING)]
    assert store.versions() == {ONE: 1}


@pytest.mark.made_up_time
async def test_a_store_that_goes_away_is_waited_for(town: Town, sinks, store) -> None:
    """While it is filled, and while it is put in place."""
    for number in range(5):
        await town.publish("resident", f"{number:015d}", 1)
    async with hosted(town, sinks) as bus:
        await bus.at(5)
    store.is_away = True

    async def back() -> None:
        await passes(0.1)
        store.is_away = False

    coming = asyncio.create_task(back())
    made = await rebuilt(town, store)
    await coming

    assert made.events == 5


async def test_it_says_how_far_it_is(town: Town, sinks, store) -> None:
    """How many events of how many."""
    for number in range(5):
        await town.publish("resident", f"{number:015d}", 1)
    async with hosted(town, sinks) as bus:
        await bus.at(5)
    said: list[tuple[int, int]] = []
    async with hosted(town, {}) as own:
        view = view_of(SYSTEM, "resident")
        await rebuild_of(town, own, store, view, progress=lambda *far: said.append(far)).run()

    assert said == [(5, 5)]
