"""Measure what it costs to know who is covered: a city's households, and a process that starts.

Households of 3.8 million members are appended to the real log. Then a process of its own opens the
fence: how long until it knows everything, and by how much that makes the process larger. The
ceiling of the first is the same log read and decoded, and nothing kept of it.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus import app
from bus.broker import Broker, Fetched, PartitionBatch
from bus.broker.partitioner import partition_of
from bus.catalog import Catalog
from bus.catalog.columns import arrow_schema, encode
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader, frame
from bus.control.fence import MEMBERS, RESTS_ON, Fence
from bus.log.tail import Tail
from bus.model import Stream, event_key
from bus.settings import Settings

CITY = 3_800_000  # members of households
SIZES = (1, 2, 2, 3, 1, 2, 2, 2, 2, 2)
BATCH = 10_000


async def fill(
    broker: Broker, known: Registry, stream: Stream, header: pa.StructScalar, members: Sequence[str]
) -> None:
    """Append the households in which *members* live, and strangers up to a city's worth."""
    producer = broker.producer()
    await producer.start()
    try:
        partitions = (await broker.partitions([stream.topic]))[stream.topic]
        schema_id = await known.id_of(stream.latest)
        for number, (records, subjects) in enumerate(_households(stream, header, members)):
            values = frame(schema_id, await asyncio.to_thread(encode, stream.latest, records))
            code = header["municipality_code"].as_py()
            keys = [event_key(code, subject).encode() for subject in subjects]
            places: dict[int, list[int]] = {}
            for index, partition in enumerate(partition_of(keys, partitions)):
                places.setdefault(partition, []).append(index)
            await producer.append(
                [
                    PartitionBatch(
                        stream.topic, at, [keys[i] for i in mine], [values[i] for i in mine]
                    )
                    for at, mine in places.items()
                ]
            )
            if number % 50 == 0:
                gc.collect(0)
    finally:
        await producer.close()


def _households(
    stream: Stream, header: pa.StructScalar, members: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, list[str]]]:
    schema = arrow_schema(stream.latest)
    said, listed = schema.field("header").type, schema.field("members").type
    first, sizes = 0, pa.array(SIZES * (BATCH // len(SIZES)), pa.int32())
    starts = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(sizes)])
    count = starts[-1].as_py()
    for number in range(CITY // count):
        some = [f"{7 * 10**14 + n}" for n in range(first, first + count)]
        some[: len(members[first : first + count])] = members[first : first + count]
        first += count
        subjects = [f"{8 * 10**14 + n}" for n in range(number * BATCH, (number + 1) * BATCH)]
        columns: list[Any] = [
            pa.array(subjects)
            if entry.name == "subject_id"
            else pa.array([header[entry.name].as_py()] * BATCH, entry.type)
            for entry in said
        ]
        person = pa.StructArray.from_arrays(
            [pa.array(some), pa.nulls(count, pa.string())], fields=list(listed.value_type)
        )
        yield (
            pa.RecordBatch.from_arrays(
                [
                    pa.StructArray.from_arrays(columns, fields=list(said)),
                    pa.nulls(BATCH, pa.string()),
                    pa.ListArray.from_arrays(starts, person).cast(listed),
                    sizes,
                ],
                schema=schema,
            ),
            subjects,
        )


def start(settings: Settings, step: Callable[[str], None]) -> Mapping[str, float]:
    """How many seconds a process takes to know everything, and how many MB larger it is then."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as another:
        step("reading and decoding what coverage rests on")
        bare = another.submit(_timed, settings, is_kept=False).result()[0]
    with ProcessPoolExecutor(1, mp_context=spawn) as another:
        step("a process that starts: who is covered")
        ready, held = another.submit(_timed, settings, is_kept=True).result()
    return {
        "coverage_ready_ms": ready * 1_000,
        "coverage_ceiling_read_ms": bare * 1_000,
        "coverage_ready_over_ceiling": bare / ready,
        "coverage_held_mb": held,
    }


def _timed(settings: Settings, *, is_kept: bool) -> tuple[float, float]:
    keep_freed()
    return asyncio.run(_started(settings, is_kept=is_kept))


async def _started(settings: Settings, *, is_kept: bool) -> tuple[float, float]:
    """Seconds taken, and megabytes by which the process has grown."""
    catalog: Catalog = app.configured.catalog(settings)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(app.clients.registry(settings))
        broker = await stack.enter_async_context(app.clients.broker(settings))
        readers = {name: Reader(catalog.stream(name), catalog, known) for name in RESTS_ON}
        household = catalog.stream(MEMBERS)

        async def forget(fetched: Fetched) -> None:
            await readers[MEMBERS].read([value for value in fetched.values if value])

        bare = Tail(broker, [household.topic], forget)
        following = Fence(broker, catalog.streams, readers) if is_kept else bare
        gc.collect()
        before, begin = _resident_mb(), perf_counter()
        await following.start()
        seconds = perf_counter() - begin
        stack.push_async_callback(following.close)
        gc.collect()
        return seconds, _resident_mb() - before


def _resident_mb() -> float:
    """The resident memory of this process."""
    pa.default_memory_pool().release_unused()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
