"""Editions that somebody put in force, as the stream says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from bus.broker import Message
from bus.broker.partitioner import partition_of
from bus.control.editions import Editions
from bus.errors import EditionOvertaken
from bus.log.internal import InternalTopic
from bus.model import Edition, digest_of
from tests.support.lanes import CATALOG, Town

SYSTEM, OTHER = "child_allowance", "school_enrollment"
STREAM = CATALOG.stream("subscription")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def edition(sequence: int, text: str = "a", system: str = SYSTEM, by: str = "officer1") -> Edition:
    return Edition(
        system=system,
        sequence=sequence,
        text=text,
        digest=digest_of(text),
        applied_by=by,
        applied_at=NOW,
    )


@asynccontextmanager
async def following(town: Town) -> AsyncIterator[Editions]:
    topic = InternalTopic(town.broker, town.producer, town.registry, STREAM)
    editions = Editions(town.broker, topic, STREAM, town.reader("subscription"))
    await editions.start()
    yield editions
    await editions.close()


async def put(town: Town, system: str, value: bytes | None) -> None:
    """Append a value under a system's name."""
    (partition,) = partition_of([system.encode()], town.partitions)
    await town.producer.send([Message(STREAM.topic, partition, system.encode(), value)])


async def test_what_is_applied_is_known_to_all(town: Town) -> None:
    """To whoever follows already, who is told, and to whoever starts."""
    told: list[str] = []
    async with following(town) as one, following(town) as two:
        two.listen(SYSTEM, lambda: told.append(SYSTEM))
        two.listen(OTHER, lambda: told.append(OTHER))
        await one.apply(edition(1))
        await two.catch_up()
        assert two.newest == {SYSTEM: edition(1)}
        assert told == [SYSTEM]
    async with following(town) as three:
        assert three.newest == {SYSTEM: edition(1)}
        assert (three.sequence(SYSTEM), three.sequence(OTHER)) == (1, 0)


async def test_of_two_officers_at_once_the_second_is_refused(town: Town) -> None:
    """Both looked at the same edition; the first one's is in force, for everybody."""
    async with following(town) as one, following(town) as two:
        await one.apply(edition(1, "first"))
        with pytest.raises(EditionOvertaken) as refused:
            await two.apply(edition(1, "second", by="officer2"))
        assert refused.value.where == {"system": SYSTEM, "edition": 1}
        assert two.newest[SYSTEM] == edition(1, "first")
        await two.apply(edition(2, "second"))
        await one.catch_up()
        assert one.newest == two.newest == {SYSTEM: edition(2, "second")}


async def test_two_that_are_appended_at_the_same_moment(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that the log has first is in force; the other's officer is told so."""
    async with following(town) as one, following(town) as two:
        append = InternalTopic.append

        async def after_the_other(self: InternalTopic, keys, rows):
            if rows[0]["text"] == "second":
                await one.apply(edition(1, "first"))
            return await append(self, keys, rows)

        monkeypatch.setattr(InternalTopic, "append", after_the_other)
        with pytest.raises(EditionOvertaken):
            await two.apply(edition(1, "second"))
        await one.catch_up()

        assert one.newest == two.newest == {SYSTEM: edition(1, "first")}
    async with following(town) as three:
        assert three.newest == {SYSTEM: edition(1, "first")}


def _garbage(_: Town) -> bytes:
    return b"\x00\x00\x00\x00\x01rubbish"


def _of_another_schema(town: Town) -> bytes:
    return town.value("resident", "000000000000001", 1)


def _erased(_: Town) -> None:
    return None


@pytest.mark.parametrize("spoil", [_garbage, _of_another_schema, _erased])
async def test_what_cannot_be_read_takes_its_system_out(
    town: Town, spoil: Callable[[Town], bytes | None]
) -> None:
    """Not the others; until a good one follows."""
    told: list[str] = []
    async with following(town) as editions:
        await editions.apply(edition(1))
        await editions.apply(edition(1, system=OTHER))
        editions.listen(SYSTEM, lambda: told.append(SYSTEM))
        await put(town, SYSTEM, spoil(town))
        await editions.catch_up()

        assert isinstance(editions.newest[SYSTEM], Exception)
        assert editions.newest[OTHER] == edition(1, system=OTHER)
        assert told == [SYSTEM]
        await editions.apply(edition(2))
        assert editions.newest[SYSTEM] == edition(2)


async def test_a_text_that_is_not_what_it_says_is_not_used(town: Town) -> None:
    """Its digest is another's, or it is under another system's name."""
    async with following(town) as editions:
        spoilt = edition(1)
        wrong = Edition(**{**{f: getattr(spoilt, f) for f in spoilt.__slots__}, "text": "b"})
        with pytest.raises(EditionOvertaken):
            await editions.apply(wrong)
        assert isinstance(editions.newest[SYSTEM], Exception)
