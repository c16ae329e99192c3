"""Lanes on bad days: stores that are away, positions that do not fit, second owners."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bus.broker.memory import MemoryConsumer
from bus.deliver.state import LaneStatus
from bus.errors import ConfigurationError, LaneTooOld, PositionForeign, SchemaMismatch, Unready
from bus.model import Applied, Delivery, LaneName
from connectors.memory.sink import MemoryOptions, MemorySink
from tests.support.changes import body
from tests.support.lanes import CATALOG, Town, hosted
from tests.support.madeup import passes

ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"


async def test_waits_for_a_store_without_end(town: Town, sinks, store) -> None:
    """The back-off doubles up to its most; when the store is back, nothing is missing."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        store.is_away = True
        await town.publish("resident", TWO, 1)
        town.moved.slept.clear()
        waits = town.moved.slept

        await bus.until(lambda: len([w for w in waits if w >= town.settings.retry_most / 2]) > 5)
        assert bus.lane().status is LaneStatus.RETRYING
        assert bus.lane().code == "RK-404"
        assert bus.lane().since is not None
        store.is_away = False
        await bus.at(2)

        assert bus.lane().status is LaneStatus.RUNNING
    assert max(waits) <= town.settings.retry_most
    assert store.versions() == {ONE: 1, TWO: 1}


async def test_a_store_that_is_away_at_the_start(town: Town, sinks, store) -> None:
    """The lane opens when the store is there."""
    store.is_away = True
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.until(lambda: len(town.moved.slept) > 3)
        store.is_away = False
        await bus.at(1)

    assert store.versions() == {ONE: 1}


async def test_an_answer_that_was_lost(town: Town, sinks, store) -> None:
    """The store committed and nobody heard of it: it is asked, and not written twice."""
    await town.publish("resident", ONE, 1)
    store.is_unheard = True

    async with hosted(town, sinks) as bus:
        await bus.at(1)
        assert bus.lane().batches == 1  # recognised, not found out by losing the lane

    assert len(store.applied) == 1
    (receipt,) = town.read_all("receipt")
    assert receipt["delivered"] == "{[0,1)}"


