"""Moving a lane on, without a lane: rows, position and receipt at once, and never two receipts
owed."""

from __future__ import annotations

import pytest

from bus.errors import EventRefused, LaneError
from bus.model import ProtectionChange, Upserts
from bus.model.receipt import NO_PREVIOUS
from tests.support.lanes import MUNICIPALITY
from tests.unit.deliver.test_pipeline import ONE, THREE, TWO, made, process, run_of

__all__ = ["made", "process"]  # fixtures


async def seen(town, pipeline, *events, first: int = 0):
    return (await pipeline.viewer.see(run_of(town, *events, first=first))).rows


async def test_receipts_are_a_chain_and_one_is_owed_at_most(town, made) -> None:
    """The next batch is applied once the receipt before it is acknowledged."""
    pipeline, hand = made
    mover, at = pipeline.mover, pipeline.kit.at

    await mover.move(await seen(town, pipeline, (ONE, 1)), at(1))
    assert mover.owes
    await mover.move(await seen(town, pipeline, (ONE, 2), (TWO, 1), first=1), at(3))
    assert hand.told == [1]
    await mover.settle()

    receipts = town.read_all("receipt")
    assert hand.told == [1, 3]
    assert not mover.owes
    assert [r["previous"] for r in receipts] == [NO_PREVIOUS, receipts[0]["chain"]]
    assert mover.chain == receipts[-1]["chain"]


async def test_a_position_moves_without_rows(town, made, store) -> None:
    """Where all were filtered, or parked."""
    pipeline, _ = made

    await pipeline.mover.move(pipeline.kit.no_rows, pipeline.kit.at(8))
    await pipeline.mover.settle()

    assert pipeline.position.offset == 8
    assert [(r["start"], r["end"], r["rows"]) for r in town.read_all("receipt")] == [(0, 8, 0)]


async def test_a_refusal_moves_nothing(town, made, store) -> None:
    """Neither position nor chain; the same lane can go on."""
    pipeline, hand = made
    store.refused.add(ONE)
    rows = await seen(town, pipeline, (ONE, 1))

    with pytest.raises(EventRefused):
        await pipeline.mover.move(rows, pipeline.kit.at(1))

    assert (pipeline.position.offset, pipeline.mover.chain, hand.told) == (0, NO_PREVIOUS, [])
    assert town.read_all("receipt") == []
    assert pipeline.mover.mark is not None
    store.refused.clear()
    await pipeline.mover.move(rows, pipeline.kit.at(1))
    assert store.versions() == {ONE: 1}


async def test_what_committed_unheard_is_not_applied_again(town, made, store) -> None:
    """The store is asked; it has the receipt of this very batch."""
    pipeline, _ = made
    store.is_unheard = True

    await pipeline.mover.move(await seen(town, pipeline, (ONE, 1)), pipeline.kit.at(1))
    await pipeline.mover.settle()

    assert len(store.applied) == 1
    assert [r["end"] for r in town.read_all("receipt")] == [1]


async def test_an_erasure_that_is_refused_stops(town, made, store) -> None:
    """It cannot be parked: a person who asked to be erased would stay."""
    pipeline, _ = made
    await pipeline.mover.move(await seen(town, pipeline, (ONE, 1)), pipeline.kit.at(1))
    store.refuses_erasures = True
    nothing = pipeline.kit.no_rows

    with pytest.raises(LaneError, match="refuses to erase"):
        await pipeline.mover.erase(nothing, pipeline.kit.at(2), [f"{MUNICIPALITY}/{ONE}".encode()])

    assert store.versions() == {ONE: 1}
    assert pipeline.position.offset == 1


async def test_an_erasure_takes_whom_it_names(town, made, store) -> None:
    """Once each; a key that is none names nobody."""
    pipeline, _ = made
    await pipeline.mover.move(
        await seen(town, pipeline, (ONE, 1), (TWO, 1), (THREE, 1)), pipeline.kit.at(3)
    )
    named = [f"{MUNICIPALITY}/{subject}".encode() for subject in (ONE, TWO, ONE)]

    await pipeline.mover.erase(pipeline.kit.no_rows, pipeline.kit.at(4), [*named, None])

    assert store.versions() == {THREE: 1}
    assert len(store.applied[-1].keys) == 2


async def test_who_is_covered_goes_with_what_brought_it(town, made, store) -> None:
    """In one delivery: the store never shows an address that it was told to take out."""
    pipeline, _ = made
    await town.publish("protection", ONE, 1)
    rows = await seen(town, pipeline, (TWO, 1))

    await pipeline.mover.move(rows, pipeline.kit.at(1), protected=await pipeline.mover.protected())

    given = store.applied[-1]
    assert isinstance(given, ProtectionChange)
    assert isinstance(given.brought_by, Upserts)
    assert given.brought_by.records.num_rows == 1


async def test_there_is_no_word_while_a_batch_is_in_hand(town, made, store) -> None:
    """What the store must say of the lane is either side of it; in between nobody can know."""
    pipeline, _ = made
    words = []
    store.on_point = lambda _: words.append(pipeline.mover.mark)

    await pipeline.mover.move(await seen(town, pipeline, (ONE, 1)), pipeline.kit.at(1))

    assert words
    assert set(words) == {None}
    assert pipeline.mover.mark.offset == 1


async def test_whoever_lets_go_owes_nothing(town, made) -> None:
    """The receipt is another one's to send."""
    pipeline, hand = made
    await pipeline.mover.move(await seen(town, pipeline, (ONE, 1)), pipeline.kit.at(1))

    pipeline.mover.let_go()
    await pipeline.mover.settle()

    assert not pipeline.mover.owes
    assert hand.told == []
