"""Measure questions about who was given what, in a ledger of a hundred million provisions.

The ledger is made in the database itself: six million events in all published streams, and the
receipts by which seventeen systems were given each of them, first in the large batches of a first
load, then for a year in small ones. It takes some minutes and about six gigabytes, all below the
bench's own folder. The ceiling is what the same answers cost where they lie ready in a table.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql

from bus.bench.figures import percentile
from bus.catalog import Catalog
from bus.errors import ConfigurationError
from bus.ledger import Ledger
from bus.ledger.provision_queries import PageMark, ProvisionQueries
from bus.ledger.statements import events_table
from bus.ledger.store import connected, prepare
from bus.ledger.subjects import persons_streams
from bus.operate.provisions import period

MUNICIPALITY = "131130"
EVENTS = 6_000_000
SYSTEMS = 17
SUBJECTS = 400_000
PARTITIONS = 4
FIRST_LOAD = 0.6  # of the events: handed over in batches of LOAD
LOAD, LIVING = 10_000, 20
BEGAN = datetime(2025, 4, 1, tzinfo=UTC)
ASKED = 300
NEEDS_BYTES = 12 * 1024**3
MB = 1024 * 1024

# Subjects come round in the first load and by chance afterwards.
_EVENTS = """
INSERT INTO ledger.{table} (municipality_code, subject_id, version, event_id, event_type, nature,
  change_id, change_size, change_index, processed_at, source, log_partition, log_offset,
  renkei_applied_at)
SELECT %(municipality)s,
       lpad((hashint8(n * 7919 + %(seed)s) & 2147483647) %% %(subjects)s || '', 15, '0')
         || %(suffix)s,
       n / %(subjects)s + 1, gen_random_uuid()::text, %(stream)s || '.changed', 'CHANGE',
       gen_random_uuid()::text, 1, 0, %(began)s::timestamptz + n * interval '1 second', 'bench',
       n %% %(partitions)s, n / %(partitions)s, %(began)s
FROM generate_series(0::bigint, %(events)s - 1) AS n"""

_RECEIPTS = """
INSERT INTO ledger.event_receipt (system, stream, partition, start, "end", delivered, view, rows,
  digest, previous, chain, applied_at, cluster_id, is_replay, log_partition, log_offset,
  renkei_applied_at)
SELECT system, stream, partition, first, after, int8multirange(int8range(first, after)),
       md5(system || stream) || md5(stream), after - first,
       md5(random()::text) || md5(random()::text), md5(random()::text) || md5(random()::text),
       md5(random()::text) || md5(random()::text), at, 'bench', false, 0,
       row_number() OVER (ORDER BY at, system, stream, partition), at
