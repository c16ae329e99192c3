"""The index of what is set aside: rebuilt from the log, kept up by tailing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bus.broker import Fetched
from bus.control.parked import ParkedIndex, SetAside
from bus.errors import BrokerUnavailable, ConfigurationError
from bus.log.internal import InternalTopic
from bus.model import ExceptionState, LaneName, ParkedEvent
from tests.support.lanes import CATALOG, Town

LANE = LaneName("child_allowance", "resident", 0)
AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


def event(offset: int, subject: str = "131016/1", **changes: object) -> ParkedEvent:
    made = ParkedEvent(
        system=LANE.system,
        stream=LANE.stream,
        partition=LANE.partition,
        offset=offset,
        subject=subject,
        event_id=None,
        state=ExceptionState.PARKED,
        code="RK-202",
        attempts=1,
        at=AT,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def index_of(town: Town) -> ParkedIndex:
    producer = town.broker.producer()
    await producer.start()
    stream = CATALOG.stream("exception")
    topic = InternalTopic(town.broker, producer, town.registry, stream)
    index = ParkedIndex(town.broker, topic, stream, town.reader("exception"), town.clock)
    await index.start()
    return index


async def test_what_was_recorded_is_known_after_a_restart(town: Town) -> None:
    """Every field comes back; what was closed does not."""
    index = await index_of(town)
    open_one = event(3, event_id="01900000-0000-7000-8000-000000000001")
    await index.record([open_one, event(4, state=ExceptionState.WAITING), event(9)])
    await index.record([event(9, state=ExceptionState.APPLIED)])
    await index.close()

    again = await index_of(town)

    assert again.open_events() == [open_one, event(4, state=ExceptionState.WAITING)]
    assert again.open_events("child_allowance") == again.open_events()
    assert again.open_events("electoral_roll") == []


async def test_one_process_sees_what_another_records(town: Town) -> None:
    """And the lane that is hosted here is told."""
    here, there = await index_of(town), await index_of(town)
    told: list[bool] = []
    here.lane(LANE).on_news = lambda: told.append(True)

    await there.record([event(3)])
    await here.catch_up()

    assert here.lane(LANE).first("131016/1") == 3
    assert told == [True]


async def test_our_own_older_records_do_not_come_back(town: Town) -> None:
    """An event that we parked and closed stays closed while the tail reads the first record."""
    index = await index_of(town)
    await index.record([event(3)])
    await index.record([event(3, state=ExceptionState.APPLIED)])
    log = town.memory._topic("linkage.exception").logs[0]
    first = Fetched(
        "linkage.exception", 0, log.offsets[:1], log.keys[:1], log.values[:1], log.timestamps_ms[:1]
    )

    await index._take(first)
    assert not index.lane(LANE)
    await index.catch_up()
    assert not index.lane(LANE)


async def test_another_process_has_the_last_word(town: Town) -> None:
    """What was appended after ours counts, also for the same event."""
    here, there = await index_of(town), await index_of(town)
    await here.record([event(3)])
    await there.catch_up()

    await there.ask_retry(there.open_events())
    await here.catch_up()

    assert [e.state for e in here.open_events()] == [ExceptionState.RETRY]
    assert here.lane(LANE).due() == ["131016/1"]


def test_due_are_those_asked_for_and_those_left_behind() -> None:
    """A subject whose parked event is gone is due; one whose parked event stands is not."""
    lane = SetAside()
    lane.put(event(1, "131016/1"))
    lane.put(event(2, "131016/1", state=ExceptionState.WAITING))
    lane.put(event(3, "131016/2", state=ExceptionState.WAITING))
    lane.put(event(4, "131016/3", state=ExceptionState.RETRY))

    assert lane.due() == ["131016/2", "131016/3"]
    assert lane.keys == {b"131016/1", b"131016/2", b"131016/3"}


async def test_tries_do_not_make_it_younger(town: Town) -> None:
    """What counts is when it was set aside; also of a record of before that was said."""
    index = await index_of(town)
    old = event(3)  # as version 1 of the stream has it
    await index.record([old, event(5, since=AT + timedelta(hours=1))])
    town.moved.time += timedelta(days=5)
    await index.ask_retry(index.open_events())
    again = await index_of(town)
    asked = again.open_events()

    assert [e.set_aside_at for e in asked] == [AT, AT + timedelta(hours=1)]
    assert all(e.at > AT + timedelta(days=4) for e in asked)
    assert again.oldest() == {(LANE.system, LANE.stream): AT}
    await again.dismiss(asked[:1], "T-1")
    assert again.oldest() == {(LANE.system, LANE.stream): AT + timedelta(hours=1)}


async def test_nothing_is_known_that_is_not_durable(town: Town) -> None:
    """If the log does not take it, the index does not have it."""
    index = await index_of(town)
    town.memory.is_away = True

    with pytest.raises(BrokerUnavailable):
        await index.record([event(3)])

    assert index.open_events() == []


async def test_without_its_topic_nothing_starts(town: Town) -> None:
    """A missing topic is named, and how to make it."""
    del town.memory._topics["linkage.exception"]

    with pytest.raises(ConfigurationError, match="renkei topics apply"):
        await index_of(town)


async def test_garbage_in_the_stream_is_passed_over(town: Town) -> None:
    """One unreadable record does not hide the others."""
    index = await index_of(town)
    await town.append("exception", "x", b"garbage")
    await (await index_of(town)).record([event(3)])

    await index.catch_up()

    assert [e.offset for e in index.open_events()] == [3]
