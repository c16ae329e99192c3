"""Measure a first load of every stream into all seventeen systems, by their own subscriptions.

Beside it, in the same run, stands the load of :mod:`bus.bench.load`: residents into four systems.
What is compared is rows a second, whatever kind of row.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from time import perf_counter
from typing import Any

import psutil
import psycopg
from psycopg import sql

from bus import app
from bus.bench.environment import BenchEnvironment, reached, reached_by
from bus.bench.load import MB
from bus.bench.rows import protection_of
from bus.model import PROTECTION
from bus.policy import load_subscriptions
from bus.sample.municipality import Municipality
from bus.sample.municipality.register import ALL_STREAMS
from bus.sample.processes import Process, running

SEED = 20_260_401
RESIDENTS = 100_000
WITHIN_S = 900.0
SAMPLE_S = 0.5
POLL_S = 0.002
PROTECTED = 10  # who come under protection
_TABLES = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = 'linkage' AND column_name = 'renkei_applied_at'
AND table_name NOT LIKE 'renkei_%'
"""


async def measure(
    environment: BenchEnvironment, step: Callable[[str], None], residents: int = RESIDENTS
) -> Mapping[str, float]:
    """``family_rows_per_s`` from the first row to the last, how many rows and events there were,
    and ``family_rss_mb``, the most memory of the delivering process. Then somebody comes under
    protection: ``family_protected_ms`` from publishing it, by a publisher that has read the
    stream as a relay does when it starts, until all tables of all systems have it; and some more,
    ``family_protected_again_ms`` each.
    """
    settings = environment.settings
    catalog = app.configured.catalog(settings)
    sent = {}
    step("making everybody, as seventeen systems know them")
    town = Municipality(SEED, residents)
    async with app.publishing.publisher(settings) as publisher:
        for name in ALL_STREAMS:
            stream = catalog.stream(name)
            step(f"publishing {name}")
            sent[name] = 0
            async for outcome in publisher.publish_batches(stream, town.columns(stream)):
                assert not outcome.refused, outcome.faults[0]
                sent[name] += outcome.published
    granted = load_subscriptions(catalog, settings.schemas)
    due = {
        uri: sum(sent[stream] for stream in granted[system].streams)
        for system, uri in environment.town.systems.items()
    }
    step("delivering to seventeen systems")
    log = settings.home / "logs" / "bench-family.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = [
        "deliver",
        *(p for system in environment.town.systems for p in ("--system", system)),
    ]
    with running(arguments, {"RENKEI_HOME": str(settings.home)}, log) as process:
        most = await _until_loaded(process, due)
        rows, first, last = _written(list(due))
        step("some come under protection, one after the other")
        (protections, *_) = town.columns(catalog.stream(PROTECTION))
        some = [p for p in town.persons if p.household is not None and not p.is_protected]
        protecting = {
            uri: due[uri]
            for system, uri in environment.town.systems.items()
            if PROTECTION in granted[system].streams
        }
        protected_ms = []
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(
                app.publishing.publisher(settings, learn=[PROTECTION])
            )
            stores = {
                stack.enter_context(psycopg.connect(uri, autocommit=True)): end
                for uri, end in protecting.items()
            }
            for number, someone in enumerate(some[:: len(some) // PROTECTED][:PROTECTED], start=1):
                start = protection_of(
                    protections.slice(number), someone.number, someone.last_household
                )
                begin = perf_counter()
                async for outcome in publisher.publish_batches(catalog.stream(PROTECTION), [start]):
                    assert outcome.published == 1, outcome.faults
                await _until_told({store: end + number for store, end in stores.items()})
                protected_ms.append((perf_counter() - begin) * 1_000)
    seconds = (last - first).total_seconds()
    return {
        "family_rows_per_s": rows / seconds,
        "family_rows": rows,
        "family_events": sum(sent.values()),
        "family_seconds": seconds,
        "family_rss_mb": most / MB,
        "family_protected_ms": protected_ms[0],
        "family_protected_again_ms": statistics.median(protected_ms[1:]),
    }


async def _until_loaded(process: Process, due: Mapping[str, int]) -> int:
    """Wait until every system has caught up; the most resident memory on the way."""
    until, most = perf_counter() + WITHIN_S, 0
    delivering = psutil.Process(process.pid)
    while True:
        if process.poll() is not None or perf_counter() > until:
            raise RuntimeError(f"the load did not arrive; see {process.log}")
        most = max(most, delivering.memory_info().rss)
        if all([await asyncio.to_thread(reached, uri) >= end for uri, end in due.items()]):
            return most
        await asyncio.sleep(SAMPLE_S)


async def _until_told(due: Mapping[psycopg.Connection[Any], int]) -> None:
    """Wait until every store's lanes have caught up, asked over open connections.

    A new connection for each question would cost the server more than what is measured.
    """
    waiting, until = dict(due), perf_counter() + WITHIN_S
    while waiting:
        if perf_counter() > until:
            raise RuntimeError("the protection did not arrive")
        for store, end in list(waiting.items()):
            if (await asyncio.to_thread(reached_by, store)) >= end:
                del waiting[store]
        await asyncio.sleep(POLL_S)


def _written(uris: Sequence[str]) -> tuple[int, datetime, datetime]:
    """Rows in all tables of all systems; when the first and the last was written, by the store."""
    rows, times = 0, list[datetime]()
    for uri in uris:
        with psycopg.connect(uri, autocommit=True) as connection:
            for (table,) in connection.execute(_TABLES).fetchall():
                found = connection.execute(
                    sql.SQL(
                        "SELECT count(*), min(renkei_applied_at), max(renkei_applied_at) FROM {}"
                    ).format(sql.Identifier("linkage", table))
                ).fetchone()
                if found is not None and found[0]:
                    rows += found[0]
                    times += found[1:]
    return rows, min(times), max(times)
