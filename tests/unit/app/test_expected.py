"""Who should have what follows the editions that are applied, and the days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest

from bus.app import expected as expecting
from bus.app import monitoring
from bus.app.expected import ExpectedSystems
from bus.clock import Clock
from bus.control.editions import Editions
from bus.errors import BrokerUnavailable
from bus.log.internal import InternalTopic
from bus.model import Edition, digest_of
from bus.settings import Settings, SystemConnection
from tests.support.lanes import CATALOG, Town
from tests.support.waiting import until

SYSTEM, OTHER = "child_allowance", "school_enrollment"
STREAM = CATALOG.stream("subscription")
FILE = CATALOG.folder / "subscriptions" / f"{SYSTEM}.yaml"


def edition(sequence: int, text: str) -> Edition:
    at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    return Edition(
        system=SYSTEM, sequence=sequence, text=text, digest=digest_of(text), applied_by="officer1",
        applied_at=at,
    )  # fmt: skip


def settings(*systems: str) -> Settings:
    return Settings(systems={each: SystemConnection(connector="memory") for each in systems})


def made(town: Town) -> Editions:
    topic = InternalTopic(town.broker, town.producer, town.registry, STREAM)
    return Editions(town.broker, topic, STREAM, town.reader("subscription"))


@pytest.fixture
async def editions() -> AsyncIterator[tuple[Editions, Editions]]:
    """Who follows, and who applies."""
    town = Town()
    await town.build()
    following, applying = made(town), made(town)
    for each in (following, applying):
        await each.start()
    yield following, applying
    for each in (following, applying):
        await each.close()


def streams_of(expected: ExpectedSystems, system: str) -> set[str]:
    return {stream for stream, systems in expected.by_stream().items() if system in systems}


async def test_an_edition_changes_who_is_expected(editions: tuple[Editions, Editions]) -> None:
    """What it takes away, and a system that it leaves nothing; the files hold for the others."""
    following, applying = editions
    expected = ExpectedSystems(settings(SYSTEM, OTHER), CATALOG, following)
    by_file = streams_of(expected, SYSTEM)
    others = streams_of(expected, OTHER)
    assert "resident" in by_file
    assert "household" in by_file
    assert expected.hosted() == [SYSTEM, OTHER]

    text = FILE.read_text(encoding="utf-8")
    begin = text.index("  household:")
    end = text.find("\n  protection:", begin)
    assert end > begin
    await applying.apply(edition(1, text[:begin] + text[end + 1 :]))
    await following.catch_up()
    assert streams_of(expected, SYSTEM) == by_file - {"household"}
    assert streams_of(expected, OTHER) == others

    await applying.apply(edition(2, "no subscription"))
    await following.catch_up()
    assert streams_of(expected, SYSTEM) == set()
    assert expected.hosted() == [OTHER]


async def test_a_grant_that_ends_is_expected_no_more(
    editions: tuple[Editions, Editions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the day, and without anybody's edition."""
    expected = ExpectedSystems(settings(SYSTEM), CATALOG, editions[0])
    assert expected.hosted() == [SYSTEM]

    monkeypatch.setattr(expecting, "this_day", lambda: date(2999, 1, 1))

    assert expected.by_stream() == {}
    assert expected.hosted() == []


async def test_it_is_reckoned_once_while_nothing_changes(
    editions: tuple[Editions, Editions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor asks every second."""
    expected = ExpectedSystems(settings(SYSTEM), CATALOG, editions[0])
    before = expected.by_stream()

    def again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(expecting, "granted_by", again)

    assert expected.by_stream() == before
    assert expected.hosted() == [SYSTEM]


async def test_editions_are_followed_also_after_a_broker_that_was_away() -> None:
    """Every second, by the clock that is passed in."""

    class Log:
        asked, is_away = 0, True

        async def catch_up(self) -> None:
            self.asked += 1
            if self.is_away:
                self.is_away = False
                raise BrokerUnavailable("away")

    class Quick:
        slept = timedelta()

        async def sleep(self, length: timedelta) -> None:
            self.slept += length
            await asyncio.sleep(0)

    log, clock = Log(), Quick()
    following = asyncio.create_task(monitoring.follow(cast("Editions", log), cast("Clock", clock)))
    await until(lambda: log.asked >= 3)
    assert not following.done()
    assert clock.slept >= timedelta(seconds=3)
    following.cancel()
