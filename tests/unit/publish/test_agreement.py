"""Whoever publishes has the ``RENKEI_INTAKE`` that all others have, or appends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bus.errors import BrokerUnavailable, IntakeDiffers
from bus.model import PROTECTION
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.agreement import GROUP, Agreed, Agreement, Member, living, written
from bus.publish.publisher import Publisher, PublisherSettings
from tests.support.changes import change, record
from tests.support.waiting import until

HERE, THERE = "hall:7:1795999349", "annex:8:1795999350"


def of(
    house: Any, process: str, *intake: str, tasks: Tasks | None = None, **more: Any
) -> Agreement:
    """What a process says."""
    topic = house.catalog.stream(PROTECTION).topic
    mine = Member(process, written(intake))
    return Agreement(house.broker, topic, mine, tasks or Tasks(), **more)


def publisher(house: Any, agreement: Agreement) -> Agreed:
    """A publisher that is held to it."""

    def make(guard: Callable[[], None]) -> Publisher:
        settings = PublisherSettings(now=lambda: house.now)
        return Publisher(house.catalog, house.registry, house.broker, settings, guard=guard)

    return Agreed(make, lambda: None, agreement)


async def test_who_says_otherwise_does_not_publish(house: Any, parse: Any) -> None:
    """The error names both processes and what each has; who was there goes on, and once it has
    gone, the other goes as well."""
    first = publisher(house, of(house, HERE, "tax", "resident_registry"))
    second = publisher(house, of(house, THERE))
    await first.start()

    with pytest.raises(IntakeDiffers) as refused:
        await second.start()
    assert refused.value.where == {
        "here": "annex:8 has none", "there": "hall:7 has resident_registry,tax",
    }  # fmt: skip
    assert "RENKEI_INTAKE" in refused.value.message
    (outcome,) = await first.publish([parse(change(record()))])
    assert not outcome.faults

    await first.close()
    await second.start()
    await second.close()
    assert (await house.broker.members([GROUP]))[GROUP] == []


async def test_all_who_say_the_same_publish(house: Any) -> None:
    """In whatever order they write it; several publishers of a process are one member."""
    mine = of(house, HERE, "a", "b")
    publishers = [publisher(house, mine), publisher(house, mine)]
    async with of(house, THERE, "b", "a"):
        for each in publishers:
            await each.start()
        assert [each.process for each in await living(house.broker)] == [THERE, HERE]
        assert len((await house.broker.members([GROUP]))[GROUP]) == 2
        await publishers[0].close()
        mine.guard()
        assert len((await house.broker.members([GROUP]))[GROUP]) == 2
        await publishers[1].close()
        assert len((await house.broker.members([GROUP]))[GROUP]) == 1


async def test_two_who_come_at_once_do_not_both_publish(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither saw the other before it joined: each looks again once it can be seen."""
    looked = asyncio.Barrier(2)

    def first_look(agreement: Agreement) -> None:
        look, times = agreement._look, iter(range(1_000))

        async def waited() -> bool:
            found = await look()
            if next(times) == 0:
                await looked.wait()
            return found

        monkeypatch.setattr(agreement, "_look", waited)

    both = [of(house, HERE, "tax"), of(house, THERE)]
    for each in both:
        first_look(each)
    told = await asyncio.gather(*(each.join() for each in both), return_exceptions=True)

    assert any(isinstance(each, IntakeDiffers) for each in told)
    for each, error in zip(both, told, strict=True):
        if error is None:
            await each.leave()


async def test_who_comes_unseen_is_seen_soon(house: Any, parse: Any) -> None:
    """As after a pause in which one was taken for dead: whoever sees it appends no more."""
    agreement = of(house, HERE, "tax", every=timedelta())
    first = publisher(house, agreement)
    await first.start()
    stranger = house.broker.consumer(GROUP, client_id=f"intake=none@{THERE}")

    async def nothing(_: Any) -> None: ...

    await stranger.start()
    await stranger.subscribe([house.catalog.stream(PROTECTION).topic], nothing, nothing)
    await until(lambda: bool(agreement._others), 10)
    with pytest.raises(IntakeDiffers):
        await first.publish([parse(change(record()))])
    assert house.log("resident") == []

    await stranger.close()
    await until(lambda: not agreement._others, 10)
    await first.publish([parse(change(record()))])
    assert len(house.log("resident")) == 1
    await first.close()


async def test_what_was_seen_long_ago_is_not_gone_by(house: Any) -> None:
    """Whoever slept, or does not reach Kafka, may have been taken for dead."""
    now = 0.0
    agreement = of(house, HERE, every=timedelta(hours=1), clock=lambda: now)
    async with agreement:
        now = 11.0
        agreement.guard()
        now = 13.0
        with pytest.raises(BrokerUnavailable, match="was not seen for too long"):
            agreement.guard()


@pytest.mark.parametrize("slept", [8.0, 20.0])
async def test_who_was_taken_for_dead_joins_anew(house: Any, parse: Any, slept: float) -> None:
    """Before its next append, and only if nobody who came meanwhile differs."""
    now = 0.0
    mine = of(house, HERE, every=timedelta(hours=1), clock=lambda: now)
    publishing = publisher(house, mine)
    await publishing.start()
    assert mine._consumer is not None
    await mine._consumer.close()  # as Kafka does when a session is over
    now = slept
    async with of(house, THERE, "tax"):
        with pytest.raises(IntakeDiffers):
            await publishing.publish([parse(change(record()))])
    assert house.log("resident") == []

    await publishing.publish([parse(change(record()))])
    assert len(house.log("resident")) == 1
    assert [each.process for each in await living(house.broker)] == [HERE]
    await publishing.close()


async def test_who_is_seen_to_be_gone_appends_nothing(house: Any) -> None:
    """However short ago it was seen to be there, and whoever left goes by nothing at all."""
    mine = of(house, HERE, every=timedelta(hours=1))
    await mine.join()
    assert mine._consumer is not None
    await mine._consumer.close()
    assert not await mine._look()
    with pytest.raises(BrokerUnavailable):
        mine.guard()
    await mine.refresh()
    mine.guard()

    await mine.leave()
    with pytest.raises(BrokerUnavailable):
        mine.guard()


async def test_who_is_cut_off_while_it_leaves_has_left(house: Any) -> None:
    """While another of the process still joins: the last one that leaves takes it out."""
    mine = of(house, HERE)
    await mine.join()
    await mine.join()
    async with mine._joining:
        leaving = asyncio.create_task(mine.leave())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    await mine.leave()
    assert await living(house.broker) == []


async def test_one_that_is_killed_is_seen_and_begun_again(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process's own tasks: it is not ready meanwhile, and looks again after."""
    metrics = Metrics()
    tasks = Tasks(metrics, first=timedelta(milliseconds=50))
    agreement = of(house, HERE, tasks=tasks, every=timedelta())
    real, armed, looks = agreement._look, asyncio.Event(), iter(range(1_000_000))
    last = 0

    async def look() -> bool:
        nonlocal last
        if armed.is_set():
            armed.clear()
            raise RuntimeError
        last = next(looks)
        return await real()

    monkeypatch.setattr(agreement, "_look", look)
    async with agreement:
        armed.set()
        await until(lambda: tasks.ill() == ["agreement ended RuntimeError"])
        assert metrics.value("renkei_tasks_ended", task="agreement") == 1
        before = last
        await until(lambda: not tasks.fallen and last > before)
        assert metrics.value("renkei_tasks_restarted_total", task="agreement") == 1
        agreement.guard()
