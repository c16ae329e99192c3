"""What a store says of a lane is believed if the bus said it, and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.control.testimony import _said
from bus.deliver.state import LaneStatus
from bus.errors import PositionForged, SinkUnavailable, StoreForged
from bus.model import Applied, Delivery, LaneName
from bus.sealing import ProofKind, Proofs
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.keys import Pocket
from tests.support.lanes import Town, hosted
from tests.unit.deliver.conftest import WatchedSink

ONE, TWO = "000000000000001", "000000000000002"
LANE = ("resident", 0)


async def three_events(town: Town, sinks) -> None:
    async with hosted(town, sinks) as bus:
        for version in (1, 2, 3):
            await bus.at(await town.publish("resident", ONE, version) + 1)


async def opened(town: Town, sinks, *, proofs: Proofs | None = None) -> str | None:
    """The code with which the lane stops when it opens; None if it goes on."""
    async with hosted(town, sinks, proofs=proofs) as bus:
        await bus.until(
            lambda: (
                bus.process.lanes.stopped()
                or any(lane.status is LaneStatus.RUNNING for lane in bus.lanes)
            )
        )
        return bus.lane().code


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": 2},
        {"offset": 2, "last_event_id": None},
        {"offset": 9},
        {"partition": 1},
        {"cluster_id": "another"},
        {"topic": "linkage.household"},
    ],
    ids=str,
)
async def test_an_edited_position_is_not_believed(town: Town, sinks, store, changes) -> None:
    """Forward, back, or of another log: each is told from one that the bus wrote."""
    await three_events(town, sinks)
    said = town.read_all("receipt")
    held = store.checkpoints[LANE]
    store.checkpoints[LANE] = replace(held, position=replace(held.position, **changes))

    assert await opened(town, sinks) == PositionForged.code
    assert town.read_all("receipt") == said


@pytest.mark.parametrize(
    "changes",
    [
        {"system": "individual_resident_tax"},
        {"stream": "household"},
        {"partition": 1},
        {"start": 0},
        {"delivered": "{[0,3)}"},
        {"view": "0" * 64},
        {"rows": 999},
        {"digest": "0" * 64},
        {"previous": "1" * 64},
    ],
    ids=str,
)
async def test_an_edited_receipt_is_not_believed(town: Town, sinks, store, changes) -> None:
    """Nothing of it is published."""
    await three_events(town, sinks)
    said = town.read_all("receipt")
    held = store.checkpoints[LANE]
    store.checkpoints[LANE] = replace(held, receipt=replace(held.receipt, **changes))

    assert await opened(town, sinks) == PositionForged.code
    assert town.read_all("receipt") == said


async def test_a_receipt_that_is_owed_is_sent_only_if_it_is_proved(
    town: Town, sinks, store
) -> None:
    """It is in no log yet: its proof is all that there is."""
    await three_events(town, sinks)
    held = store.checkpoints[LANE]
    owed = await town.standing_at(held, offset=3)
    owed = replace(owed, receipt=replace(owed.receipt, rows=7))
    store.checkpoints[LANE] = replace(owed, proof=None)

    assert await opened(town, sinks) == PositionForged.code

    store.checkpoints[LANE] = await town.standing_at(owed)
    assert await opened(town, sinks) is None
    assert town.read_all("receipt")[-1]["rows"] == 7


async def test_a_row_of_another_lane_is_not_believed(town: Town) -> None:
    """Each of two systems' rows is genuine, and neither is in the other's place."""
    stores = {system: MemoryStore() for system in ("child_allowance", "individual_resident_tax")}
    sinks: dict[str, Any] = {
        s: lambda _, s=s: MemorySink(MemoryOptions(store=stores[s])) for s in stores
    }
    async with hosted(town, sinks) as bus:
        end = await town.publish("resident", ONE, 1) + 1
        await bus.until(lambda: [lane.offset for lane in bus.lanes_of("resident")] == [end, end])
    mine, theirs = stores.values()
    mine.checkpoints[LANE] = theirs.checkpoints[LANE]

    async with hosted(town, sinks) as bus:
        await bus.until(lambda: len(bus.process.lanes.stopped()) == 1)
        (stopped,) = bus.process.lanes.stopped()
        await bus.until(lambda: any(lane.status is LaneStatus.RUNNING for lane in bus.lanes))

    assert (stopped.system, stopped.code) == ("child_allowance", PositionForged.code)


async def test_an_older_row_of_the_same_lane_is_a_store_that_went_back(
    town: Town, sinks, store
) -> None:
    """It is genuine: the lane goes on from there, and what came since is applied again."""
    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", ONE, 1) + 1)
        older = store.checkpoints[LANE]
        await bus.at(await town.publish("resident", ONE, 2) + 1)
    store.checkpoints[LANE] = older

    async with hosted(town, sinks) as bus:
        await bus.at(2)

    assert [batch.start for batch in store.applied] == [0, 1, 1]


async def test_a_store_that_lost_its_proof_is_believed_by_the_log(town: Town, sinks, store) -> None:
    """The receipt is in its log, proved: the bus said it. From the next batch on the store has a
    proof again."""
    await three_events(town, sinks)
    store.checkpoints[LANE] = replace(store.checkpoints[LANE], proof=None)

    assert await opened(town, sinks) is None

    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", TWO, 1) + 1)
    proof = store.checkpoints[LANE].proof
    assert proof is not None
    assert proof.startswith("town:")


@pytest.mark.parametrize("back", [timedelta(minutes=2), timedelta(days=3650)], ids=str)
async def test_a_time_before_the_batch_before_is_not_believed(
    town: Town, sinks, store, back: timedelta
) -> None:
    """It would go out in a receipt, as the bus's own word of when."""
    await three_events(town, sinks)
    said = town.read_all("receipt")
    held = store.checkpoints[LANE]
    store.checkpoints[LANE] = replace(held, applied_at=held.applied_at - back)

    assert await opened(town, sinks) == PositionForged.code
    assert town.read_all("receipt") == said


