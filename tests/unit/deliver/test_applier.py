"""Moving a lane on, without a lane: rows, position and receipt at once, and never two receipts
owed."""

from __future__ import annotations

import pytest

from bus.errors import EventRefused, LaneError
from bus.model import ProtectionChange, Upserts
from bus.model.receipt import NO_PREVIOUS
from tests.support.changes import MUNICIPALITY
from tests.unit.deliver.test_pipeline import ONE, THREE, TWO, made, process, run_of

__all__ = ["made", "process"]  # fixtures


async def seen(town, pipeline, *events, first: int = 0):
    return (await pipeline.projector.see(run_of(town, *events, first=first))).rows


async def test_receipts_are_a_chain_and_one_is_owed_at_most(town, made) -> None:
    """The next batch is applied once the receipt before it is acknowledged."""
    pipeline, hand = made
    applier, at = pipeline.applier, pipeline.context.at

    await applier.move(await seen(town, pipeline, (ONE, 1)), at(1))
    assert applier.owes
    await applier.move(await seen(town, pipeline, (ONE, 2), (TWO, 1), first=1), at(3))
    assert hand.told == [1]
    await applier.settle()

    receipts = town.read_all("receipt")
    assert hand.told == [1, 3]
    assert not applier.owes
    assert [r["previous"] for r in receipts] == [NO_PREVIOUS, receipts[0]["chain"]]
    assert applier.chain == receipts[-1]["chain"]


async def test_a_position_moves_without_rows(town, made, store) -> None:
    """Where all were filtered, or parked."""
    pipeline, _ = made

    await pipeline.applier.move(pipeline.context.no_rows, pipeline.context.at(8))
    await pipeline.applier.settle()

    assert pipeline.position.offset == 8
    assert [(r["start"], r["end"], r["rows"]) for r in town.read_all("receipt")] == [(0, 8, 0)]


async def test_a_refusal_moves_nothing(town, made, store) -> None:
    """Neither position nor chain; the same lane can go on."""
    pipeline, hand = made
    store.refused.add(ONE)
    rows = await seen(town, pipeline, (ONE, 1))

    with pytest.raises(EventRefused):
        await pipeline.applier.move(rows, pipeline.context.at(1))

    assert (pipeline.position.offset, pipeline.applier.chain, hand.told) == (0, NO_PREVIOUS, [])
    assert town.read_all("receipt") == []
    assert pipeline.applier.mark is not None
    store.refused.clear()
    await pipeline.applier.move(rows, pipeline.context.at(1))
    assert store.versions() == {ONE: 1}


async def test_what_committed_unheard_is_not_applied_again(town, made, store) -> None:
    """The store is asked; it has the receipt of this very batch."""
    pipeline, _ = made
    store.is_unheard = True

    await pipeline.applier.move(await seen(town, pipeline, (ONE, 1)), pipeline.context.at(1))
    await pipeline.applier.settle()

    assert len(store.applied) == 1
    assert [r["end"] for r in town.read_all("receipt")] == [1]


async def test_an_erasure_that_is_refused_stops(town, made, store) -> None:
    """It cannot be parked: a person who asked to be erased would stay."""
    pipeline, _ = made
    await pipeline.applier.move(await seen(town, pipeline, (ONE, 1)), pipeline.context.at(1))
    store.refuses_erasures = True
    nothing = pipeline.context.no_rows

    with pytest.raises(LaneError, match="refuses to erase"):
        await pipeline.applier.erase(
            nothing, pipeline.context.at(2), [f"{MUNICIPALITY}/{ONE}".encode()]
        )

    assert store.versions() == {ONE: 1}
    assert pipeline.position.offset == 1


async def test_an_erasure_takes_whom_it_names(town, made, store) -> None:
    """Once each; a key that is none names nobody."""
    pipeline, _ = made
    await pipeline.applier.move(
        await seen(town, pipeline, (ONE, 1), (TWO, 1), (THREE, 1)), pipeline.context.at(3)
    )
    named = [f"{MUNICIPALITY}/{subject}".encode() for subject in (ONE, TWO, ONE)]

    await pipeline.applier.erase(pipeline.context.no_rows, pipeline.context.at(4), [*named, None])

    assert store.versions() == {THREE: 1}
    assert len(store.applied[-1].keys) == 2


async def test_who_is_covered_goes_with_what_brought_it(town, made, store) -> None:
    """In one delivery: the store never shows an address that it was told to take out."""
    pipeline, _ = made
    await town.publish("protection", ONE, 1)
    rows = await seen(town, pipeline, (TWO, 1))

    await pipeline.applier.move(
        rows, pipeline.context.at(1), protected=await pipeline.coverage.by_now()
    )

    given = store.applied[-1]
    assert isinstance(given, ProtectionChange)
    assert isinstance(given.brought_by, Upserts)
    assert given.brought_by.records.num_rows == 1


async def test_there_is_no_word_while_a_batch_is_in_hand(town, made, store) -> None:
    """What the store must say of the lane is either side of it; in between nobody can know."""
    pipeline, _ = made
    words = []
    store.on_point = lambda _: words.append(pipeline.applier.mark)

    await pipeline.applier.move(await seen(town, pipeline, (ONE, 1)), pipeline.context.at(1))

    assert words
    assert set(words) == {None}
    assert pipeline.applier.mark.offset == 1


async def test_whoever_lets_go_owes_nothing(town, made) -> None:
    """The receipt is another one's to send."""
    pipeline, hand = made
    await pipeline.applier.move(await seen(town, pipeline, (ONE, 1)), pipeline.context.at(1))

    pipeline.applier.let_go()
    await pipeline.applier.settle()

    assert not pipeline.applier.owes
    assert hand.told == []
