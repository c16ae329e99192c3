"""What the bus keeps for a store that keeps nothing: by the same compare and set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from bus.conformance.sink_suite import (
    CITY,
    batch_of,
    erasure_of,
    fenced_view,
    known_to,
    person,
    protection_of,
    rewrites_of,
    vehicle,
    view_of,
)
from bus.connect import BusKept, Capabilities, Retraction
from bus.errors import (
    ConfigurationError,
    EditionOutdated,
    FenceBehind,
    LaneLost,
    SinkUnavailable,
)
from bus.model import (
    Applied,
    Delivery,
    Erasures,
    LaneName,
    ProtectionChange,
    Rewrites,
    Upserts,
    View,
    rows_in,
)
from tests.conformance.rigs import MemoryRig
from tests.support.stores.keeper import MemoryKeeper

SYSTEM = "child_allowance"
TEXT = pa.string()


class Taking:
    """A sink that takes down what it is given."""

    def __init__(self, given: list[Delivery]) -> None:
        self.given = given
        self.is_away = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(accepts=frozenset({Upserts, Erasures, Rewrites}))

    async def open(self, view: View) -> None:
        """There is nothing to open."""

    async def apply(self, delivery: Delivery) -> Applied:
        if self.is_away:
            raise SinkUnavailable("away")
        self.given.append(delivery)
        return Applied(rows_in(delivery), MemoryRig().store.clock())

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def keeper() -> MemoryKeeper:
    return MemoryKeeper()


@pytest.fixture
def taking() -> Taking:
    return Taking([])


async def opened(taking: Taking, keeper: MemoryKeeper, view: View) -> BusKept:
    made = BusKept(taking, SYSTEM, keeper)
    await made.open(view)
    return made


async def test_a_position_moves_only_from_where_it_stands(taking: Taking, keeper) -> None:
    """Nothing is handed over that does not begin there, or is of another log."""
    view = view_of()
    sink = await opened(taking, keeper, view)
    first = batch_of(view, [person("1")])
    await sink.apply(first)
    for late in (
        first,
        batch_of(view, [person("2")], start=7),
        batch_of(view, [person("2")], start=1, cluster_id="another"),
    ):
        with pytest.raises(LaneLost):
            await sink.apply(late)
    held = await sink.checkpoint(0)

    assert taking.given == [first]
    assert held is not None
    assert (held.position, held.receipt) == (first.end, first.receipt)
    assert {lane: mark.offset for lane, mark in (await sink.marks()).items()} == {
        ("resident", 0): 1
    }


async def test_a_store_that_is_away_leaves_the_position(taking: Taking, keeper) -> None:
    """And the same is handed over later, under the same token."""
    view = view_of()
    sink = await opened(taking, keeper, view)
    taking.is_away = True
    with pytest.raises(SinkUnavailable):
        await sink.apply(batch_of(view, [person("1")]))
    assert await sink.checkpoint(0) is None
    taking.is_away = False
    await sink.apply(batch_of(view, [person("1")]))

    assert [each.token for each in taking.given] == [batch_of(view, [person("1")]).token]


async def test_a_retry_stays_where_it_is(taking: Taking, keeper) -> None:
    """Its receipt is kept, its position is the lane's."""
    view = view_of()
    sink = await opened(taking, keeper, view)
    first = batch_of(view, [person("1")], end=9)
    await sink.apply(first)
    retry = batch_of(view, [person("2")], start=9, end=9, previous=first.receipt.chain)
    await sink.apply(retry)
    held = await sink.checkpoint(0)

    assert held is not None
    assert (held.position, held.receipt) == (first.end, retry.receipt)


async def test_what_moves_only_the_position_is_not_handed_over(taking: Taking, keeper) -> None:
    """Events that the view leaves out, and who is covered: no store of this kind has use for it."""
    view = view_of("protection")
    sink = await opened(taking, keeper, view)
    await sink.apply(batch_of(view, end=3))
    change = protection_of("a", start=3)
    await sink.apply(change)
    told = ProtectionChange(protected=change.protected, brought_by=batch_of(view, start=4, end=4))
    await sink.apply(told)

    assert taking.given == [change.brought_by]
    assert (await sink.kept(0)).reached == known_to(4)


