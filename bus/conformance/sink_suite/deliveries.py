"""Views, rows and deliveries for the suite, and for a connector's own tests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

import pyarrow as pa

from bus.connect import Sink
from bus.model import (
    PROTECTION,
    Delivery,
    Erasures,
    Keeping,
    Position,
    Protected,
    ProtectionChange,
    Reached,
    Receipt,
    Rewrites,
    Sensitivity,
    Step,
    Suppression,
    Upserts,
    View,
    ViewColumn,
    content_of,
    multirange,
)

Row = dict[str, Any]
S = TypeVar("S", bound=Sink)

CITY = "011002"
TOPIC_PREFIX = "linkage."
NOON = datetime(2026, 4, 1, 3, 0, 0, 123456, tzinfo=UTC)
TEXTS = pa.list_(pa.string())

_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("municipality_code", pa.string()),
    ("subject_id", pa.string()),
    ("version", pa.int32()),
    ("event_id", pa.string()),
    ("event_type", pa.string()),
    ("processed_at", pa.timestamp("us", tz="UTC")),
    ("name", pa.string()),
    ("birth_date", pa.date32()),
    ("birth_date_unknown", pa.bool_()),
    ("birth_date_text", pa.string()),
    ("income", pa.int64()),
    ("share", pa.float64()),
    ("members_subject_id", TEXTS),
)
_REQUIRED = {"municipality_code", "subject_id", "version", "event_id", "event_type"}
_LOG = (("log_partition", pa.int32()), ("log_offset", pa.int64()))


def view_of(
    stream: str = "resident",
    keeping: Keeping = Keeping.STATE,
    extra: Sequence[tuple[str, pa.DataType]] = (),
    *,
    locations: Sequence[str] = (),
    suppression: Suppression = Suppression.WITHHOLD,
    event_types: Sequence[str] = (),
    edition: int = 0,
) -> View:
    """A view with every type that views have, and *extra* columns at its end."""
    log = _LOG if keeping is Keeping.HISTORY else ()
    columns = tuple(
        ViewColumn(
            name=name,
            path=name,
            type=kind,
            sensitivity=Sensitivity.LOCATION if name in locations else Sensitivity.PERSONAL,
            is_nullable=name not in _REQUIRED | dict(_LOG).keys(),
        )
        for name, kind in (*_COLUMNS, *log, *extra)
    )
    return View(
        system="child_allowance",
        stream=stream,
        keeping=keeping,
        columns=columns,
        event_types=frozenset(event_types),
        suppression=suppression,
        fingerprint=sha256(repr((extra, locations, suppression, event_types)).encode()).hexdigest(),
        edition=edition,
    )


def person(subject_id: str, version: int = 1, **values: object) -> Row:
    """A row of :func:`view_of`; columns that are not given are null."""
    row = {
        "municipality_code": CITY,
        "subject_id": subject_id,
        "version": version,
        "event_id": f"{subject_id}-{version}",
        "event_type": "resident.moved_in",
        "processed_at": NOON,
    }
    return row | values


def batch_of(
    view: View,
    rows: Sequence[Row] = (),
    *,
    start: int = 0,
    end: int | None = None,
    partition: int = 0,
    cluster_id: str = "test-cluster",
    previous: str = "0" * 64,
) -> Upserts:
    """Rows of *view* as Upserts from offset *start* on, one offset per row."""
    end = start + len(rows) if end is None else end
    if view.keeping is Keeping.HISTORY:
        rows = [
            {"log_partition": partition, "log_offset": start + at} | row
            for at, row in enumerate(rows)
        ]
    columns = [pa.array([row.get(f.name) for row in rows], type=f.type) for f in view.schema]
    position = Position(
        cluster_id=cluster_id,
        topic=TOPIC_PREFIX + view.stream,
        partition=partition,
        offset=end,
        last_event_id=str(rows[-1]["event_id"]) if rows else None,
    )
    step = _step(view, start, position, rows=len(rows), previous=previous)
    return Upserts(step=step, records=pa.RecordBatch.from_arrays(columns, schema=view.schema))


def erasure_of(view: View, keys: Sequence[str], *, start: int, end: int | None = None) -> Erasures:
    """Erasures of subjects of *view*, one offset per key."""
    end = start + len(keys) if end is None else end
    position = Position(
        cluster_id="test-cluster", topic=TOPIC_PREFIX + view.stream, partition=0, offset=end
    )
    return Erasures(step=_step(view, start, position), keys=tuple(keys))


def _step(
    view: View, start: int, end: Position, *, rows: int = 0, previous: str = "0" * 64
) -> Step:
    return Step(
        view=view,
        partition=end.partition,
        start=start,
        end=end,
        receipt=Receipt(
            system=view.system,
            stream=view.stream,
            partition=end.partition,
            start=start,
            end=end.offset,
            delivered=multirange(range(start, start + rows)),
            view=view.fingerprint,
            rows=rows,
            digest=f"{start:064d}",
            previous=previous,
        ),
    )


def rewrites_of(batch: Upserts, *keys: str, masked_under: Reached | None = None) -> Rewrites:
    """The rows of *batch* as Rewrites of the rows that the store has of *keys*."""
    return Rewrites(step=batch.step, keys=keys, records=batch.records, masked_under=masked_under)


def rows_of(delivery: Delivery) -> list[Row]:
    """The rows that a delivery brings to the table of its view."""
    content = content_of(delivery)
    return [] if isinstance(content, Erasures) else content.records.to_pylist()


def fenced_view(
    stream: str = "light_vehicle_tax.vehicle", suppression: Suppression = Suppression.WITHHOLD
) -> View:
    """A view with the flag, two locations, and the persons and households they belong to."""
    extra = (
        ("protected", pa.bool_(), Sensitivity.PERSONAL, "protected"),
        ("kept_at_lot", pa.string(), Sensitivity.LOCATION, "kept_at.lot"),
        ("kept_at_code", pa.int32(), Sensitivity.LOCATION, "kept_at.code"),
        ("owner_id", pa.string(), Sensitivity.PERSONAL, "owner_id"),
        ("co_owners_id", TEXTS, Sensitivity.PERSONAL, "co_owners.id"),
        ("household_number", pa.string(), Sensitivity.PERSONAL, "household_number"),
    )
    columns = tuple(ViewColumn(n, path, kind, said) for n, kind, said, path in extra)
    return replace(
        view_of(stream),
        columns=(*view_of(stream).columns, *columns),
        suppression=suppression,
        located=("owner_id", "co_owners.id"),
    )


def vehicle(subject_id: str, version: int = 1, **values: object) -> Row:
    """A row of :func:`fenced_view` of persons who are not under protection."""
    row = {"protected": False, "kept_at_lot": "１番２号", "kept_at_code": 7, "owner_id": "o"}
    return person(subject_id, version, **(row | values))


def known_to(offset: int, partition: int = 0) -> dict[str, int]:
    """Coverage known up to an offset, of one partition of the protection stream."""
    return {f"{PROTECTION}/{partition}": offset}


def protection_of(
    *persons: str,
    start: int = 0,
    partition: int = 0,
    households: Sequence[str] = (),
    as_of: Reached | None = None,
) -> ProtectionChange:
    """Rows of the protection stream, after which *persons* are covered, as of their end if no
    more is said."""
    batch = batch_of(
        view_of("protection"), [person("p", start + 1)], start=start, partition=partition
    )
    protected = Protected(
        frozenset(f"{CITY}/{one}" for one in persons),
        frozenset(f"{CITY}/{one}" for one in households),
        as_of=known_to(start + 1, partition) if as_of is None else as_of,
    )
    return ProtectionChange(protected=protected, brought_by=batch)


@contextlib.asynccontextmanager
async def opened(sink: S, view: View) -> AsyncIterator[S]:
    """*sink*, opened; it is closed when the block ends."""
    try:
        await sink.open(view)
        yield sink
    finally:
        await sink.close()


def assert_no_value(error: BaseException, *values: str) -> None:
    """Check that no text of *error* or its causes, which may be logged, holds one of *values*."""
    seen: BaseException | None = error
    while seen is not None:
        for value in values:
            assert value not in str(seen)
            assert value not in repr(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
