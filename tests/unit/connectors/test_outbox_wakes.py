"""What wakes a relay: a change that was committed, and whoever may send a notification."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bus.connect.source import Limits
from connectors.outbox.source import REST, WAKES_FOR_NOTHING, OutboxSource


class Empty:
    """A database with an outbox in which nothing is."""

    rowcount = 0

    def __init__(self) -> None:
        self.asked = 0

    async def execute(self, *_: Any) -> Empty:
        self.asked += 1
        return self

    async def fetchall(self) -> list[Any]:
        return []


async def test_whoever_wakes_it_for_nothing_lets_it_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody who may enter the database may send NOTIFY, as often as they like: after a few times
    in a row the relay looks twice a second, and not as often as it is woken."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    source = OutboxSource("register", "postgresql://localhost/x", holder="here")
    source._work = Empty()  # type: ignore[assignment]
    monkeypatch.setattr(asyncio, "sleep", rest)

    for _ in range(WAKES_FOR_NOTHING + 5):
        await source.take(Limits(10, 1_000, 1_000))
        source._wake.set()  # a notification
        assert await source.wait(timedelta(seconds=5))

    assert rests == [REST.total_seconds()] * 5