async def test_rows_that_know_less_than_the_lane_are_refused(taking: Taking, keeper) -> None:
    """Once it was told of coverage, nothing that was masked before comes after."""
    view = fenced_view()
    sink = await opened(taking, keeper, view)
    protected = protection_of("a", as_of=known_to(2)).protected
    standing = batch_of(view, start=0, end=0)
    await sink.apply(ProtectionChange(protected=protected, brought_by=standing))
    rows = batch_of(view, [vehicle("1")])
    for old in (None, {}, known_to(1)):
        with pytest.raises(FenceBehind):
            await sink.apply(replace(rows, masked_under=old))
    older = replace(protected, as_of=known_to(1))
    with pytest.raises(FenceBehind):
        await sink.apply(ProtectionChange(protected=older, brought_by=standing))
    await sink.apply(replace(rows, masked_under=known_to(2)))

    assert len(taking.given) == 1


async def test_which_rows_are_masked_is_kept(taking: Taking, keeper) -> None:
    """By what was handed over last of each; who is erased is forgotten."""
    view = fenced_view()
    sink = await opened(taking, keeper, view)

    async def masked() -> set[str]:
        return {key.removeprefix(f"{CITY}/") for key in (await sink.kept(0)).masked}

    rows = [vehicle("1", protected=True), vehicle("2", protected=True), vehicle("3")]
    await sink.apply(batch_of(view, rows))
    assert await masked() == {"1", "2"}
    await sink.apply(batch_of(view, [vehicle("2", 2), vehicle("3", 2, protected=True)], start=3))
    assert await masked() == {"1", "3"}
    anew = batch_of(view, [vehicle("1")], start=5, end=5)
    await sink.apply(rewrites_of(anew, f"{CITY}/1"))
    assert await masked() == {"3"}
    await sink.apply(erasure_of(view, [f"{CITY}/3"], start=5))
    assert await masked() == set()


async def test_what_a_view_loses_is_a_persons_task(taking: Taking, keeper) -> None:
    """The lane goes on under the new view at once; who has not heard of it is turned away."""
    wider = view_of(extra=[("former_name", TEXT)])
    late = await opened(taking, keeper, wider)
    await late.apply(batch_of(wider, [person("1", former_name="a")]))
    now = view_of(edition=1)
    sink = await opened(Taking(taking.given), keeper, now)
    with pytest.raises(EditionOutdated):
        await late.apply(batch_of(wider, [person("2")], start=1))
    with pytest.raises(EditionOutdated):
        await opened(taking, keeper, wider)
    await sink.apply(batch_of(now, [person("2")], start=1))

    assert keeper.owed == [(SYSTEM, "resident", Retraction(columns=("former_name",)))]


async def test_a_stream_that_is_withdrawn_begins_anew(taking: Taking, keeper) -> None:
    """Its lanes are forgotten, and what the store has of it a person takes out."""
    for view in (view_of(), view_of("household")):
        await (await opened(taking, keeper, view)).apply(batch_of(view, [person("1")]))
    sink = BusKept(taking, SYSTEM, keeper)

    assert list(await sink.withdraw({"household"}, 1)) == ["resident"]
    assert list(await sink.withdraw({"household"}, 1)) == []
    assert keeper.owed == [(SYSTEM, "resident", Retraction(everything=True))]
    assert [lane.stream for lane in keeper.lanes] == ["household"]
    again = await opened(taking, keeper, view_of(edition=2))
    assert await again.checkpoint(0) is None


async def test_a_store_that_gives_up_what_it_must_owes_nothing(keeper) -> None:
    """Where it reshapes itself, no person is asked."""

    class Reshaping(Taking):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(reshapes=self)

        async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
            del granted, edition
            return ["resident"]

    taking, wider = Reshaping([]), view_of(extra=[("former_name", TEXT)])
    await (await opened(taking, keeper, wider)).apply(batch_of(wider, [person("1")]))
    await opened(taking, keeper, view_of(edition=1))
    await BusKept(taking, SYSTEM, keeper).withdraw((), 2)

    assert keeper.owed == []
    assert keeper.lanes == {}


def test_it_is_no_transaction(taking: Taking, keeper) -> None:
    """What it keeps is beside the store, and it says so."""
    declared = BusKept(taking, SYSTEM, keeper).capabilities
    assert declared.transactional is None
    assert declared.positions is declared.kept_by_bus
    with pytest.raises(ConfigurationError):
        _ = taking.capabilities.positions
    lacks = (declared.suppresses, declared.stages, declared.readable)
    assert [each for each in lacks if each] == []
    assert LaneName(SYSTEM, "resident", 0) not in keeper.lanes
