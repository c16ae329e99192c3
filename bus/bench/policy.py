"""Measure what a policy costs: masks on every item of a view, and the protection fence.

Both are measured against the same view without them, turn by turn in one run: a machine that is
busy is so for both. The way is that of a lane, from encoded events to rows (decode, fence, view).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import SecretBytes

from bus import app
from bus.bench import coverage
from bus.bench.figures import median_rate, seconds
from bus.bench.rows import resident_rows
from bus.broker import Message, Producer
from bus.broker.partitioner import partition_of
from bus.catalog import Catalog
from bus.catalog.columns import arrow_schema, decode, encode
from bus.catalog.memory import keep_freed
from bus.catalog.plain import from_json
from bus.catalog.single import encode_one
from bus.catalog.wire import Reader, frame
from bus.control.fence import RESTS_ON, Fence
from bus.model import MaskKey, MaskKind, SchemaVersion, Stream, View, event_key
from bus.policy import compile_view, load_subscriptions, project
from bus.policy.leaves import leaves_of
from bus.policy.masking import effect
from bus.settings import Settings

SYSTEM = "child_allowance"
BATCH = 10_000
BATCHES = 5
ROUNDS = 9
FENCED_ROUNDS = 60
PROTECTED = 500
KEY = {SYSTEM: MaskKey("bench", SecretBytes(b"b" * 32))}
MASKS: Mapping[str, MaskKind] = {
    "name.kana": MaskKind.KEYED_HASH,
    "name.full": MaskKind.LAST_FOUR,
    "name.alias": MaskKind.PRESENT,
    "name.alias_kana": MaskKind.PRESENT,
    "birth_date": MaskKind.AGE_BAND,
    "resident_kind": MaskKind.WITHHOLD,
    "resident_state": MaskKind.PRESENT,
    "relationship": MaskKind.WITHHOLD,
    "address": MaskKind.TOWN_ONLY,
    "became_resident_on": MaskKind.BIRTH_YEAR,
}
"""A mask on every item that may have one, each kind of mask among them: not on the household, by
which a protection finds rows."""


def measure(catalog: Catalog, step: Callable[[str], None]) -> Mapping[str, float]:
    """``policy_masked_over_plain``, and what each mask takes of a column of 10,000 values."""
    keep_freed()  # as every process of the product does
    stream = catalog.stream("resident")
    step("making events")
    rows = resident_rows(catalog, BATCH * BATCHES)
    payloads = [encode(stream.latest, batch) for batch in rows]
    views = {name: _view(catalog, stream, masks) for name, masks in _VIEWS.items()}
    work = {name: partial(_see_all, view, stream, payloads) for name, view in views.items()}

    step("plain and masked views, in turn")
    times: dict[str, list[float]] = {name: [] for name in work}
    for each in work.values():
        each()
    for _ in range(ROUNDS):
        for name, each in work.items():
            times[name].append(seconds(each))
    count = sum(len(batch) for batch in payloads)
    plain, masked = (median_rate(count, times[name]) for name in ("plain", "masked"))
    turns = zip(times["plain"], times["masked"], strict=True)

    step("each mask alone")
    alone = {
        f"policy_{kind.value}_ms": _alone(catalog, stream, kind, payloads[0]) for kind in MaskKind
    }
    return {
        "policy_masked_over_plain": statistics.median(a / b for a, b in turns),
        "policy_masked_events_per_s": masked,
        "policy_ceiling_plain_events_per_s": plain,
        "policy_masked_columns": float(sum(c.mask is not None for c in views["masked"].columns)),
        **alone,
    }


_VIEWS: Mapping[str, Mapping[str, MaskKind]] = {"plain": {}, "masked": MASKS}


def _view(catalog: Catalog, stream: Stream, masks: Mapping[str, MaskKind]) -> View:
    subscription = load_subscriptions(catalog)[SYSTEM]
    grant = subscription.streams[stream.name].model_copy(update={"masks": dict(masks)})
    streams = {**subscription.streams, stream.name: grant}
    changed = subscription.model_copy(update={"streams": streams})
    return compile_view(changed, stream, date.today(), KEY)  # noqa: DTZ011 - expiry is a local date


def _see(view: View, records: pa.RecordBatch, protected: pa.BooleanArray) -> None:
    offsets = pa.array(range(records.num_rows), pa.int64())
    project(view, records, protected=protected, partition=0, offsets=offsets)


def _see_all(view: View, stream: Stream, payloads: Sequence[Sequence[bytes]]) -> None:
    for batch in payloads:
        _see(view, decode(stream.latest, batch), _nobody(len(batch)))


def _nobody(rows: int) -> pa.BooleanArray:
    return pa.array([False] * rows, pa.bool_())


def _alone(catalog: Catalog, stream: Stream, kind: MaskKind, payloads: Sequence[bytes]) -> float:
    """Milliseconds that a mask adds to the view of a decoded batch, per column that it changes."""
    path = next(path for path, mask in MASKS.items() if mask is kind)
    records, nobody = decode(stream.latest, payloads), _nobody(len(payloads))
    plain, masked = _view(catalog, stream, {}), _view(catalog, stream, {path: kind})
    added = []
    for _ in range(ROUNDS * 5):
        without = seconds(lambda: _see(plain, records, nobody))
        added.append(seconds(lambda: _see(masked, records, nobody)) - without)
    columns = len(effect(kind, path, leaves_of(arrow_schema(stream.latest))) or ())
    return max(statistics.median(added), 0.0) * 1_000 / columns


async def measure_fence(settings: Settings, step: Callable[[str], None]) -> Mapping[str, float]:
    """``policy_fence_changed_ms``: what a start of protection adds to the batch that meets it.

    What is asked of the broker, whether anything is new, is in both and measured beside them.

    Beside the households of a city; see :mod:`bus.bench.coverage`. On the real log; the topics
    ``linkage.protection`` and ``linkage.household`` must be empty.
    """
    catalog = app.configured.catalog(settings)
    resident, protection = catalog.stream("resident"), catalog.stream("protection")
    step("making events")
    (rows,) = resident_rows(catalog, BATCH)
    payloads, view = encode(resident.latest, rows), _view(catalog, resident, {})
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(app.clients.registry(settings))
        broker = await stack.enter_async_context(app.clients.broker(settings))
        readers = {name: Reader(catalog.stream(name), catalog, known) for name in RESTS_ON}
        fence = Fence(broker, catalog.streams, readers)
        producer = broker.producer()
        await producer.start()
        stack.push_async_callback(producer.close)
        starts = _Starts(
            producer,
            protection,
            await known.id_of(protection.latest),
            (await broker.partitions([protection.topic]))[protection.topic],
            catalog.folder,
            pc.struct_field(rows.column("header"), "municipality_code")[0].as_py(),
        )
        subjects = pc.struct_field(rows.column("header"), "subject_id").to_pylist()
        step("appending a city's households")
        header = rows.column("header")[0]
        await coverage.fill(broker, known, catalog.stream("household"), header, subjects)
        started = await asyncio.to_thread(coverage.start, settings, step)
        await starts.send(subjects[:PROTECTED])
        await fence.start()
        stack.push_async_callback(fence.close)

        async def batch(*, is_fenced: bool) -> tuple[float, float]:
            """How long one batch takes, and how much of that the fence does; as in a lane."""
            begin = perf_counter()
            asked = fence.ask() if is_fenced else None
            records = await asyncio.to_thread(decode, resident.latest, payloads)
            decoded = perf_counter()
            if is_fenced:
                await fence.catch_up(asked)
            located = view.located
            protected = fence.protected(records, located) if is_fenced else _nobody(len(payloads))
            answered = perf_counter()
            _see(view, records, protected)
            return (perf_counter() - begin) * 1_000, (answered - decoded) * 1_000

        step("batches without the fence, with it, and after a protection has started")
        bare, idle, changed, asking = [], [], [], []
        for number in range(FENCED_ROUNDS):
            bare.append(await batch(is_fenced=False))
            idle.append(await batch(is_fenced=True))
            await starts.send([subjects[PROTECTED + number]])
            changed.append(await batch(is_fenced=True))
            begin = perf_counter()
            await fence.catch_up()  # nothing is new: one question to the broker
            asking.append((perf_counter() - begin) * 1_000)
    added = [after - before for (_, after), (_, before) in zip(changed, idle, strict=True)]
    over = [with_it / without for (with_it, _), (without, _) in zip(idle, bare, strict=True)]
    return {
        **started,
        "policy_fence_changed_ms": statistics.median(added),
        "policy_fence_idle_ms": statistics.median(fenced for _, fenced in idle),
        "policy_fence_idle_over_bare": statistics.median(over),
        "policy_ceiling_bare_batch_ms": statistics.median(whole for whole, _ in bare),
        "policy_ceiling_asking_ms": statistics.median(asking),
    }


class _Starts:
    """Appends starts of protection."""

    def __init__(
        self,
        producer: Producer,
        stream: Stream,
        schema_id: int,
        partitions: int,
        folder: Path,
        municipality: str,
    ) -> None:
        self._producer = producer
        self._stream = stream
        self._schema_id = schema_id
        self._partitions = partitions
        self._record = _example(stream.latest, folder)
        self._header = {**self._record["header"], "municipality_code": municipality}

    async def send(self, subjects: Sequence[str]) -> None:
        messages = []
        for subject in subjects:
            header = {**self._header, "subject_id": subject, "event_id": str(uuid.uuid4())}
            key = event_key(str(header["municipality_code"]), subject).encode()
            value = encode_one(self._stream.latest, {**self._record, "header": header})
            (framed,) = frame(self._schema_id, [value])
            (partition,) = partition_of([key], self._partitions)
            messages.append(Message(self._stream.topic, partition, key, framed))
        await self._producer.send(messages)


def _example(version: SchemaVersion, folder: Path) -> dict[str, Any]:
    """The record of a valid example."""
    examples = sorted((folder / "streams" / version.stream / "examples" / "valid").glob("*.json"))
    for path in examples:
        record, faults = from_json(version, json.loads(path.read_text(encoding="utf-8")))
        if not faults and record.get("status") == "ACTIVE":
            return record
    raise AssertionError("no example of a protection in force")
