"""Hundreds of orders of protections and addresses, on a real Kafka and in a real PostgreSQL.

Families and judge are those of ``tests/unit/deliver/protection_race.py``. The judge looks at the
store as anybody could, in one snapshot each time: rows, and how far its protection lanes are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import SecretStr

import bus.hosting.system_delivery as delivery
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.lanes import Hosted, Town, hosted
from tests.unit.deliver.protection_race import (
    PLACES,
    STREAMS,
    SYSTEM,
    Family,
    Judge,
    view_of,
)

pytestmark = [pytest.mark.service, pytest.mark.slow]
ALL = (*STREAMS, "protection")
FAMILIES = 200
SOON = 120.0


class Store:
    """The receiving system's database, as the judge sees it."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._reached: Mapping[str, int] = {}

    def read(self) -> None:
        """Everything at one moment."""
        with psycopg.connect(
            self._uri, row_factory=dict_row, application_name="judge"
        ) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            (fence,) = connection.execute("SELECT reached FROM linkage.renkei_fence").fetchall()
            self._reached = fence["reached"]
            for stream in STREAMS:
                names = ("subject_id", "version", "protected", *PLACES[stream])
                query = sql.SQL("SELECT {} FROM {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    sql.Identifier("linkage", stream.replace(".", "_")),
                )
                self._rows[stream] = connection.execute(query).fetchall()

    def rows(self, stream: str) -> Any:
        """Of one table, as read."""
        return self._rows.get(stream, [])

    def reached(self, log: str) -> int:
        """As of where coverage was applied, as read."""
        return self._reached.get(log, 0)

    def cut(self) -> None:
        """Break every line to it once, but the judge's."""
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name <> 'judge'"
            )


async def test_the_address_is_never_seen_again(
    town: Town, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred families; lanes taken over, owned twice, paused, cut off and parked meanwhile."""
    dice, judge, store = Random(7), Judge(), Store(database)
    town.settings = town.settings.model_copy(update={"stop_within": timedelta(minutes=1)})
    options = PostgresOptions(uri=SecretStr(database))
    sinks = {SYSTEM: lambda _view: PostgresSink(options)}
    over = asyncio.Event()

    async def look() -> None:
        await asyncio.to_thread(store.read)
        judge.look(store.rows, store.reached)

    async def pause(bus: Hosted) -> None:
        stream = dice.choice(ALL)
        await bus.pause(SYSTEM, stream)
        await asyncio.sleep(dice.random() / 2)
        await bus.resume(SYSTEM, stream)

    async def own_as_well() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(delivery, "group_of", lambda system: f"another.{system}")
            other = hosted(town, sinks, streams=ALL, views=view_of)
            await other.__aenter__()
        await asyncio.sleep(1 + dice.random() * 2)
        await other.__aexit__(None, None, None)

    async def take_over() -> None:
        async with hosted(town, sinks, streams=ALL, views=view_of):
            await asyncio.sleep(2 + dice.random())

    async def cut() -> None:
        await asyncio.to_thread(store.cut)

    async def until_over(act: Callable[[], Awaitable[None]], rest: float) -> None:
        while not over.is_set():
            await act()
            await asyncio.sleep(rest * dice.random())

    async with hosted(town, sinks, streams=ALL, views=view_of) as bus:
        await bus.until(lambda: len(bus.lanes) == len(ALL) * town.partitions, SOON)
        await bus.until(lambda: all(lane.has_stood for lane in bus.lanes), SOON)
        acts = [(look, 0.1), (cut, 3.0), (lambda: pause(bus), 1.0), (own_as_well, 1.0)]
        troubles = [asyncio.create_task(until_over(*each)) for each in [*acts, (take_over, 2.0)]]
        lives = [Family(number, town, judge, dice) for number in range(FAMILIES)]
        for at in range(0, FAMILIES, 20):
            await asyncio.gather(*(family.live() for family in lives[at : at + 20]))
            await asyncio.sleep(0.2)
        over.set()
        await asyncio.gather(*troubles)
        for stream in ALL:
            await bus.resume(SYSTEM, stream)

        async def is_settled() -> bool:
            await look()
            assert judge.failures == []
            return not judge.is_settled(store.rows)

        await bus.until_told(is_settled, SOON, every=0.3)

    assert judge.failures == []
    assert judge.looks > 20
