"""What a view makes of a run, asked without a lane: rows, what is refused, what stops, who goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bus.deliver.rows import Rows
from bus.errors import EventInvalid, LaneError, SchemaMismatch
from bus.log.run import Run
from tests.unit.deliver.test_pipeline import ONE, THREE, TWO, made, process, run_of

__all__ = ["made", "process"]  # fixtures


async def test_rows_are_in_the_views_schema_beside_their_events(town, made) -> None:
    """Offsets, keys and bytes stay parallel to the rows."""
    pipeline, _ = made
    run = run_of(town, (ONE, 3), (TWO, 1), first=40)

    seen = await pipeline.projector.see(run)

    assert seen.stop is None
    assert seen.rows.records.schema.equals(pipeline.context.view.schema)
    assert seen.rows.records.column("version").to_pylist() == [3, 1]
    assert (list(seen.rows.offsets), list(seen.rows.keys)) == ([40, 41], list(run.keys))
    assert list(seen.rows.values) == list(run.values)


async def test_nothing_makes_nothing(town, made) -> None:
    """A run in which everything was passed by before."""
    pipeline, _ = made

    seen = await pipeline.projector.see(Run([], [], []))

    assert (len(seen.rows), len(seen.leaving), seen.stop) == (0, 0, None)


async def test_what_cannot_be_read_is_named_and_the_others_are_seen(town, made) -> None:
    """By its place in the run, with an error that has it parked."""
    pipeline, _ = made

    seen = await pipeline.projector.see(run_of(town, (ONE, 1), b"garbage", (THREE, 1), first=5))

    assert list(seen.rows.offsets) == [5, 7]
    assert [(index, type(error)) for index, error in seen.readable.refused] == [(1, EventInvalid)]


async def test_what_stops_is_a_value_and_then_nothing_is_seen(town, made) -> None:
    """With the offset of the event; who insists gets it raised, with the lane's name."""
    pipeline, _ = made
    run = run_of(town, (TWO, 1), town.value("household", ONE, 1), (THREE, 1), first=7)

    seen = await pipeline.projector.see(run)
    with pytest.raises(SchemaMismatch) as stopped:
        await pipeline.projector.insist(run)

    assert seen.stop is not None
    assert (seen.stop[0], len(seen.rows)) == (8, 0)
    assert stopped.value.where["offset"] == 8
    assert {**stopped.value.where, **pipeline.context.where} == stopped.value.where


async def test_what_would_stop_can_be_refused(town, made) -> None:
    """Somebody said so: then it is parked like what cannot be read."""
    pipeline, _ = made
    run = run_of(town, (TWO, 1), town.value("household", ONE, 1))

    seen = await pipeline.projector.insist(run, refuse=(SchemaMismatch,))

    assert list(seen.rows.offsets) == [0]
    assert [type(error) for _, error in seen.readable.refused] == [SchemaMismatch]


async def test_whoever_is_protected_by_now_is_masked(town, made) -> None:
    """Also by a protection that the log got after the event: as of the asking, not of the event."""
    pipeline, _ = made
    run = run_of(town, (ONE, 1), (TWO, 1))
    before = (await pipeline.projector.see(run)).rows
    await town.publish("protection", ONE, 1)

    seen = (await pipeline.projector.see(run)).rows
    anew = await pipeline.projector.anew(before)

    flag = pipeline.context.view.flag_column
    assert before.records.column(flag).to_pylist() == [False, False]
    assert seen.records.column(flag).to_pylist() == [True, False]
    assert anew.records.equals(seen.records)


async def test_other_rows_than_before_are_no_masking_anew(town, made) -> None:
    """What was seen once must be seen again, whole; else a person has to look."""
    pipeline, _ = made
    run = run_of(town, (ONE, 1), (TWO, 1))
    rows = (await pipeline.projector.see(run)).rows
    spoilt = Rows(rows.records, rows.offsets, rows.keys, [rows.values[0], b"garbage"])

    with pytest.raises(LaneError, match="can be read no longer"):
        await pipeline.projector.anew(spoilt)
    with pytest.raises(LaneError, match="can be read no longer"):
        await pipeline.projector.anew(replace(spoilt, values=[b"", b""]))
