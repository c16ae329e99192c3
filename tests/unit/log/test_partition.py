"""The log is read up to its end, once: through holes, in pieces, and not for ever."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from bus.broker import Fetched, Message, TopicPartition
from bus.broker.memory import MemoryBroker, MemoryConsumer
from bus.broker.port import TopicSpec
from bus.errors import BrokerUnavailable, ConfigurationError
from bus.log.partition import Log, opened, places_of, read_to
from bus.log.readback import read_back, read_subjects
from bus.log.tail import Tail

TOPIC = "t"
ONE, TWO = (TOPIC, 0), (TOPIC, 1)
A, B = "131016/1", "131016/2"


class Silent(MemoryConsumer):
    """Gives some fetches and then nothing more; counts how often it was asked, and for whom."""

    gives = 0
    asked: list[Collection[TopicPartition] | None]

    async def fetch(
        self, max_records: int, timeout: timedelta, places: Collection[TopicPartition] | None = None
    ) -> Sequence[Fetched]:
        self.asked.append(places)
        if len(self.asked) > self.gives:
            return []
        return await super().fetch(max_records, timeout, places)


@pytest.fixture
async def broker() -> MemoryBroker:
    """Two partitions, empty."""
    made = MemoryBroker()
    await made.create_topics([TopicSpec(TOPIC, 2, 1, {})])
    return made


async def append(broker: MemoryBroker, partition: int, *keys: str, value: bytes | None = b"x"):
    producer = broker.producer()
    await producer.start()
    messages = [Message(TOPIC, partition, key.encode(), value) for key in keys]
    return await producer.send(messages)


async def silent(broker: MemoryBroker, gives: int = 0) -> Silent:
    made = Silent(broker, None, "test")
    made.gives, made.asked = gives, []
    await made.start()
    await made.assign([ONE, TWO])
    return made


def holed(broker: MemoryBroker, place: TopicPartition, *gone: int) -> None:
    """Take these offsets out, as compaction or a transaction's marker would."""
    log = broker._log(place)
    log.keep([n for n, offset in enumerate(log.offsets) if offset not in gone])


async def offsets(log: Log, place: TopicPartition, first: int, end: int, **how) -> list[list[int]]:
    return [list(piece.offsets) async for piece in log.read(place, first, end, **how)]


async def test_a_range_is_read_in_pieces_and_no_further(broker: MemoryBroker) -> None:
    """From the first offset to before the end, whatever lies beyond."""
    await append(broker, 0, *[A] * 7)

    async with opened(broker, "test") as log:
        assert await log.bounds(ONE) == (0, 7)
        assert await offsets(log, ONE, 1, 6, at_once=2) == [[1, 2], [3, 4], [5]]
        assert await offsets(log, ONE, 3, 3) == []
        assert await offsets(log, ONE, 5, 2) == []
        assert [list(run.offsets) async for run in log.runs(ONE, 5, 7)] == [[5, 6]]


@pytest.mark.parametrize("gone", [(2, 3), (5, 6), (0,), tuple(range(7))], ids=str)
async def test_holes_are_passed_over(broker: MemoryBroker, gone: tuple[int, ...]) -> None:
    """Also one in which the log ends."""
    await append(broker, 0, *[A] * 7)
    holed(broker, ONE, *gone)

    async with opened(broker, "test") as log:
        found = await offsets(log, ONE, 0, 7)

    assert list(chain.from_iterable(found)) == [offset for offset in range(7) if offset not in gone]


async def test_ranges_are_read_side_by_side_and_no_further(broker: MemoryBroker) -> None:
    """Each partition's own range, in order; one with nothing in its range is not asked for."""
    await append(broker, 0, *[A] * 4)
    await append(broker, 1, *[B] * 5)

    async with opened(broker, "test") as log:
        assert await log.bounds_of([ONE, TWO]) == {ONE: (0, 4), TWO: (0, 5)}
        found: dict[TopicPartition, list[int]] = {}
        async for piece in log.read_together({ONE: (1, 3), TWO: (2, 5)}, at_once=2):
            found.setdefault((piece.topic, piece.partition), []).extend(piece.offsets)
        assert found == {ONE: [1, 2], TWO: [2, 3, 4]}
        assert [p async for p in log.read_together({ONE: (3, 3), TWO: (5, 2)})] == []
        assert [p async for p in log.read_together({})] == []


