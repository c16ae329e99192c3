"""Whole lanes into stores that are nothing like a database: what they lack the bus does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bus.connect import BusKept
from bus.deliver import masking
from bus.deliver.masking import Masking
from bus.deliver.state import LaneStatus
from bus.failpoints import Point
from bus.log import partition
from bus.log.run import Run, subject_of
from bus.model import LaneName, View
from tests.conformance.plain_rigs import FolderRig, ReceiverRig
from tests.support.lanes import CATALOG, Hosted, Town, hosted, view_of
from tests.support.stores.keeper import MemoryKeeper

SYSTEM = "child_allowance"
ONE, TWO, THREE = "000000000000018", "000000000000026", "000000000000034"
HOME = "000000000000107"
BOTH = ("protection", "resident")
LANE = LaneName(SYSTEM, "resident", 0)


@pytest.fixture
async def town() -> Town:
    made = Town()
    await made.build()
    return made


@pytest.fixture
async def receiver() -> Any:
    rig = ReceiverRig()
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
def folder(tmp_path: Path) -> FolderRig:
    (tmp_path / "handed").mkdir()
    return FolderRig(tmp_path / "handed")


def into(rig: FolderRig | ReceiverRig, keeper: MemoryKeeper) -> dict[str, Any]:
    return {SYSTEM: lambda _view: BusKept(rig.sink(), SYSTEM, keeper)}


async def shown(rig: FolderRig | ReceiverRig, view: View | None = None) -> dict[str, Any]:
    """Subject -> version, flag and town."""
    view = view or view_of(SYSTEM, "resident")
    return {
        row["subject_id"]: (row["version"], row["protected"], row["address_town"] is not None)
        for row in await rig.stored(view)
    }


async def told(bus: Hosted, keeper: MemoryKeeper) -> None:
    """Wait until the lane has done what its coverage asks."""

    async def is_done() -> bool:
        reached = (await keeper.kept(LANE)).reached
        changed = bus.process.fence.changed
        return all(reached.get(log, 0) >= offset for log, offset in changed.items())

    await bus.until_told(is_done, 10)


async def test_a_receiver_gets_what_there_is(town: Town, receiver: ReceiverRig) -> None:
    """Rows, newer rows and erasures; the lane goes on where the bus has kept it."""
    keeper = MemoryKeeper()
    await town.publish("resident", ONE, 1)
    async with hosted(town, into(receiver, keeper)) as bus:
        await town.publish("resident", TWO, 1)
        await bus.at(2)
    await town.publish("resident", ONE, 2)
    await town.append("resident", TWO, None)
    async with hosted(town, into(receiver, keeper)) as bus:
        await bus.at(4)

    assert await shown(receiver) == {ONE: (2, False, True)}
    said = [(r["start"], r["end"]) for r in town.read_all("receipt")]
    assert said[-1][1] == 4
    tokens = [message["token"] for message in receiver.taken]
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("point", [Point.LANE_HANDED, Point.LANE_RECEIPTED, Point.LANE_VIEWED])
async def test_a_lane_that_dies_hands_over_again(
    town: Town, receiver: ReceiverRig, crash_at: Any, point: Point
) -> None:
    """The same delivery under the same token, or nothing."""
    keeper = MemoryKeeper()
    for subject in (ONE, TWO):
        await town.publish("resident", subject, 1)
    crash_at(point)
    async with hosted(town, into(receiver, keeper)) as bus:
        await bus.at(2, seconds=20)

    assert await shown(receiver) == {ONE: (1, False, True), TWO: (1, False, True)}
    tokens = [message["token"] for message in receiver.taken]
    times = 2 if point is Point.LANE_HANDED else 1
    assert len(set(tokens)) == 1
    assert len(tokens) == times


async def test_a_folder_has_no_file_twice(town: Town, folder: FolderRig, crash_at: Any) -> None:
    """It knows by the token what it has."""
    keeper = MemoryKeeper()
    for subject in (ONE, TWO):
        await town.publish("resident", subject, 1)
    crash_at(Point.LANE_HANDED)
    async with hosted(town, into(folder, keeper)) as bus:
        await bus.at(2, seconds=20)
    await town.publish("resident", ONE, 2)
    async with hosted(town, into(folder, keeper)) as bus:
        await bus.at(3)

    assert len(list((folder.path / "resident" / "0").iterdir())) == 2
    assert await shown(folder) == {ONE: (2, False, True), TWO: (1, False, True)}


async def test_a_receiver_that_is_away_is_waited_for(town: Town, receiver: ReceiverRig) -> None:
    """And gets everything once, in order, when it is back."""
    keeper = MemoryKeeper()
    async with hosted(town, into(receiver, keeper)) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        async with receiver.cut():
            await town.publish("resident", ONE, 2)
            await bus.until(lambda: bus.lane().code is not None)
        await bus.at(2, seconds=20)

    assert [row["version"] for each in receiver.taken for row in each["rows"]] == [1, 2]


async def test_two_processes_do_not_hand_over_one_batch(town: Town, receiver: ReceiverRig) -> None:
    """Whoever comes second finds the lane moved, before anything is sent."""
    keeper = MemoryKeeper()
    async with hosted(town, into(receiver, keeper)) as one:
        await town.publish("resident", ONE, 1)
        await one.at(1)
        late = BusKept(receiver.sink(), SYSTEM, keeper)
        assert dict(await late.marks())["resident", 0].offset == 1
    assert len(receiver.taken) == 1


async def test_a_protection_that_comes_later_is_a_masked_rewrite(
    town: Town, receiver: ReceiverRig
) -> None:
    """The newest event of everybody who is covered, once more and without a location; and with it
    again when the last protection has ended. Nobody else's."""
    keeper, process = MemoryKeeper(), dict[str, Any](shared_with=[TWO])
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        for subject in (ONE, TWO, THREE):
            await town.publish("resident", subject, 1)
        await town.publish("resident", ONE, 2)
        await bus.at(4)
        assert await shown(receiver) == {
            ONE: (2, False, True), TWO: (1, False, True), THREE: (1, False, True),
        }  # fmt: skip
        before = len(receiver.taken)

        await town.publish("protection", ONE, 1, **process)
        await told(bus, keeper)
        assert await shown(receiver) == {
            ONE: (2, True, False), TWO: (1, True, False), THREE: (1, False, True),
        }  # fmt: skip
        await town.publish("resident", TWO, 2)
        await bus.at(5)
        assert (await shown(receiver))[TWO] == (2, True, False)
        assert leaked(receiver.taken[before:], ONE, TWO) == []

        await town.publish("protection", ONE, 2, status="ENDED", **process)
        await told(bus, keeper)
        assert await shown(receiver) == {
            ONE: (2, False, True), TWO: (2, False, True), THREE: (1, False, True),
        }  # fmt: skip
    anew = [row["subject_id"] for m in receiver.taken if m["is_anew"] for row in m["rows"]]
    assert THREE not in anew


