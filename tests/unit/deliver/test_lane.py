"""Lanes on good days: order, resuming, receipts, older schemas, erasures."""

from __future__ import annotations

import itertools

from bus.model import Erasures, ExceptionState
from bus.sealing.proofs import digest
from tests.support.keys import key
from tests.support.lanes import Town, hosted

ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"


async def test_events_arrive_in_order(town: Town, sinks, store) -> None:
    """The newest version of each subject is in the store, and the lane stands at the end."""
    for version in (1, 2, 3):
        await town.publish("resident", ONE, version)
    await town.publish("resident", TWO, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(4)

    assert store.versions() == {ONE: 3, TWO: 1}


async def test_resumes_just_after_the_stores_position(town: Town, sinks, store) -> None:
    """A new process goes on after what the store holds, whatever the group was told."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    await town.publish("resident", TWO, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(2)

    starts = [(batch.start, batch.end.offset) for batch in store.applied]
    assert starts == [(0, 1), (1, 2)]


async def test_a_restored_store_catches_up(town: Town, sinks, store) -> None:
    """A store put back to an older state gets what it lacks, although the group was told more."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    backup = dict(store.tables), dict(store.checkpoints)
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(2)

    store.tables, store.checkpoints = backup
    async with hosted(town, sinks) as bus:
        await bus.at(2)

    assert store.versions() == {ONE: 1, TWO: 1}


async def test_the_group_is_told(town: Town, sinks) -> None:
    """Tools that show lag see how far the system is."""
    await town.publish("resident", ONE, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(1)

    told = await town.broker.committed("renkei.child_allowance")
    assert told == {("linkage.resident", 0): 1}


async def test_receipts_are_a_chain(town: Town, sinks) -> None:
    """Each receipt of a lane begins where the one before ended, and names it."""
    async with hosted(town, sinks) as bus:
        for version in (1, 2, 3):
            await town.publish("resident", ONE, version)
            await bus.at(version)

    receipts = town.read_all("receipt")
    assert [receipt["delivered"] for receipt in receipts] == ["{[0,1)}", "{[1,2)}", "{[2,3)}"]
    for before, after in itertools.pairwise(receipts):
        assert (after["previous"], after["start"]) == (before["chain"], before["end"])


async def test_a_receipt_says_what_was_delivered(town: Town, sinks) -> None:
    """Rows, offsets and a digest of the very bytes that the topic holds."""
    values = [town.value("resident", subject, 1) for subject in (ONE, TWO)]
    for subject, value in zip((ONE, TWO), values, strict=True):
        await town.append("resident", subject, value)

    async with hosted(town, sinks) as bus:
        await bus.at(2)

    (receipt,) = town.read_all("receipt")
    assert (receipt["rows"], receipt["delivered"]) == (2, "{[0,2)}")
    assert receipt["digest"] == digest(key("town"), values)
    assert not receipt["is_replay"]


async def test_older_schemas_in_one_batch(town: Town, sinks, store) -> None:
    """Events of v1 and v2 together become rows of the one view."""
    await town.publish("resident", ONE, 1, schema=1)
    await town.publish("resident", TWO, 1, schema=2)
    await town.publish("resident", THREE, 1, schema=1)

    async with hosted(town, sinks) as bus:
        await bus.at(3)

    assert store.versions() == {ONE: 1, TWO: 1, THREE: 1}
    assert len(store.applied) == 1


async def test_what_the_view_does_not_select_is_a_hole(town: Town, sinks, store) -> None:
    """The position moves past it; the receipt does not name it."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1, event_type="resident.unheard_of")
    await town.publish("resident", THREE, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(3)

    (receipt,) = town.read_all("receipt")
    assert receipt["delivered"] == "{[0,1),[2,3)}"
    assert store.versions() == {ONE: 1, THREE: 1}


async def test_compacted_events_are_holes(town: Town, sinks, store) -> None:
    """A log with gaps is delivered; the position is after its last event."""
    for version in (1, 2):
        await town.publish("resident", ONE, version)
    await town.publish("resident", TWO, 1)
    town.memory.compact("linkage.resident")

    async with hosted(town, sinks) as bus:
        await bus.at(3)

    assert store.versions() == {ONE: 2, TWO: 1}
    assert town.read_all("receipt")[0]["delivered"] == "{[1,3)}"


async def test_an_erasure_takes_the_subject_out(town: Town, sinks, store) -> None:
    """Between events, in log order; what is published afterwards is there again."""
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    await town.append("resident", ONE, None)
    await town.append("resident", TWO, None)
    await town.publish("resident", TWO, 2)

    async with hosted(town, sinks) as bus:
        await bus.at(5)

    assert store.versions() == {TWO: 2}
    erased = [len(batch.keys) for batch in store.applied if isinstance(batch, Erasures)]
    assert (len(store.applied), erased) == (3, [2])
    assert isinstance(store.applied[1], Erasures)
    assert [receipt["rows"] for receipt in town.read_all("receipt")] == [2, 2, 1]


async def test_an_erasure_settles_what_was_set_aside(town: Town, sinks, store) -> None:
    """A parked event of an erased subject must never come back by a retry."""
    await town.append("resident", ONE, b"\x00garbage")
    await town.append("resident", ONE, None)

    async with hosted(town, sinks) as bus:
        await bus.at(2)
        assert bus.parked() == []

    assert store.versions() == {}
    assert town.read_all("exception")[-1]["state"] == ExceptionState.SUPERSEDED


async def test_the_ledger_sends_no_receipts(town: Town, store, sinks) -> None:
    """Its own lanes would otherwise feed themselves for ever."""
    await town.publish("resident", ONE, 1)
    make = sinks["child_allowance"]

    async with hosted(town, {"ledger": make}, streams=("resident", "receipt")) as bus:
        await bus.at(1)

    assert town.read_all("receipt") == []
    (row,) = store.rows("resident")
    assert (row["log_partition"], row["log_offset"], row["subject_id"]) == (0, 0, ONE)


async def test_the_ledger_keeps_receipts(town: Town, store, sinks) -> None:
    """Receipts of others are a stream like any other, although they have no header."""
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    make = sinks["child_allowance"]

    async with hosted(town, {"ledger": make}, streams=("receipt",)) as bus:
        await bus.at(1, "receipt")
    await town.publish("resident", ONE, 2)
    async with hosted(town, sinks) as bus:
        await bus.at(2)
    async with hosted(town, {"ledger": make}, streams=("receipt",)) as bus:
        await bus.at(3, "receipt")

    assert [row["system"] for row in store.rows("receipt")] == ["child_allowance"] * 3
