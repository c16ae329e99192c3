"""A first load into four systems at once, by the product's own command, judged by the stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import perf_counter

import psutil
import psycopg

from bus import app
from bus.bench.machines import Machines, reached
from bus.bench.rows import resident_rows
from bus.testing.processes import Process, running

RESIDENTS = 100_000
SYSTEMS = ("child_allowance", "electoral_roll", "health_management", "national_pension")
WITHIN_S = 300.0
SAMPLE_S = 0.25
MB = 1024 * 1024


async def measure(machines: Machines, step: Callable[[str], None]) -> Mapping[str, float]:
    """``load_deliveries_per_s`` from the first row to the last, and ``load_rss_mb``."""
    settings = machines.settings
    catalog = app.catalog(settings)
    step("making residents")
    rows = resident_rows(catalog, RESIDENTS)
    step("publishing them")
    async with app.publisher(settings) as publisher:
        async for outcome in publisher.publish_batches(catalog.stream("resident"), rows):
            assert not outcome.refused
    step("delivering to four systems")
    log = settings.home / "logs" / "bench-deliver.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["deliver", *(part for system in SYSTEMS for part in ("--system", system))]
    with running(arguments, {"RENKEI_HOME": str(settings.home)}, log) as process:
        sizes = await _until_loaded(process, [machines.town.systems[s] for s in SYSTEMS])
    first, last = zip(*(_times(machines.town.systems[system]) for system in SYSTEMS), strict=True)
    seconds = (max(last) - min(first)).total_seconds()
    half = sizes[len(sizes) // 2 :]
    return {
        "load_deliveries_per_s": RESIDENTS * len(SYSTEMS) / seconds,
        "load_seconds": seconds,
        "load_rss_mb": max(sizes) / MB,
        "load_rss_growth_mb": (half[-1] - half[0]) / MB,
    }


async def _until_loaded(process: Process, uris: Sequence[str]) -> list[int]:
    """Sizes of the process's resident memory until every system has everybody."""
    sizes = []
    until = perf_counter() + WITHIN_S
    delivering = psutil.Process(process.pid)
    while True:
        if process.poll() is not None or perf_counter() > until:
            raise RuntimeError(f"the load did not arrive; see {process.log}")
        sizes.append(delivering.memory_info().rss)
        if all([await asyncio.to_thread(reached, uri) >= RESIDENTS for uri in uris]):
            return sizes
        await asyncio.sleep(SAMPLE_S)


def _times(uri: str) -> tuple[datetime, datetime]:
    """When the first and the last row was written, by the store's clock."""
    with psycopg.connect(uri, autocommit=True) as connection:
        row = connection.execute(
            "SELECT min(renkei_applied_at), max(renkei_applied_at), count(*) FROM linkage.resident"
        ).fetchone()
    assert row is not None
    if row[2] != RESIDENTS:
        raise RuntimeError(f"{row[2]} residents arrived instead of {RESIDENTS}")
    return row[0], row[1]