async def test_a_first_batch_was_not_applied_long_before_it_was_made(
    town: Town, sinks, store
) -> None:
    """There is none before it: within a day of our own clock, for clocks differ."""
    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", ONE, 1) + 1)
    held = store.checkpoints[LANE]
    store.checkpoints[LANE] = replace(held, applied_at=town.clock.now() - timedelta(days=2))

    assert await opened(town, sinks) == PositionForged.code


async def test_the_log_bears_a_receipt_out_with_its_own_time(town: Town, sinks, store) -> None:
    """Whoever takes the proof away can say no other time."""
    await three_events(town, sinks)
    held = store.checkpoints[LANE]
    later = held.applied_at + timedelta(seconds=1)
    store.checkpoints[LANE] = replace(held, applied_at=later, proof=None)

    assert await opened(town, sinks) == PositionForged.code


async def test_a_store_whose_clock_was_put_back_goes_on(town: Town, sinks, store) -> None:
    """Its last batch says that it came before the one before: the log says so too."""
    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", ONE, 1) + 1)
        store.clock = lambda: datetime.now(UTC) - timedelta(hours=2)
        await bus.at(await town.publish("resident", ONE, 2) + 1)

    assert await opened(town, sinks) is None


@pytest.mark.parametrize(("back", "stands"), [(60, False), (61, True)])
async def test_a_clock_put_back_and_a_kill_in_that_instant(
    town: Town, sinks, store, back: int, stands: bool
) -> None:
    """The batch is in the store and its receipt nowhere else: by more than a minute the lane
    stands until somebody rebuilds, and nothing goes out."""
    await three_events(town, sinks)
    said = town.read_all("receipt")
    await town.publish("resident", ONE, 4)
    owed = await town.standing_at(store.checkpoints[LANE], offset=4, last_event_id=None)
    put_back = owed.applied_at - timedelta(seconds=back)
    store.checkpoints[LANE] = replace(owed, applied_at=put_back)

    assert await opened(town, sinks) == (PositionForged.code if stands else None)
    assert len(town.read_all("receipt")) == len(said) + (not stands)


async def test_a_time_in_days_to_come_is_not_believed(town: Town, sinks, store) -> None:
    """Its proof is true, for that is of the batch before; but the log has no such receipt."""
    await three_events(town, sinks)
    said = town.read_all("receipt")
    held = store.checkpoints[LANE]
    later = datetime.now(UTC) + timedelta(days=2)
    store.checkpoints[LANE] = replace(held, applied_at=later, is_to_come=True)

    assert await opened(town, sinks) == StoreForged.code
    assert town.read_all("receipt") == said