async def test_a_registry_that_is_away(town: Town, sinks, store) -> None:
    """Events in a schema that was seen before go on; a new one waits for the registry."""
    await town.publish("resident", ONE, 1, schema=1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        town.registry.is_away = True
        await town.publish("resident", TWO, 1, schema=1)
        await bus.at(2)
        await town.publish("resident", THREE, 1, schema=2)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        assert store.versions() == {ONE: 1, TWO: 1}
        town.registry.is_away = False
        await bus.at(3)

    assert store.versions() == {ONE: 1, TWO: 1, THREE: 1}


async def test_a_broker_that_is_away(town: Town, sinks, store) -> None:
    """Fetching and sending receipts wait; then everything is there once."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        town.memory.is_away = True
        town.moved.slept.clear()
        await bus.until(lambda: len(town.moved.slept) > 3)
        town.memory.is_away = False
        await town.publish("resident", TWO, 1)
        await bus.at(2)

    assert store.versions() == {ONE: 1, TWO: 1}
    assert len(town.read_all("receipt")) == 2


class Misfit(MemorySink):
    """The table was altered under a running sink."""

    async def apply(self, batch: Delivery) -> Applied:
        raise ConfigurationError("the table does not fit the view")


class Defective(MemorySink):
    """A connector with a bug."""

    async def apply(self, batch: Delivery) -> Applied:
        raise KeyError("山田　太郎")


@pytest.mark.parametrize(("sink", "code"), [(Misfit, "RK-100"), (Defective, "RK-000")])
async def test_a_lane_stops_and_its_position_stays(
    town: Town, store, sink: type[MemorySink], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no matter of the event, or a defect, is never parked; other systems go on."""
    await town.publish("resident", ONE, 1)
    other = type(store)()

    async with hosted(
        town,
        {
            "child_allowance": lambda _: sink(MemoryOptions(store=store)),
            "electoral_roll": lambda _: MemorySink(MemoryOptions(store=other)),
        },
    ) as bus:
        states = bus.process.lanes.all
        await bus.until(lambda: other.checkpoints)
        await bus.until(bus.process.lanes.stopped)
        assert states[LaneName("child_allowance", "resident", 0)].code == code
        assert bus.parked() == []

    assert store.checkpoints == {}
    said = capsys.readouterr().out
    assert "lane-stopped" in said or "task-ended" in said
    assert "山田" not in said


async def test_an_id_that_means_another_schema_stops(town: Town, sinks, store) -> None:
    """Somebody published to the wrong topic, or the registry was replaced: never a guess."""
    await town.publish("resident", TWO, 1)
    await town.append("resident", ONE, town.value("household", ONE, 1))

    async with hosted(town, sinks) as bus:
        state = await bus.stopped()
        await bus.until(lambda: town.read_all("operation"))

    assert state.code == SchemaMismatch.code
    assert store.versions() == {}
    (said,) = town.read_all("operation")
    assert (said["code"], said["offset"]) == (SchemaMismatch.code, 1)  # the very event


async def moved(town: Town, sinks, store, **changes: object) -> str | None:
    """Change the stored position and start again; the code on which the lane stopped."""
    for version in (1, 2, 3):
        await town.publish("resident", ONE, version)
    async with hosted(town, sinks) as bus:
        await bus.at(3)
    held = store.checkpoints["resident", 0]
    store.checkpoints["resident", 0] = await town.standing_at(held, **changes)
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        state = await bus.stopped()
    assert store.versions() == {ONE: 3}
    return state.code


@pytest.mark.parametrize(
    "changes",
    [
        {"cluster_id": "another"},
        {"topic": "linkage.other"},
        {"offset": 99},
        {"last_event_id": "01900000-0000-7000-8000-000000000000"},
    ],
    ids=["cluster", "topic", "beyond-the-end", "another-event-before-it"],
)
async def test_a_foreign_position_stops(town: Town, sinks, store, changes) -> None:
    """A store of another cluster, a topic made anew, a log that was replaced."""
    assert await moved(town, sinks, store, **changes) == PositionForeign.code


async def test_a_log_that_is_cut_under_a_lane_stops_it(town: Town, sinks, store) -> None:
    """The fetch of a whole system fails; the lane of the partition that it is about is stopped, and
    everybody is told where it stood."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        town.memory.truncate("linkage.resident", 0, 5)
        state = await bus.stopped()
        await bus.until(lambda: town.read_all("operation"))

    assert state.code == PositionForeign.code
    (said,) = town.read_all("operation")
    assert (said["code"], said["offset"]) == (PositionForeign.code, 1)


async def test_the_event_before_the_position_may_be_compacted(town: Town, sinks, store) -> None:
    """Then it cannot be checked, and the lane goes on."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    await town.publish("resident", ONE, 2)
    town.memory.compact("linkage.resident")

    async with hosted(town, sinks) as bus:
        await bus.at(2)

    assert store.versions() == {ONE: 2}


async def test_away_longer_than_erasures_are_kept(town: Town, sinks, store) -> None:
    """A lane that may have missed an erasure stops; one that missed nothing goes on."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    held = store.checkpoints["resident", 0]
    long_ago = town.clock.now() - town.settings.compaction_lag - timedelta(days=1)
    store.checkpoints["resident", 0] = await town.standing_at(replace(held, applied_at=long_ago))
    log = town.memory._topic("linkage.resident").logs[0]

    await town.publish("resident", TWO, 1)
    log.timestamps_ms[-1] = int(town.clock.now().timestamp() * 1000)
    async with hosted(town, sinks) as bus:
        await bus.at(2)  # quiet until yesterday: nothing was missed
    held = store.checkpoints["resident", 0]
    store.checkpoints["resident", 0] = await town.standing_at(replace(held, applied_at=long_ago))
    await town.publish("resident", THREE, 1)
    log.timestamps_ms[-1] = int(long_ago.timestamp() * 1000)
    async with hosted(town, sinks) as bus:
        state = await bus.stopped()

    assert state.code == LaneTooOld.code
    assert store.versions() == {ONE: 1, TWO: 1}


async def test_a_position_before_the_logs_beginning(town: Town, sinks, store) -> None:
    """Events that retention took are missing for ever: stop, never skip."""
    for number, subject in enumerate((ONE, TWO, THREE)):
        await town.publish("resident", subject, 1)
        if number == 0:
            async with hosted(town, sinks) as bus:
                await bus.at(1)
    town.memory.truncate("linkage.resident", 0, before=2)

    async with hosted(town, sinks) as bus:
        state = await bus.stopped()

    assert state.code == LaneTooOld.code
    assert store.versions() == {ONE: 1}


async def test_a_second_owner_moved_the_lane(town: Town, sinks, store) -> None:
    """Let go of what is in hand, ask the store, go on from there; nothing is written twice."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        held = store.checkpoints["resident", 0]
        moved = await town.standing_at(held, offset=2, last_event_id=None)
        store.checkpoints["resident", 0] = moved

        await town.publish("resident", TWO, 1)  # the other owner has moved past this one
        await bus.until(lambda: bus.lane().offset == 2)
        await town.publish("resident", THREE, 1)
        await bus.at(3)

        assert bus.lane().status is LaneStatus.RUNNING
    assert store.versions() == {ONE: 1, THREE: 1}
    assert [batch.start for batch in store.applied] == [0, 2]


async def test_two_processes_share_and_one_takes_over(sinks, store) -> None:
    """Lanes go to whoever is there; order and receipts are unbroken."""
    town = Town(partitions=4)
    await town.build()
    async with hosted(town, sinks) as first:
        await first.until(lambda: len(first.lanes) == 4)
        async with hosted(town, sinks) as second:
            await second.until(lambda: len(second.lanes) == len(first.lanes) == 2)
            for number in range(40):
                await town.publish("resident", f"{number:015d}", 1, partition=number % 4)
            await first.until(lambda: len(store.versions()) == 40)
        await first.until(lambda: len(first.lanes) == 4)
        for number in range(40):
            await town.publish("resident", f"{number:015d}", 2, partition=number % 4)
        await first.until(lambda: set(store.versions().values()) == {2})

    for partition in range(4):
        chain = [r for r in town.read_all("receipt") if r["partition"] == partition]
        distinct = list({r["chain"]: r for r in chain}.values())
        assert [r["previous"] for r in distinct[1:]] == [r["chain"] for r in distinct[:-1]]
        assert [r["start"] for r in distinct[1:]] == [r["end"] for r in distinct[:-1]]


@pytest.mark.made_up_time
async def test_stopping_finishes_the_batch_in_hand(town: Town, store) -> None:
    """SIGTERM comes while the store works: the batch is applied and its receipt sent."""
    working, may_go = asyncio.Event(), asyncio.Event()

    class Slow(MemorySink):
        async def apply(self, batch: Delivery) -> Applied:
            working.set()
            await may_go.wait()
            return await super().apply(batch)

    await town.publish("resident", ONE, 1)
    async with hosted(town, {"child_allowance": lambda _: Slow(MemoryOptions(store=store))}) as bus:
        await working.wait()
        for delivery in bus.deliveries:
            delivery.stop()
        await passes(0.01)
        may_go.set()

    assert store.versions() == {ONE: 1}
    assert len(town.read_all("receipt")) == 1
    assert await town.broker.committed("renkei.child_allowance") == {("linkage.resident", 0): 1}


async def test_stopping_does_not_wait_for_a_store_that_is_away(town: Town, sinks, store) -> None:
    """What is in hand is left; the next process has it."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        store.is_away = True
        await town.publish("resident", TWO, 1)
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
    store.is_away = False

    async with hosted(town, sinks) as bus:
        await bus.at(2)

    assert store.versions() == {ONE: 1, TWO: 1}


async def test_a_slow_stream_does_not_hold_up_another(town: Town, store) -> None:
    """Streams have sinks of their own; what waits for one is bounded, the other flows."""
    town.settings = town.settings.model_copy(update={"fetch_records": 20})
    may_go = asyncio.Event()

    class Slow(MemorySink):
        async def apply(self, batch: Delivery) -> Applied:
            if batch.view.stream == "resident":
                await may_go.wait()
            return await super().apply(batch)

    for number in range(200):
        await town.publish("resident", f"{number:015d}", 1)
        await town.publish("household", f"{number:015d}", 1)
    async with hosted(
        town,
        {"child_allowance": lambda _: Slow(MemoryOptions(store=store))},
        streams=("resident", "household"),
    ) as bus:
        await bus.at(200, "household")
        assert bus.lane("resident").fetched_to <= 60
        may_go.set()
        await bus.at(200, "resident")

    assert len(store.rows("resident")) == len(store.rows("household")) == 200


async def test_a_lane_with_room_again_waits_for_no_other(
    town: Town, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While some lanes are full, the log is only looked at: room for them ends the wait."""
    town.settings = town.settings.model_copy(update={"fetch_records": 8})
    waits: list[timedelta] = []
    fetch = MemoryConsumer.fetch

    async def seen(self, most: int, timeout: timedelta, places=None):
        if places is not None:
            waits.append(timeout)
        return await fetch(self, most, timeout, places)

    monkeypatch.setattr(MemoryConsumer, "fetch", seen)
    for number in range(60):
        await town.publish("resident", f"{number:015d}", 1)
        await town.publish("household", f"{number:015d}", 1)
    async with hosted(
        town,
        {"child_allowance": lambda _: MemorySink(MemoryOptions(store=store))},
        streams=("resident", "household"),
    ) as bus:
        await bus.at(60, "household")
        await bus.at(60, "resident")

    assert waits
    assert set(waits) == {timedelta()}


def test_every_shipped_stream_can_be_hosted() -> None:
    """The rig knows the streams that the tests use."""
    assert {"resident", "household", "protection", "receipt", "exception"} <= set(CATALOG.streams)


@pytest.mark.made_up_time
async def test_one_receipt_at_most_is_owed(
    town: Town, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store remembers one: the next batch waits until the last receipt is acknowledged."""
    apply_may_go, receipt_may_go = asyncio.Event(), asyncio.Event()

    class Slow(MemorySink):
        async def apply(self, batch: Delivery) -> Applied:
            await apply_may_go.wait()
            return await super().apply(batch)

    async with hosted(town, {"child_allowance": lambda _: Slow(MemoryOptions(store=store))}) as bus:
        topic = bus.process.control.receipts._topic
        append = topic.append

        async def slow(*arguments):
            await receipt_may_go.wait()
            return await append(*arguments)

        monkeypatch.setattr(topic, "append", slow)
        for number, subject in enumerate((ONE, TWO), start=1):
            await town.publish("resident", subject, 1)
            await bus.until(
                lambda: any(s.fetched_to == number for s in bus.process.lanes.all.values())  # noqa: B023
            )
        apply_may_go.set()
        await bus.until(store.versions)
        await passes(0.1)
        assert store.versions() == {ONE: 1}
        receipt_may_go.set()
        await bus.at(2)

    assert store.versions() == {ONE: 1, TWO: 1}


class Swapped(MemorySink):
    """A store that somebody is putting in place: a table or a right is not there yet."""

    async def apply(self, batch: Delivery) -> Applied:
        if self._store.is_away:
            raise Unready("the table is not there")
        return await super().apply(batch)

    def _reach_store(self) -> None:
        """It answers."""


async def test_what_is_missing_in_the_middle_of_a_restore_is_waited_for(
    town: Town, store, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lane does not stop, it says so aloud after a minute, and goes on by itself."""
    await town.publish("resident", ONE, 1)
    store.is_away = True
    async with hosted(
        town, {"child_allowance": lambda _: Swapped(MemoryOptions(store=store))}
    ) as bus:
        begun = town.clock.now()
        await bus.until(lambda: town.clock.now() - begun > timedelta(minutes=10))
        assert (bus.lane().status, bus.lane().code) == (LaneStatus.RETRYING, "RK-410")
        store.is_away = False
        await bus.at(1)
        assert bus.lane().status is LaneStatus.RUNNING

    said = capsys.readouterr().out
    assert "lane-stopped" not in said
    assert any("lane-retries" in line and "error" in line for line in said.splitlines())


async def test_what_is_missing_for_too_long_stops_every_lane(town: Town, store) -> None:
    """After the set time, and not before; an operator then has it go on."""
    await town.publish("resident", ONE, 1)
    await town.publish("household", ONE, 1)
    store.is_away = True
    async with hosted(
        town,
        {"child_allowance": lambda _: Swapped(MemoryOptions(store=store))},
        streams=("resident", "household"),
    ) as bus:
        begun = town.clock.now()
        for stream in ("resident", "household"):
            stopped = await bus.stopped(stream)
            assert stopped.code == "RK-410"
            assert stopped.since is not None
            assert stopped.since - begun >= town.settings.unready_most
        store.is_away = False
        for stream in ("resident", "household"):
            await bus.resume("child_allowance", stream)
            await bus.at(1, stream)


async def test_a_refusal_after_an_outage_does_not_end_the_lane(town: Town, sinks, store) -> None:
    """A store that is back, and takes the event no more than before, has answered: the event is set
    aside, and the lane is fed again."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        store.is_away = True
        await town.publish("resident", TWO, 1, name=dict(body("resident")["name"], full="a\x00b"))
        await bus.until(lambda: bus.lane().status is LaneStatus.RETRYING)
        store.is_away = False
        await bus.at(2)
        assert bus.lane().status is LaneStatus.RUNNING
        await town.publish("resident", THREE, 1)
        await bus.at(3)

    assert store.versions() == {ONE: 1, THREE: 1}
    assert [event.offset for event in bus.parked()] == [1]
