"""Measure a system's table in PostgreSQL, against ``adbc_ingest`` and the same upsert from memory.

Both write the same columns of the same rows, in turns, in the same run: first all as new rows,
then all again with a higher version. The bare side knows nothing of positions, receipts,
duplicates or faults: it is what the driver and the server can do.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date
from time import perf_counter

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc

from bus import app
from bus.bench.figures import seconds
from bus.bench.rows import resident_rows
from bus.catalog import Catalog
from bus.connect import Sink
from bus.model import Position, Receipt, Step, Upserts, View
from bus.policy import compile_view, load_subscriptions, project
from bus.sample.town import Town
from bus.settings import SystemConnection

SYSTEM = "child_allowance"  # forty columns, as most have
ROWS = 100_000
BATCH = 10_000
ROUNDS = 3


async def measure(catalog: Catalog, town: Town, step: Callable[[str], None]) -> Mapping[str, float]:
    """``postgres_insert_over_ceiling``, ``postgres_update_over_ceiling`` and their parts."""
    stream = catalog.stream("resident")
    view = compile_view(load_subscriptions(catalog)[SYSTEM], stream, date.today())  # noqa: DTZ011
    step("making rows")
    batches = [_viewed(view, rows) for rows in resident_rows(catalog, ROWS, BATCH)]
    newer = [_raised(rows) for rows in batches]
    uri = town.systems[SYSTEM]
    times: dict[str, list[float]] = {
        "insert": [],
        "update": [],
        "bare_insert": [],
        "bare_update": [],
    }
    for number in range(ROUNDS):
        step(f"round {number + 1} of {ROUNDS}")
        # Whoever comes second finds the server's caches as the first left them: take turns.
        sides = [_ours, _bare] if number % 2 == 0 else [_bare, _ours]
        for side in sides:
            taken = await side(uri, view, batches, newer)
            for name, value in taken.items():
                times[name].append(value)
    best = {name: statistics.median(values) for name, values in times.items()}
    return {
        "postgres_insert_over_ceiling": best["bare_insert"] / best["insert"],
        "postgres_update_over_ceiling": best["bare_update"] / best["update"],
        "postgres_insert_rows_per_s": ROWS / best["insert"],
        "postgres_update_rows_per_s": ROWS / best["update"],
        "postgres_ceiling_insert_rows_per_s": ROWS / best["bare_insert"],
        "postgres_ceiling_update_rows_per_s": ROWS / best["bare_update"],
        "postgres_columns": float(len(view.columns)),
    }


def _viewed(view: View, rows: pa.RecordBatch) -> pa.RecordBatch:
    nobody = pa.array([False] * rows.num_rows)
    offsets = pa.array(range(rows.num_rows), pa.int64())
    return project(view, rows, protected=nobody, partition=0, offsets=offsets).records


def _raised(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows, one version later."""
    place = rows.schema.get_field_index("version")
    entry = rows.schema.field(place)
    return rows.set_column(place, entry, pc.add(rows.column(place), 1).cast(entry.type))


async def _ours(
    uri: str, view: View, batches: Sequence[pa.RecordBatch], newer: Sequence[pa.RecordBatch]
) -> Mapping[str, float]:
    _drop(uri, "bench_ours")
    sink = app.systems.sink(SystemConnection(options={"uri": uri, "schema_name": "bench_ours"}))()
    await sink.open(view)
    try:
        insert = await _applied(sink, view, batches, 0)
        update = await _applied(sink, view, newer, ROWS)
    finally:
        await sink.close()
    _drop(uri, "bench_ours")
    return {"insert": insert, "update": update}


async def _applied(sink: Sink, view: View, batches: Sequence[pa.RecordBatch], start: int) -> float:
    total = 0.0
    for records in batches:
        end = start + records.num_rows
        step = Step(
            view=view,
            partition=0,
            start=start,
            end=Position(cluster_id="bench", topic="bench", partition=0, offset=end),
            receipt=Receipt(
                system=view.system, stream=view.stream, partition=0, start=start, end=end,
                delivered=f"{{[{start},{end})}}", view=view.fingerprint, rows=records.num_rows,
                digest="0" * 64,
            ),
        )  # fmt: skip
        upserts = Upserts(step=step, records=records)
        begin = perf_counter()
        await sink.apply(upserts)
        total += perf_counter() - begin
        start = end
    return total


async def _bare(
    uri: str, view: View, batches: Sequence[pa.RecordBatch], newer: Sequence[pa.RecordBatch]
) -> Mapping[str, float]:
    _drop(uri, "bench_bare")
    names = [f'"{name}"' for name in view.schema.names]
    columns = ", ".join(names)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names)
    key = ", ".join(view.key)
    with closing(adbc.connect(uri, autocommit=True)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA bench_bare")
            cursor.adbc_ingest(
                "stored", batches[0].slice(0, 0), mode="create", db_schema_name="bench_bare"
            )
            cursor.execute(f"ALTER TABLE bench_bare.stored ADD PRIMARY KEY ({key})")
            cursor.execute(
                "CREATE TEMPORARY TABLE inbox (LIKE bench_bare.stored) ON COMMIT DELETE ROWS"
            )
            upsert = (
                f"INSERT INTO bench_bare.stored AS stored ({columns}) SELECT {columns} FROM inbox"
                f" ON CONFLICT ({key}) DO UPDATE SET {sets} WHERE stored.version < excluded.version"
            )

            def write(all_rows: Sequence[pa.RecordBatch]) -> None:
                for rows in all_rows:
                    cursor.execute("BEGIN")
                    cursor.adbc_ingest("inbox", rows, mode="append", temporary=True)
                    cursor.execute(upsert)
                    cursor.execute("COMMIT")

            result = {
                "bare_insert": seconds(lambda: write(batches)),
                "bare_update": seconds(lambda: write(newer)),
            }
    _drop(uri, "bench_bare")
    return result


def _drop(uri: str, schema: str) -> None:
    with closing(adbc.connect(uri, autocommit=True)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET client_min_messages = error")
            cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