FROM (
  SELECT 'system_' || lpad(s::text, 2, '0') AS system, stream, partition,
         batch.first, batch.after, batch.at + s * interval '1 millisecond' AS at
  FROM generate_series(1, %(systems)s) AS s
  CROSS JOIN unnest(%(streams)s::text[]) AS stream
  CROSS JOIN generate_series(0, %(partitions)s - 1) AS partition
  CROSS JOIN LATERAL (
    SELECT n AS first, least(n + %(load)s, %(loaded)s) AS after,
           %(began)s::timestamptz + n * interval '10 milliseconds' AS at
    FROM generate_series(0::bigint, %(loaded)s - 1, %(load)s) AS n
    UNION ALL
    SELECT n, least(n + %(living)s, %(each)s),
           %(began)s::timestamptz + interval '1 day'
           + interval '364 days' * ((n - %(loaded)s)::float8 / (%(each)s - %(loaded)s))
    FROM generate_series(%(loaded)s, %(each)s - 1, %(living)s) AS n
  ) AS batch
) AS given
ORDER BY at"""

_INDEXES = """
SELECT i.indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE NOT i.indisprimary AND c.relnamespace = 'ledger'::regnamespace
  AND starts_with(c.relname, 'event_')"""

_CEILING = """
SELECT * FROM ledger.bench_answers WHERE asked = %s ORDER BY applied_at"""


async def measure(
    catalog: Catalog, uri: str, home: Path, step: Callable[[str], None]
) -> Mapping[str, float]:
    """``provisions_of_p50_ms``, ``…_p99_ms`` over many subjects, ``provisions_by_…`` over systems
    and months, and what lies beside them.

    Raises:
        ConfigurationError: There is not enough room on the disk.
    """
    if shutil.disk_usage(home).free < NEEDS_BYTES:
        raise ConfigurationError("this needs 12 GB of free disk", folder=str(home))
    began = perf_counter()
    await make(catalog, uri, step)
    made = perf_counter() - began
    ledger = Ledger(uri)
    try:
        asked = ProvisionQueries(ledger)
        return {
            **await _of(catalog, asked, uri, step),
            **await _by(asked, step),
            **_size(uri),
            "provisions_made_in_s": made,
        }
    finally:
        await ledger.close()


async def make(
    catalog: Catalog, uri: str, step: Callable[[str], None], events: int = EVENTS
) -> None:
    """Fill an empty ledger; indexes are made last, which is faster."""
    streams = [s.name for s in catalog.streams.values() if not s.is_internal]
    derived = persons_streams(catalog.streams.values()).derived
    await prepare(connected(uri), streams)
    each = events // len(streams) // PARTITIONS
    about = {
        "municipality": MUNICIPALITY,
        "subjects": SUBJECTS,
        "partitions": PARTITIONS,
        "events": each * PARTITIONS,
        "each": each,
        "loaded": int(each * FIRST_LOAD),
        "load": LOAD,
        "living": LIVING,
        "systems": SYSTEMS,
        "streams": streams,
        "began": BEGAN,
    }
    await asyncio.to_thread(_fill, uri, streams, derived, about, step)
    step("indexes")
    await prepare(connected(uri), streams)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _fill(
    uri: str,
    streams: Sequence[str],
    derived: Sequence[str],
    about: Mapping[str, Any],
    step: Callable[[str], None],
) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET work_mem = '256MB'")
        connection.execute("SET maintenance_work_mem = '512MB'")
        found = connection.execute(_INDEXES).fetchall()
        for (name,) in found:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(*name.split("."))))
        for number, stream in enumerate(streams, start=1):
            step(f"events, stream {number} of {len(streams)}")
            table = sql.Identifier(events_table(stream))
            suffix = "-2025" if stream in derived else ""
            connection.execute(
                sql.SQL(_EVENTS).format(table=table),
                {**about, "stream": stream, "seed": number, "suffix": suffix},
            )
        step("receipts of seventeen systems")
        connection.execute(_RECEIPTS, about)


async def _of(
    catalog: Catalog, asked: ProvisionQueries, uri: str, step: Callable[[str], None]
) -> Mapping[str, float]:
    where = persons_streams(catalog.streams.values())
    chance = random.Random(17)
    subjects = [f"{chance.randrange(SUBJECTS):015d}" for _ in range(ASKED)]
    whole = period(None, None)
    step("asking of subjects")
    answers = []

    async def of(subject: str) -> None:
        answer = await asked.of_subject(MUNICIPALITY, subject, where, whole)
        answers.append(len(answer.provisions))

    times = await _timed(of, subjects)
    step("the same from a table")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE ledger.bench_answers AS SELECT NULL::text AS asked, receipt.*"
            " FROM ledger.event_receipt AS receipt LIMIT 0"
        )
        for subject in dict.fromkeys(subjects):
            connection.execute(
                "INSERT INTO ledger.bench_answers SELECT %s, receipt.* FROM ledger.event_receipt"
                " AS receipt LIMIT %s",
                (subject, answers[subjects.index(subject)]),
            )
        connection.execute("CREATE INDEX ON ledger.bench_answers (asked)")
        connection.execute("ANALYZE ledger.bench_answers")

        def ready(subject: str) -> None:
            connection.execute(_CEILING, (subject,)).fetchall()

        ceiling = []
        for subject in subjects:
            begin = perf_counter()
            ready(subject)
            ceiling.append(perf_counter() - begin)
        connection.execute("DROP TABLE ledger.bench_answers")
    return {
        "provisions_of_p50_ms": percentile(times, 0.5) * 1000,
        "provisions_of_p99_ms": percentile(times, 0.99) * 1000,
        "provisions_of_ceiling_p50_ms": percentile(ceiling, 0.5) * 1000,
        "provisions_of_answers": sum(answers) / len(answers),
    }


async def _by(asked: ProvisionQueries, step: Callable[[str], None]) -> Mapping[str, float]:
    step("asking by systems and months")
    months = [date(2025 + (3 + n) // 12, (3 + n) % 12 + 1, 1) for n in range(13)]
    chance = random.Random(18)
    pairs = [
        (f"system_{chance.randint(1, SYSTEMS):02d}", chance.randrange(12))
        for _ in range(ASKED // 3)
    ]

    async def by(pair: tuple[str, int]) -> None:
        first, last = months[pair[1]], months[pair[1] + 1] - timedelta(days=1)
        answer = await asked.by_system(pair[0], period(first, last))
        if not answer.days:
            raise ConfigurationError("the bench's ledger has nothing in a month")

    async def page(pair: tuple[str, int]) -> None:
        during = period(months[pair[1]], months[pair[1] + 1])
        await asked.page(pair[0], "resident", during, PageMark(), 100)

    by_times = await _timed(by, pairs)
    page_times = await _timed(page, pairs)
    return {
        "provisions_by_p50_ms": percentile(by_times, 0.5) * 1000,
        "provisions_by_p99_ms": percentile(by_times, 0.99) * 1000,
        "provisions_page_p99_ms": percentile(page_times, 0.99) * 1000,
    }


async def _timed(ask: Callable[[Any], Awaitable[None]], about: Sequence[Any]) -> list[float]:
    times = []
    for each in about:
        begin = perf_counter()
        await ask(each)
        times.append(perf_counter() - begin)
    return times


def _size(uri: str) -> Mapping[str, float]:
    with psycopg.connect(uri, autocommit=True) as connection:
        provisions, receipts = _one(
            connection, "SELECT sum(rows)::bigint, count(*) FROM ledger.event_receipt"
        )
        (size,) = _one(connection, "SELECT pg_database_size(current_database())")
    return {
        "provisions_in_ledger": float(provisions),
        "provisions_receipts": float(receipts),
        "provisions_ledger_mb": size / MB,
    }


def _one(connection: psycopg.Connection[Any], question: str) -> Any:
    row = connection.execute(question).fetchone()
    if row is None:
        raise ConfigurationError("the bench's ledger does not answer")
    return row
