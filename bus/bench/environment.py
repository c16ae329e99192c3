"""Fresh engines, topics and databases for one measurement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from bus import app
from bus.broker import topics
from bus.local.stack import LocalStack
from bus.policy import load_subscriptions
from bus.sample import town as towns
from bus.settings import Settings


@dataclass(frozen=True, slots=True)
class BenchEnvironment:
    """The log, registry and databases that a measurement uses."""

    settings: Settings
    town: towns.Town


@asynccontextmanager
async def prepared(
    stack: LocalStack, settings: Settings, systems: Sequence[str] | None = None
) -> AsyncIterator[BenchEnvironment]:
    """A fresh log, registry and database for each of *systems* (none: all that receive)."""
    await asyncio.to_thread(stack.reset)
    running = stack.running()
    endpoints = await asyncio.to_thread(running.__enter__)
    try:
        mine = app.configured.settings({"home": settings.home})
        catalog = app.configured.catalog(mine)
        receiving = [s for s, found in load_subscriptions(catalog).items() if found.streams]
        town = await asyncio.to_thread(
            towns.build, endpoints.database, sorted(systems or receiving)
        )
        run = settings.home / "run"
        town.write_settings(run / "systems.yaml", **towns.make_keys(run))
        await town.install_outboxes()
        mine = app.configured.settings({"home": settings.home})
        async with app.clients.broker(mine) as cluster, app.clients.registry(mine) as known:
            await topics.apply(
                cluster, await topics.states(cluster, app.configured.topic_specs(mine))
            )
            await known.push(catalog)
        yield BenchEnvironment(mine, town)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def reached(uri: str) -> int:
    """The sum of the positions of a system's lanes; 0 while it has no tables."""
    with psycopg.connect(uri, autocommit=True) as connection:
        return reached_by(connection)


def reached_by(connection: psycopg.Connection[Any]) -> int:
    """As :func:`reached`, over an open connection."""
    try:
        row = connection.execute(
            'SELECT coalesce(sum("offset"), 0) FROM linkage.renkei_position'
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    return int(row[0]) if row else 0
