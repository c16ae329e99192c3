"""The recent past is read from the log itself, and never waited for without end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.broker import Fetched
from bus.broker.memory import MemoryConsumer
from bus.errors import BrokerUnavailable
from bus.monitor.recent import read_recent
from tests.support.lanes import CATALOG, Town

RECEIPT = CATALOG.stream("receipt").topic


def receipt(end: int) -> dict[str, Any]:
    return {
        "system": "tax", "stream": "resident", "partition": 0, "start": end - 1, "end": end,
        "delivered": f"{{[{end - 1},{end})}}", "view": "f", "rows": 1, "digest": "d",
        "previous": f"c{end - 1}", "chain": f"c{end}", "is_replay": False, "cluster_id": "c",
        "applied_at": datetime(2026, 11, 24, 9, tzinfo=UTC), "proof": None,
    }  # fmt: skip


@pytest.fixture
async def town() -> Town:
    """Two receipts in the log."""
    made = Town()
    await made.build()
    for value in made.encoded("receipt", [receipt(1), receipt(2)]):
        await made.append("receipt", "1", value)
    return made


async def rows(town: Town) -> int:
    async with asyncio.timeout(30):
        windows = await read_recent(town.broker, RECEIPT, town.reader("receipt"))
    return sum(w.rows for minute in windows._minutes.values() for w in minute.values())


async def test_a_log_that_ends_in_a_hole_has_an_end(town: Town) -> None:
    """The last record of a log may be one that no reader is ever given."""
    assert await rows(town) == 2

    town.memory._log((RECEIPT, 0)).keep([0])

    assert await rows(town) == 1


async def test_a_log_that_says_nothing_counts_as_away(town: Town, monkeypatch) -> None:
    """Who asked is told, after so much silence."""
    asked: list[timedelta] = []

    async def fetch(_self: object, _most: int, wait: timedelta, *_: object) -> Sequence[Fetched]:
        asked.append(wait)
        await asyncio.sleep(0)
        return []

    monkeypatch.setattr(MemoryConsumer, "fetch", fetch)

    with pytest.raises(BrokerUnavailable):
        await rows(town)

    assert sum(asked, timedelta()) == timedelta(seconds=20)
