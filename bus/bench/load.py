"""Measure a first load into four systems at once, by the product's command and the stores' clocks.

Everybody then changes some times over, so that the process's memory can be watched for longer
than a first load takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import perf_counter

import psutil
import psycopg
import pyarrow as pa

from bus import app
from bus.bench.environment import BenchEnvironment, reached
from bus.bench.rows import resident_rows, updated
from bus.model import Stream
from bus.sample.processes import Process, running
from bus.settings import Settings

RESIDENTS = 100_000
SYSTEMS = ("child_allowance", "electoral_roll", "health_management", "national_pension")
WITHIN_S = 300.0
SAMPLE_S = 0.25
ROUNDS = 4  # of updates of everybody, after the first load
MB = 1024 * 1024


async def measure(
    environment: BenchEnvironment, step: Callable[[str], None]
) -> Mapping[str, float]:
    """``load_deliveries_per_s`` from the first row to the last; ``load_rss_mb``, the most
    memory of the delivering process, and ``load_rss_growth_mb``, how much of it came after the
    first round of updates.
    """
    settings = environment.settings
    step("making residents")
    catalog = app.configured.catalog(settings)
    rows, stream = resident_rows(catalog, RESIDENTS), catalog.stream("resident")
    step("publishing them")
    await _publish(settings, stream, rows)
    step("delivering to four systems")
    log = settings.home / "logs" / "bench-deliver.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["deliver", *(part for system in SYSTEMS for part in ("--system", system))]
    uris = [environment.town.systems[system] for system in SYSTEMS]
    with running(arguments, {"RENKEI_HOME": str(settings.home)}, log) as process:
        sizes = [max(await _until_loaded(process, uris, RESIDENTS))]
        first, last = zip(*(_times(uri) for uri in uris), strict=True)
        for number in range(1, ROUNDS + 1):
            step(f"everybody changes, round {number} of {ROUNDS}")
            await _publish(settings, stream, [updated(batch, number) for batch in rows])
            sizes.append(max(await _until_loaded(process, uris, RESIDENTS * (number + 1))))
    seconds = (max(last) - min(first)).total_seconds()
    return {
        "load_deliveries_per_s": RESIDENTS * len(SYSTEMS) / seconds,
        "load_seconds": seconds,
        "load_rss_mb": max(sizes) / MB,
        "load_rss_growth_mb": (max(sizes) - max(sizes[:2])) / MB,
    }


async def _publish(settings: Settings, stream: Stream, batches: Sequence[pa.RecordBatch]) -> None:
    async with app.publishing.publisher(settings) as publisher:
        async for outcome in publisher.publish_batches(stream, batches):
            assert not outcome.refused, outcome.faults[0]


async def _until_loaded(process: Process, uris: Sequence[str], events: int) -> list[int]:
    """Wait until every system has caught up; the process's resident memory on the way."""
    sizes = []
    until = perf_counter() + WITHIN_S
    delivering = psutil.Process(process.pid)
    while True:
        if process.poll() is not None or perf_counter() > until:
            raise RuntimeError(f"the load did not arrive; see {process.log}")
        sizes.append(delivering.memory_info().rss)
        if all([await asyncio.to_thread(reached, uri) >= events for uri in uris]):
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
