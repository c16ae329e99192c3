"""Measure publishing of columns, checked to acknowledged; the ceiling appends ready records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from time import perf_counter

import pyarrow as pa
import pyarrow.compute as pc

from bus import app
from bus.bench.rows import resident_rows
from bus.broker import PartitionBatch
from bus.broker.partitioner import partition_of
from bus.catalog.columns import encode
from bus.catalog.wire import frame
from bus.model import Stream, event_key
from bus.publish.publisher import Publisher, PublisherSettings
from bus.settings import Settings

EVENTS = 200_000
WARM_UP = 10_000


async def measure(settings: Settings, step: Callable[[str], None]) -> Mapping[str, float]:
    """``publish_events_per_s``, and what the producer does with ready records.

    The topic ``linkage.resident`` must be empty: every row is a subject's first version.
    """
    catalog = app.configured.catalog(settings)
    stream = catalog.stream("resident")
    step("making rows")
    batches = list(resident_rows(catalog, EVENTS + WARM_UP))
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(app.clients.registry(settings))
        broker = await stack.enter_async_context(app.clients.broker(settings))
        publisher = Publisher(catalog, registry, broker, PublisherSettings(learn=[stream.name]))
        await publisher.start()
        stack.push_async_callback(publisher.close)
        await _publish(publisher, stream, batches[:1])
        step("publishing")
        begin = perf_counter()
        published = await _publish(publisher, stream, batches[1:])
        taken = perf_counter() - begin

        step("appending ready records")
        partitions = (await broker.partitions([stream.topic]))[stream.topic]
        schema_id = await registry.id_of(stream.latest)
        ready: list[list[PartitionBatch]] = []
        for batch in batches[1:]:
            values = frame(schema_id, encode(stream.latest, batch))
            keys = _keys(batch)
            entries = list(zip(partition_of(keys, partitions), keys, values, strict=True))
            ready.append(
                [
                    PartitionBatch(
                        stream.topic,
                        partition,
                        [key for place, key, _ in entries if place == partition],
                        [value for place, _, value in entries if place == partition],
                    )
                    for partition in range(partitions)
                ]
            )
        producer = broker.producer(client_id="renkei-bench")
        await producer.start()
        stack.push_async_callback(producer.close)
        begin = perf_counter()
        for each in ready:
            await producer.append(each)
        bare = perf_counter() - begin
    return {
        "publish_events_per_s": published / taken,
        "publish_ceiling_events_per_s": EVENTS / bare,
        "publish_over_ceiling": (published / taken) / (EVENTS / bare),
    }


async def _publish(publisher: Publisher, stream: Stream, batches: list[pa.RecordBatch]) -> int:
    published = 0
    async for outcome in publisher.publish_batches(stream, batches):
        if outcome.refused:
            raise AssertionError(f"a synthetic row was refused: {outcome.faults[0]}")
        published += outcome.published
    return published


def _keys(batch: pa.RecordBatch) -> list[bytes]:
    header = batch.column("header")
    codes = pc.struct_field(header, "municipality_code").to_pylist()
    subjects = pc.struct_field(header, "subject_id").to_pylist()
    return [
        event_key(code, subject).encode() for code, subject in zip(codes, subjects, strict=True)
    ]
