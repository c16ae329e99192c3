"""The way from bytes into a store, without a lane: driven by hand, as whoever fills it would."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bus.deliver.context import LaneContext
from bus.deliver.pipeline import Pipeline
from bus.deliver.process import ProcessContext
from bus.deliver.pulse import StorePulse
from bus.deliver.shared_sink import SharedSink
from bus.errors import EventInvalid, EventRefused, LaneLost, SchemaMismatch
from bus.log.run import Run
from bus.model import ExceptionState
from tests.support.changes import MUNICIPALITY
from tests.support.lanes import CATALOG, Town, hosted, view_of
from tests.unit.deliver.conftest import SYSTEM, WatchedSink, WatchedStore

ONE, TWO, THREE = "000000000000001", "000000000000002", "000000000000003"
TOPIC = CATALOG.stream("resident").topic


class ByHand:
    """What a pipeline asks of who feeds it; nobody does."""

    def __init__(self) -> None:
        self.told: list[int] = []

    async def ends(self) -> tuple[int, int]:
        return 0, 0

    def seek(self, offset: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def has_room(self) -> None: ...

    def done(self, offset: int) -> None:
        self.told.append(offset)


@pytest.fixture
async def process(town: Town) -> AsyncIterator[ProcessContext]:
    """One that hosts no system."""
    async with hosted(town, {}) as bus:
        yield bus.process


def pipeline_of(
    town: Town, process: ProcessContext, store: WatchedStore
) -> tuple[Pipeline, ByHand]:
    view, hand = view_of(SYSTEM, "resident"), ByHand()
    context = LaneContext(view, (TOPIC, 0), process)
    sink = SharedSink(WatchedSink(store), view, StorePulse(town.clock))
    reader = town.reader("resident")
    made = Pipeline(context, sink, reader, hand, process, sends_receipts=True, protects=False)
    return made, hand


@pytest.fixture
async def made(town: Town, process: ProcessContext, store: WatchedStore) -> tuple[Pipeline, ByHand]:
    """A pipeline that stands where its store does: at the beginning."""
    pipeline, hand = pipeline_of(town, process, store)
    await pipeline.stand(await pipeline.ask())
    return pipeline, hand


def run_of(town: Town, *events: tuple[str, int] | bytes | None, first: int = 0) -> Run:
    """Events of (subject, version), of other bytes, or erasures of ONE."""
    keys, values = list[bytes](), list[bytes | None]()
    for event in events:
        subject = event[0] if isinstance(event, tuple) else ONE
        keys.append(f"{MUNICIPALITY}/{subject}".encode())
        values.append(town.value("resident", *event) if isinstance(event, tuple) else event)
    return Run(list(range(first, first + len(events))), keys, values)


async def test_events_become_rows_a_position_and_a_receipt(town: Town, made, store) -> None:
    """And whoever feeds it hears once the receipt is acknowledged, not before."""
    pipeline, hand = made

    await pipeline.carry(run_of(town, (ONE, 1), (TWO, 1)))
    told_before = list(hand.told)
    await pipeline.applier.settle()

    assert store.versions() == {ONE: 1, TWO: 1}
    assert (pipeline.position.offset, told_before, hand.told) == (2, [], [2])
    assert [(r["start"], r["end"]) for r in town.read_all("receipt")] == [(0, 2)]


async def test_an_erasure_is_a_step_of_its_own(town: Town, made, store) -> None:
    """In its place: what comes after it is there, what came before is gone."""
    pipeline, _ = made

    await pipeline.carry(run_of(town, (ONE, 1), (TWO, 1), None, (THREE, 1)))
    await pipeline.applier.settle()

    assert store.versions() == {TWO: 1, THREE: 1}
    assert [(r["start"], r["end"]) for r in town.read_all("receipt")] == [(0, 2), (2, 3), (3, 4)]


async def test_what_cannot_be_read_or_is_refused_is_parked(town: Town, made, store) -> None:
    """Found among many; the others are in the store, and later events of its subject wait."""
    pipeline, _ = made
    store.refused.add(TWO)

    await pipeline.carry(run_of(town, (ONE, 1), b"garbage", (TWO, 1), (THREE, 1), (TWO, 2)))
    await pipeline.applier.settle()

    set_aside = pipeline.set_aside
    codes = {event.offset: (event.state, event.code) for s in (ONE, TWO) for event in
             set_aside.of(f"{MUNICIPALITY}/{s}")}  # fmt: skip
    assert store.versions() == {ONE: 1, THREE: 1}
    assert pipeline.position.offset == 5
    assert codes[1] == (ExceptionState.PARKED, EventInvalid.code)
    assert codes[2] == (ExceptionState.PARKED, EventRefused.code)
    assert codes[4][0] is ExceptionState.WAITING


async def test_what_stops_is_named_and_nothing_of_its_batch_is_done(
    town: Town, made, store
) -> None:
    """An event of another stream's schema: a person has to look."""
    pipeline, _ = made
    foreign = town.value("household", ONE, 1)

    with pytest.raises(SchemaMismatch) as stopped:
        await pipeline.carry(run_of(town, (TWO, 1), foreign, (THREE, 1), first=7))

    assert stopped.value.where["offset"] == 8
    assert store.versions() == {}
    assert pipeline.position.offset == 0


async def test_another_one_goes_on_where_the_store_stands(
    town: Town, process: ProcessContext, made, store
) -> None:
    """The store's word is taken up, and its receipt sent again; the one before has lost it."""
    pipeline, _ = made
    await pipeline.carry(run_of(town, (ONE, 1)))
    await pipeline.applier.settle()

    other, _ = pipeline_of(town, process, store)
    await other.stand(await other.ask())
    assert other.position == pipeline.position
    await other.carry(run_of(town, (ONE, 2), first=1))
    await other.applier.settle()

    with pytest.raises(LaneLost):
        await pipeline.carry(run_of(town, (TWO, 1), first=1))
    assert store.versions() == {ONE: 2}
    assert [r["end"] for r in town.read_all("receipt")] == [1, 1, 2]