async def test_what_ends_is_looked_for_among_what_is_masked(
    town: Town, receiver: ReceiverRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is new may be anywhere in the log; whoever was covered is known, and read alone. Of
    somebody whom the store never had nothing is read then."""
    keeper, opened, looked = MemoryKeeper(), list[str](), list[str]()
    look, open_ = Masking._look, partition.opened

    async def looking(self: Masking, run: Run, *rest: Any) -> None:
        looked.extend(subject_of(key).rpartition("/")[2] for key in run.keys)
        await look(self, run, *rest)

    def opening(*arguments: Any) -> Any:
        opened.append("log")
        return open_(*arguments)

    monkeypatch.setattr(Masking, "_look", looking)
    monkeypatch.setattr(masking, "opened", opening)
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        for subject in (ONE, TWO):
            await town.publish("resident", subject, 1)
        await bus.at(2)
        for subject in (ONE, THREE):
            await town.publish("protection", subject, 1)
            await told(bus, keeper)
        assert set(looked) == {ONE, TWO}
        looked.clear()
        opened.clear()

        await town.publish("protection", ONE, 2, status="ENDED")
        await told(bus, keeper)
        assert set(looked) == {ONE}
        looked.clear()
        opened.clear()
        await town.publish("protection", THREE, 2, status="ENDED")
        await told(bus, keeper)
        assert (looked, opened) == ([], [])

    assert await shown(receiver) == {ONE: (1, False, True), TWO: (1, False, True)}


async def test_a_protection_during_an_absence_is_caught_up_with(
    town: Town, receiver: ReceiverRig
) -> None:
    """Nobody delivered when it began; the next process masks before it says anything new."""
    keeper = MemoryKeeper()
    await town.publish("resident", ONE, 1)
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        await bus.at(1)
    before = len(receiver.taken)
    await town.publish("protection", ONE, 1)
    await town.publish("resident", ONE, 2)
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        await bus.at(2)
        await told(bus, keeper)
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        await bus.at(2)
        await told(bus, keeper)

    assert await shown(receiver) == {ONE: (2, True, False)}
    assert leaked(receiver.taken[before:], ONE) == []


@pytest.mark.parametrize("text", [None, '"string"'], ids=["gone", "another"])
async def test_an_event_that_can_be_read_no_more_stops_the_lane(
    town: Town, receiver: ReceiverRig, text: str | None
) -> None:
    """Nobody knows whether the row that a store has of it is to be masked: nothing is said to be
    done, and it is done once the registry is as it was."""
    keeper = MemoryKeeper()
    await town.publish("resident", ONE, 1)
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        await bus.at(1)
    schema_id = await town.registry.id_of(CATALOG.stream("resident").latest)
    known = town.registry.texts.pop(schema_id)
    if text is not None:
        town.registry.texts[schema_id] = text
    await town.publish("protection", ONE, 1)
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        lanes = bus.process.lanes.all.values()
        await bus.until(lambda: LaneStatus.STOPPED in {lane.status for lane in lanes}, 10)
        assert (await keeper.kept(LANE)).reached == {}
    assert await shown(receiver) == {ONE: (1, False, True)}

    town.registry.texts[schema_id] = known
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        await told(bus, keeper)
    assert await shown(receiver) == {ONE: (1, True, False)}


async def test_who_is_erased_is_not_masked_back(town: Town, receiver: ReceiverRig) -> None:
    """A rewrite of somebody who is gone would bring them back to a receiver that remembers."""
    keeper = MemoryKeeper()
    async with hosted(town, into(receiver, keeper), streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await town.append("resident", ONE, None)
        await bus.at(2)
        await town.publish("protection", ONE, 1)
        await told(bus, keeper)

    assert not [m for m in receiver.taken if m["is_anew"]]
    assert (await keeper.kept(LANE)).masked == frozenset()


def leaked(messages: list[Mapping[str, Any]], *subjects: str) -> list[str]:
    """What of the locations of *subjects* is said, in whatever field."""
    withheld = view_of(SYSTEM, "resident").withheld
    assert withheld
    return [
        json.dumps({name: row[name]})
        for message in messages
        if message["stream"] == "resident"
        for row in message["rows"]
        if row["subject_id"] in subjects
        for name in withheld
        if row[name] is not None
    ]