async def test_a_topic_is_read_whole(broker: MemoryBroker) -> None:
    """One partition after the other, also where one is empty."""
    await append(broker, 1, *[B] * 3)

    async with opened(broker, "test") as log:
        found = [(p.partition, list(p.offsets)) async for p in log.whole(TOPIC, 2)]

    assert found == [(1, [0, 1, 2])]


async def test_several_are_read_to_their_ends(broker: MemoryBroker) -> None:
    """Each from where the consumer stands; nothing is fetched of one that is read, if so asked."""
    await append(broker, 0, *[A] * 3)
    await append(broker, 1, *[B] * 5)
    consumer = await silent(broker, gives=9)
    consumer.seek(TWO, 2)

    ends = {ONE: 1, TWO: 5}
    pieces = [p async for ps in read_to(consumer, ends, at_once=2, is_only=True) for p in ps]

    assert {(p.partition, offset) for p in pieces for offset in p.offsets} >= {
        (0, 0), (1, 2), (1, 3), (1, 4),
    }  # fmt: skip
    assert consumer.asked[0] == (ONE, TWO)
    assert len(consumer.asked[-1] or ()) == 1


async def test_nothing_is_asked_where_all_is_read(broker: MemoryBroker) -> None:
    """An empty log has an end, too."""
    consumer = await silent(broker)

    assert [p async for p in read_to(consumer, {ONE: 0, TWO: 0})] == []
    assert consumer.asked == []


@pytest.mark.parametrize("gives", [0, 2])
async def test_silence_has_an_end(broker: MemoryBroker, gives: int) -> None:
    """Counted anew from the last piece that came."""
    await append(broker, 0, *[A] * 9)
    consumer = await silent(broker, gives)
    how: dict[str, Any] = {
        "at_once": 1,
        "step": timedelta(seconds=2),
        "silence": timedelta(seconds=8),
    }

    with pytest.raises(BrokerUnavailable) as raised:
        _ = [p async for p in read_to(consumer, {ONE: 9}, **how)]

    assert raised.value.where == {"topic": TOPIC, "partition": 0}
    assert len(consumer.asked) == gives + 4


async def test_a_topic_that_does_not_exist_is_said(broker: MemoryBroker) -> None:
    """By its name; what exists is counted in order."""
    assert await places_of(broker, TOPIC) == [ONE, TWO]

    with pytest.raises(ConfigurationError) as raised:
        await places_of(broker, TOPIC, "other")

    assert raised.value.where == {"topic": "other"}


async def test_what_is_wanted_is_read_back(broker: MemoryBroker, monkeypatch) -> None:
    """What is near is read through, what is far is jumped to; who lost an event has a stand-in."""
    monkeypatch.setattr("bus.log.readback.AT_ONCE", 2)
    await append(broker, 0, A, A, B, B, B, B, B, A, B)
    holed(broker, ONE, 1, 6)

    back = await read_back(broker, ONE, {0: A, 1: A, 2: B, 6: B, 8: B, 44: B})

    assert sorted(back.found) == [0, 2, 8]
    assert {subject: at for subject, (at, _) in back.stand_ins.items()} == {A: 7, B: 8}


async def test_subjects_are_read_as_they_are_after_erasures(broker: MemoryBroker) -> None:
    """Up to a given offset, or to where the log ends."""
    await append(broker, 0, A, B)
    await append(broker, 0, A, value=None)
    await append(broker, 0, A, B, A)

    assert list((await read_subjects(broker, ONE, {A})).offsets) == [3, 5]
    assert list((await read_subjects(broker, ONE, {A, B}, 2)).offsets) == [0, 1]


async def test_a_topic_that_was_made_anew_is_not_taken_for_one_without_news(
    broker: MemoryBroker,
) -> None:
    """Whoever follows it would hear nothing until it has grown beyond what they had read."""
    heard = list[bytes | None]()

    async def take(fetched: Fetched) -> None:
        heard.extend(fetched.keys)

    await append(broker, 0, A, B)
    tail = Tail(broker, [TOPIC], take)
    await tail.start()
    broker._topics.pop(TOPIC)
    await broker.create_topics([TopicSpec(TOPIC, 2, 1, {})])
    await append(broker, 0, A)

    with pytest.raises(BrokerUnavailable, match="made anew") as raised:
        await tail.catch_up()
    assert raised.value.where == {"topic": TOPIC, "partition": 0, "offset": 2, "end": 1}
    assert len(heard) == 2
    await tail.close()
