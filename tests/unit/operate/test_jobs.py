"""Jobs: started, looked at, waited for, cancelled."""

from __future__ import annotations

import asyncio

import pytest

from bus.errors import ConfigurationError
from bus.operate import jobs
from bus.operate.jobs import OnProgress, Progress


async def test_what_it_comes_to() -> None:
    """And how far it was, to whoever looks and to whoever is told."""
    said: list[Progress] = []

    async def work(told: OnProgress) -> str:
        for done in range(3):
            told(Progress("rows", done, 3))
            await asyncio.sleep(0)
        return "done"

    job = jobs.start(work, said.append)
    assert not job.is_done
    seen = [progress.done async for progress in job.progress()]
    assert await job.result() == "done"
    assert job.is_done
    assert [each.done for each in said] == [0, 1, 2]
    assert seen == sorted(set(seen))
    assert job.newest == Progress("rows", 2, 3)


async def test_it_ends_where_it_stands() -> None:
    """Cancelled; twice is once."""
    ended = asyncio.Event()

    async def work(_: OnProgress) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    job = jobs.start(work)
    await asyncio.sleep(0)
    await job.cancel()
    await job.cancel()

    assert ended.is_set()
    assert job.is_done
    with pytest.raises(asyncio.CancelledError):
        await job.result()


async def test_whoever_waits_takes_it_along() -> None:
    """Ctrl-C in a command ends the command's job."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(_: OnProgress) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    job = jobs.start(work)
    waiting = asyncio.create_task(job.result())
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_what_went_wrong_is_raised() -> None:
    """Where it is waited for."""

    async def work(_: OnProgress) -> None:
        raise ConfigurationError("it cannot be")

    with pytest.raises(ConfigurationError):
        await jobs.start(work).result()
