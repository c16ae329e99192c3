"""The flag is kept in every table that has it: with locations or without, and whether its system
is given the stream *protection* or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from bus.model import FLAG, Keeping, Sensitivity, View
from connectors.memory.sink import MemoryStore
from tests.support.changes import body
from tests.support.lanes import CATALOG, Town, hosted
from tests.unit.deliver.coverage_cases import PERSONS, Case
from tests.unit.deliver.protection_race import view_of
from tests.unit.deliver.test_coverage import Publishing, by_case, held, rows_of

FLAGGED = tuple(n for n, s in CATALOG.streams.items() if FLAG in {i.path for i in s.items})
given = pytest.mark.parametrize(
    "streams", [FLAGGED, (*FLAGGED, "protection")], ids=["without protection", "with protection"]
)


@cache
def bare(system: str, stream: str) -> View:
    """A system's view of a stream without what says where somebody is."""
    view = view_of(system, stream)
    if stream == "protection":
        return view
    columns = tuple(c for c in view.columns if c.sensitivity is not Sensitivity.LOCATION)
    return replace(view, columns=columns, fingerprint=f"{view.fingerprint[:-4]}bare")


def flags(store: MemoryStore) -> dict[tuple[str, str], bool]:
    """Of each row, what it says of its protection."""
    return {row: values["protected"] for row, values in held(store).items()}


def test_every_stream_with_a_flag_is_looked_at() -> None:
    """And each of their views is one that coverage is followed in, without any location."""
    assert set(FLAGGED) == set(PERSONS)
    for stream in FLAGGED:
        view = bare("child_allowance", stream)
        assert (view.keeping, view.locations, view.is_fenced) == (Keeping.STATE, (), True)


@by_case
@given
@pytest.mark.slow
async def test_flags_follow_coverage(
    town: Town, sinks, store, case: Case, streams: Sequence[str]
) -> None:
    """What a store has already is flagged, and is as it was when nobody is protected any longer:
    by a person, by whoever is named, by household and by link, wherever a record names somebody."""
    publishing, rows = Publishing(town), rows_of(case)
    async with hosted(town, sinks, streams=streams, views=bare) as bus:
        await publishing.say(rows)
        publishing.counts.pop("protection", None)
        await publishing.delivered(bus)
        before = held(store)
        await publishing.say(case.said)
        if "protection" not in streams:
            publishing.counts.pop("protection", None)
        await publishing.settled(bus, store)
        about = {(stream, subject) for stream, subject, _ in rows}
        assert {row: flag for row, flag in flags(store).items() if row in about} == dict.fromkeys(
            about, case.is_covered
        )

        protected = {subject for stream, subject, _ in case.said if stream == "protection"}
        for subject in sorted(protected):
            await publishing.say([("protection", subject, body("protection", status="ENDED"))])
        if "protection" not in streams:
            publishing.counts.pop("protection", None)
        await publishing.settled(bus, store)

    after = held(store)
    assert {row: after[row] for row in before} == before