async def test_a_store_whose_clock_ran_days_ahead_goes_on(town: Town, sinks, store) -> None:
    """Put right, it says that its last batch is yet to come: the log says so too."""
    async with hosted(town, sinks) as bus:
        store.clock = lambda: datetime.now(UTC) + timedelta(days=2)
        await bus.at(await town.publish("resident", ONE, 1) + 1)
    store.checkpoints[LANE] = replace(store.checkpoints[LANE], is_to_come=True)

    assert await opened(town, sinks) is None


@pytest.mark.parametrize("is_edited", [False, True])
async def test_a_proof_of_before_says_no_time(town: Town, sinks, store, is_edited: bool) -> None:
    """As an earlier release wrote it: what it stands beside is believed by the log."""
    await three_events(town, sinks)
    held = store.checkpoints[LANE]
    lane = LaneName(held.receipt.system, *LANE)
    at = held.applied_at - timedelta(seconds=1) if is_edited else held.applied_at
    proof = await town.proofs.prove(ProofKind.POSITION, _said(lane, held.position, held.receipt))
    store.checkpoints[LANE] = replace(held, proof=proof, applied_at=at)

    assert await opened(town, sinks) == (PositionForged.code if is_edited else None)


async def test_without_the_key_that_proved_it_nothing_is_believed(town: Town, sinks, store) -> None:
    """Neither the store nor the log can be told from what somebody else put there."""
    await three_events(town, sinks)

    assert await opened(town, sinks, proofs=Proofs(Pocket("another"))) == PositionForged.code


@pytest.mark.parametrize("proof", ["false", "none", "by a key that nobody knows"])
async def test_a_receipt_in_the_log_without_a_true_proof_proves_nothing(
    town: Town, sinks, store, proof: str
) -> None:
    """Who owns a store and can write to Kafka makes the two agree, and has not the key."""
    await three_events(town, sinks)
    held = store.checkpoints[LANE]
    forged = replace(held, receipt=replace(held.receipt, rows=999), proof=None)
    store.checkpoints[LANE] = forged
    last = town.read_all("receipt")[-1]
    proofs = {
        "false": last["proof"],
        "none": None,
        "by a key that nobody knows": f"vendor:{'0' * 64}",
    }
    said = {**last, "rows": 999, "chain": forged.receipt.chain, "proof": proofs[proof]}
    (value,) = town.encoded("receipt", [said])
    await town.append("receipt", "nobody", value)

    assert await opened(town, sinks) == PositionForged.code


async def test_what_a_store_says_after_an_answer_was_lost_is_held_against_its_proof(
    town: Town, store
) -> None:
    """It has the receipt that it was given, and says that it stands elsewhere."""

    class Edited(WatchedSink):
        """Its owner is quick."""

        async def apply(self, batch: Delivery) -> Applied:
            try:
                return await super().apply(batch)
            except SinkUnavailable:
                held = store.checkpoints[LANE]
                edited = replace(held.position, last_event_id=None)
                store.checkpoints[LANE] = replace(held, position=edited)
                raise

    store.is_unheard = True
    await town.publish("resident", ONE, 1)
    async with hosted(town, {"child_allowance": lambda _: Edited(store)}) as bus:
        stopped = await bus.stopped()

    assert stopped.code == PositionForged.code


async def test_a_receipt_of_long_ago_is_found(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read backwards until it is; here in steps of two records."""
    monkeypatch.setattr("bus.control.testimony._FIRST", 2)
    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", ONE, 1) + 1)
        older = replace(store.checkpoints[LANE], proof=None)
        for version in range(2, 30):
            await bus.at(await town.publish("resident", ONE, version) + 1)
    store.checkpoints[LANE] = older

    assert await opened(town, sinks) is None


async def test_old_keys_go_on_proving(town: Town, sinks, store) -> None:
    """A key is added and proves from then on; what the old one proved holds while it is there."""
    keys = Pocket("old")
    proofs = Proofs(keys)
    async with hosted(town, sinks, proofs=proofs) as bus:
        await bus.at(await town.publish("resident", ONE, 1) + 1)
        keys.hold("old", "new")
        await bus.at(await town.publish("resident", ONE, 2) + 1)

    first, second = town.read_all("receipt")
    assert first["proof"].startswith("old:")
    assert second["proof"].startswith("new:")
    assert "hmac-sha256:new:" in second["digest"]


async def test_without_a_key_nothing_is_delivered(town: Town, sinks) -> None:
    """It says which settings name one."""
    with pytest.raises(Exception, match="RENKEI_RECEIPT_KEYS_FILE"):
        async with hosted(town, sinks, proofs=Proofs()):
            pass
