"""Each task of a relay, killed from inside: seen, begun again, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bus.connect.lease import Lease
from bus.errors import ConfigurationError
from bus.local.endpoints import Endpoints
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.runner import Runner
from bus.publish.runners import run_together
from connectors.outbox.source import OutboxSource
from connectors.outbox.term import OutboxTerm
from connectors.outbox.upkeep import install
from tests.support import engines as test_engines
from tests.support.outbox import KEEPING, QUICK, SYSTEM, FilePublisher, Outbox, change, until

pytestmark = pytest.mark.service


class Killed(Exception):
    """Nobody expects it."""


async def comes_back(*_: Any) -> None:
    """As a stream of notifications may."""


async def killed(*_: Any) -> None:
    raise Killed


async def cancelled(*_: Any) -> None:
    raise asyncio.CancelledError


KILLS = {
    "sending": (OutboxSource, "take", killed),
    "lease": (Lease, "renew", killed),
    "listening": (OutboxTerm, "_listen", killed),
    "deaf": (OutboxTerm, "_listen", comes_back),
    "cancelled": (OutboxSource, "take", cancelled),
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
async def test_what_is_killed_is_seen_and_begun_again(
    outbox: Outbox, kill: tuple[type, str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not ready while it is down; after it what was handed in before and meanwhile is sent once."""
    owner, name, instead = kill
    real, turns = getattr(owner, name), iter([True])

    async def method(*args: Any) -> Any:
        if next(turns, False):
            return await instead(*args)
        return await real(*args)

    monkeypatch.setattr(owner, name, method)
    outbox.publish(change("1", 1))
    metrics, stop = Metrics(), asyncio.Event()
    tasks = Tasks(metrics, first=timedelta(milliseconds=200))
    running = asyncio.create_task(run_together([outbox.relay()], stop, tasks))
    await until(lambda: bool(tasks.fallen))
    assert tasks.ill()[0].startswith(f"relay {SYSTEM} ended ")
    await asyncio.to_thread(outbox.publish, change("1", 2))
    await until(lambda: outbox.pending() == 0 and not tasks.fallen)
    stop.set()
    await asyncio.wait_for(running, 10)

    assert outbox.sent() == [("1", 1), ("1", 2)]
    assert metrics.value("renkei_tasks_restarted_total", task="relay") == 1


async def test_one_that_cannot_work_ends_no_other(outbox: Outbox, engines: Endpoints) -> None:
    """It is tried again while another works; when there is no other, the process ends, so that
    its status says so."""

    class Wrong(FilePublisher):
        async def start(self) -> None:
            raise ConfigurationError("there is no such topic")

    def wrong(uri: str) -> Runner:
        make = lambda guard: Wrong(outbox.topic, guard)  # noqa: E731
        source = OutboxSource("family_register", uri, holder="here", keeping=KEEPING)
        return Runner(source, make, pace=QUICK)

    with test_engines.fresh_database(engines.database) as uri:
        await install("family_register", uri)
        with pytest.raises(ConfigurationError):
            await asyncio.wait_for(run_together([wrong(uri)], asyncio.Event(), Tasks()), 20)

        stop, tasks = asyncio.Event(), Tasks(first=timedelta(milliseconds=400))
        running = asyncio.create_task(run_together([wrong(uri), outbox.relay()], stop, tasks))
        await until(lambda: tasks.ill() == ["relay family_register ended RK-100"])
        await asyncio.to_thread(outbox.publish, change("1", 1))
        await until(lambda: outbox.pending() == 0)
        assert not running.done()
        stop.set()
        await asyncio.wait_for(running, 10)
