"""A lane that dies between two steps loses nothing, doubles nothing and reorders nothing."""

from __future__ import annotations

import itertools

import pytest

from bus.conformance.sink_suite import rows_of
from bus.deliver.state import LaneStatus
from bus.failpoints import Point
from tests.support.lanes import Town, hosted

SUBJECTS = [f"{number:015d}" for number in range(1, 6)]
BAD = SUBJECTS[2]
IN_THE_SINK = (Point.SINK_MOVED, Point.SINK_WRITTEN, Point.SINK_COMMITTED)
IN_THE_LANE = (
    Point.LANE_FETCHED,
    Point.LANE_VIEWED,
    Point.LANE_RECEIPTED,
    Point.LANE_PARKED,
)


async def publish_some(town: Town, version: int) -> None:
    for subject in SUBJECTS:
        await town.publish("resident", subject, version)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", [*IN_THE_LANE, *IN_THE_SINK, Point.LANE_COMMITTED])
async def test_dying_between_two_steps(
    town: Town, sinks, store, crash_at, monkeypatch: pytest.MonkeyPatch, point: Point, nth: int
) -> None:
    """At each point, at the first batch and at a later one, with a parked event among the rest."""
    store.refused = {BAD}
    await publish_some(town, 1)
    await publish_some(town, 2)
    left = nth

    def kill(reached: Point) -> None:
        nonlocal left
        left -= reached is point
        if reached is point and left == 0:
            raise RuntimeError("killed")

    if point in IN_THE_SINK:
        monkeypatch.setattr(store, "on_point", kill)
    else:
        crash_at(point, nth)
    town.settings = town.settings.model_copy(update={"fetch_records": 4})
    with_receipts_in_time: list[str] = []

    try:
        async with hosted(town, sinks) as bus:
            await bus.until(
                lambda: (
                    bus.process.lanes.stopped()
                    or bus.has_died
                    or any(state.offset == 10 for state in bus.process.lanes.all.values())
                )
            )
            with_receipts_in_time = [r["chain"] for r in town.read_all("receipt")]
    except RuntimeError:
        assert point is Point.LANE_COMMITTED  # dies outside any lane: takes its system along
    crash_at(None)
    store.on_point = lambda point: None
    async with hosted(town, sinks) as bus:
        await bus.at(10)
        assert bus.lane().status is LaneStatus.RUNNING
        assert [(e.offset, e.state.value) for e in bus.parked()] == [(2, "PARKED"), (7, "WAITING")]

    # lost nothing, doubled nothing
    assert store.versions() == {s: 2 for s in SUBJECTS if s != BAD}
    # an unbroken chain, whatever was sent twice
    distinct = list({r["chain"]: r for r in town.read_all("receipt")}.values())
    chains = {r["chain"] for r in distinct}
    assert distinct[0]["start"] == 0
    assert distinct[-1]["end"] == 10
    for before, after in itertools.pairwise(distinct):
        assert (after["previous"], after["start"]) == (before["chain"], before["end"])
    done = {b.receipt.chain: b for b in store.applies if b.receipt.chain in chains}
    given = [row["event_id"] for batch in done.values() for row in rows_of(batch)]
    assert len(given) == len(set(given)) == 8
    assert set(with_receipts_in_time) <= chains


async def test_a_receipt_that_was_never_sent_is_sent_at_the_start(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store remembers the last receipt; whoever opens the lane sends it with its own time."""
    await town.publish("resident", SUBJECTS[0], 1)

    def kill(point: Point) -> None:
        if point is Point.SINK_COMMITTED:
            raise RuntimeError("killed")

    monkeypatch.setattr(store, "on_point", kill)
    async with hosted(town, sinks) as bus:
        await bus.stopped()
    assert town.read_all("receipt") == []
    store.on_point = lambda point: None

    async with hosted(town, sinks) as bus:
        await bus.at(1)

    (receipt,) = town.read_all("receipt")
    held = store.checkpoints["resident", 0]
    assert (receipt["chain"], receipt["applied_at"]) == (held.receipt.chain, held.applied_at)
