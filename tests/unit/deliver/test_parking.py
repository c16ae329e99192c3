"""Setting events aside, without a lane: durable first, once each, and in the subject's order."""

from __future__ import annotations

from bus.errors import EventInvalid, EventRefused
from bus.model import ExceptionState
from tests.support.changes import MUNICIPALITY
from tests.unit.deliver.test_pipeline import ONE, THREE, TWO, made, process, run_of

__all__ = ["made", "process"]  # fixtures


def key(subject: str) -> bytes:
    return f"{MUNICIPALITY}/{subject}".encode()


def states(town) -> list[tuple[int, str]]:
    """What the log of exceptions says, in its order."""
    return [(row["offset"], row["state"]) for row in town.read_all("exception")]


async def test_an_event_is_set_aside_durably_and_once(town, made) -> None:
    """Met again after a crash it is left as it is."""
    pipeline, _ = made
    event = pipeline.parking.refused(key(ONE), 3, None, EventInvalid("broken"))

    await pipeline.parking.park([event])
    await pipeline.parking.park([event])

    assert states(town) == [(3, "PARKED")]
    assert pipeline.set_aside.at(event.subject, 3) == event
    assert (event.code, event.attempts) == (EventInvalid.code, 1)


async def test_a_reference_names_the_lane_and_nobody(town, made) -> None:
    """System, stream, partition, and the key; no key makes a digest."""
    pipeline, _ = made

    named = pipeline.parking.refused(key(ONE), 3, "an id", EventRefused("no"))
    foreign = pipeline.parking.refused(b"somebody's name", 4, None, EventRefused("no"))

    assert (named.system, named.stream, named.partition) == pipeline.context.name
    assert (named.subject, named.event_id) == (f"{MUNICIPALITY}/{ONE}", "an id")
    assert foreign.subject.startswith("sha256:")
    assert "name" not in foreign.subject


async def test_later_events_of_the_subject_wait(town, made) -> None:
    """And are recorded as waiting, before anybody moves past them; others pass."""
    pipeline, _ = made
    refused = pipeline.parking.refused(key(ONE), 0, None, EventRefused("no"))
    await pipeline.parking.park([refused])
    rows = (await pipeline.projector.see(run_of(town, (ONE, 2), (TWO, 1), (ONE, 3), first=1))).rows

    left = await pipeline.parking.without_waiting(rows)

    assert list(left.offsets) == [2]
    assert states(town) == [(0, "PARKED"), (1, "WAITING"), (3, "WAITING")]


async def test_nothing_waits_where_nothing_is_set_aside(town, made) -> None:
    """The rows themselves, untouched."""
    pipeline, _ = made
    rows = (await pipeline.projector.see(run_of(town, (ONE, 1), (THREE, 1)))).rows

    assert await pipeline.parking.without_waiting(rows) is rows
    assert states(town) == []


async def test_a_snapshot_that_protects_overtakes(town, made) -> None:
    """Were it to wait, the store would keep the address that it takes away."""
    pipeline, _ = made
    refused = pipeline.parking.refused(key(ONE), 0, None, EventRefused("no"))
    await pipeline.parking.park([refused])
    await town.publish("protection", ONE, 1)
    rows = (await pipeline.projector.see(run_of(town, (ONE, 2), first=1))).rows

    left = await pipeline.parking.without_waiting(rows)

    assert list(left.offsets) == [1]
    assert states(town) == [(0, "PARKED"), (0, "SUPERSEDED")]


async def test_an_erasure_settles_what_came_before_it(town, made) -> None:
    """Of its subject alone, and not what comes later."""
    pipeline, _ = made
    events = [
        pipeline.parking.refused(key(subject), offset, None, EventRefused("no"))
        for subject, offset in ((ONE, 1), (TWO, 2), (ONE, 9))
    ]
    await pipeline.parking.park(events)

    await pipeline.parking.supersede(run_of(town, None, first=5))

    assert states(town)[3:] == [(1, "SUPERSEDED")]
    set_aside = pipeline.set_aside
    assert set_aside.at(events[0].subject, 1) is None
    assert set_aside.at(events[1].subject, 2).state is ExceptionState.PARKED
    assert set_aside.at(events[2].subject, 9).state is ExceptionState.PARKED
