"""Measure decoding and viewing resident events on one core, against fastavro and a Python loop."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.bench.figures import median_rate, seconds
from bus.bench.rows import resident_rows
from bus.catalog import Catalog
from bus.catalog.columns import decode, encode
from bus.catalog.memory import keep_freed
from bus.catalog.single import decode_one
from bus.model import Protected, Stream, View
from bus.policy import Search, compile_view, load_subscriptions, project

SYSTEM = "child_allowance"
BATCH = 10_000
BATCHES = 10
ROUNDS = 7
LOOP_EVENTS = 5_000  # the row-wise way is slow: fewer events say as much
PROTECTED_KEYS = 500


def measure(catalog: Catalog, step: Callable[[str], None]) -> Mapping[str, float]:
    """``view_events_per_s``, ``view_over_fastavro`` and the figures that they are made of."""
    keep_freed()  # as every process of the product does
    stream = catalog.stream("resident")
    step("making events")
    rows = resident_rows(catalog, BATCH * BATCHES)
    payloads = [encode(stream.latest, batch) for batch in rows]
    view = _view(catalog, stream)
    held = _some_keys(rows[0])
    search = Search(Protected(persons=held))

    def view_all() -> None:
        for number, batch in enumerate(payloads):
            records = decode(stream.latest, batch)
            offsets = pa.array(range(number * BATCH, number * BATCH + len(batch)), pa.int64())
            project(
                view,
                records,
                protected=search.rows(records, stream.located),
                partition=0,
                offsets=offsets,
            )

    def decode_all() -> None:
        for batch in payloads:
            decode(stream.latest, batch)

    step("decoding and viewing columns")
    view_all()
    view_times, decode_times = [], []
    for _ in range(ROUNDS):
        view_times.append(seconds(view_all))
        decode_times.append(seconds(decode_all))
    count = sum(len(batch) for batch in payloads)
    rate = median_rate(count, view_times)

    step("the same, row by row")
    few = payloads[0][:LOOP_EVENTS]
    times = [seconds(lambda: _row_by_row(stream, view, few, held)) for _ in range(3)]
    row_rate = len(few) / statistics.median(times)
    return {
        "view_events_per_s": rate,
        "view_over_fastavro": rate / row_rate,
        "view_columns": float(len(view.columns)),
        "decode_events_per_s": median_rate(count, decode_times),
        "fastavro_events_per_s": row_rate,
        "event_bytes": sum(map(len, payloads[0])) / len(payloads[0]),
    }


def _view(catalog: Catalog, stream: Stream) -> View:
    """A view like most systems have: some forty columns, locations withheld."""
    subscription = load_subscriptions(catalog)[SYSTEM]
    return compile_view(subscription, stream, date.today())  # noqa: DTZ011 - expiry is a local date


def _some_keys(rows: pa.RecordBatch) -> frozenset[str]:
    """Keys of some residents, as if they were under protection."""
    header = rows.column("header")
    codes = pc.struct_field(header, "municipality_code").to_pylist()
    subjects = pc.struct_field(header, "subject_id").to_pylist()
    picked = range(0, rows.num_rows, max(1, rows.num_rows // PROTECTED_KEYS))
    return frozenset(f"{codes[i]}/{subjects[i]}" for i in picked)


def _row_by_row(
    stream: Stream, view: View, payloads: Sequence[bytes], protected: frozenset[str]
) -> list[dict[str, Any]]:
    """The same rows, made with fastavro and a Python loop."""
    plan = [(c.name, c.path.split("."), c.sensitivity.value == "location") for c in view.columns]
    wanted = view.event_types
    result = []
    for payload in payloads:
        record = decode_one(stream.latest, payload)
        header = record["header"]
        if wanted and header["event_type"] not in wanted:
            continue
        key = f"{header['municipality_code']}/{header['subject_id']}"
        hidden = record["protected"] or key in protected
        row = {}
        for name, path, is_location in plan:
            value: Any = record
            for part in path:
                value = value[part] if value is not None else None
            row[name] = None if is_location and hidden else value
        row["protected"] = hidden
        result.append(row)
    return result
