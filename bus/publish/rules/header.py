"""Rules between the items of the header: they hold for every stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from bus.model import Nature, Severity
from bus.publish.finding import Finding, Records
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import one_of

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a publisher's clock may run ahead unmentioned."""
CLOCK_LIMIT = timedelta(hours=24)
"""How far it may run ahead at all; between the two it is a warning: nothing is ordered by it."""

_EARLIEST_PROCESSING = datetime(1950, 1, 1)  # noqa: DTZ001 - compared as UTC


def place_in_change(records: Records, _now: datetime) -> Iterator[Finding]:
    """A record's index lies within the size of its change."""
    index, size = (records.column(f"header.change_{name}") for name in ("index", "size"))
    beyond = pc.greater_equal(index, size)
    yield from records.find(
        beyond, "change-index", "an index below change_size", "header.change_index"
    )


def processing_time(records: Records, now: datetime) -> Iterator[Finding]:
    """処理日時 is the system's own clock: it may be wrong, but not absurd.

    A clock an hour ahead is reported and passes: it must not stop a municipality, and order
    hangs on versions. A clock behind cannot be told from a change that waited.
    """
    at, path = records.column("header.processed_at"), "header.processed_at"
    latest = pc.max(at).value
    if latest is not None and latest > _micros(now + CLOCK_TOLERANCE):
        ahead = pc.greater(at, _moment(now + CLOCK_TOLERANCE, at.type))
        absurd = pc.greater(at, _moment(now + CLOCK_LIMIT, at.type))
        doubtful = pc.and_not(ahead, absurd)
        expected = "no time ahead of the bus's clock"
        yield from records.find(doubtful, "clock-ahead", expected, path, Severity.WARNING)
        yield from records.find(absurd, "processed-at", "a time that is not in the future", path)
    early = pc.less(at, pa.scalar(_EARLIEST_PROCESSING, pa.timestamp("us")).cast(at.type))
    yield from records.find(early, "processed-at", "a time since 1950", path)


def time_of_change_id(records: Records, now: datetime) -> Iterator[Finding]:
    """A change id is a UUIDv7 and so begins with a time, no later than 処理日時 may be.

    As text, which sorts as the time does. One that was made of a 処理日時 that is refused itself is
    not spoken of.
    """
    ids, at = records.column("header.change_id"), records.column("header.processed_at")
    latest = round((now + CLOCK_LIMIT).timestamp() * 1000).to_bytes(6, "big").hex()
    ahead = pc.greater(pc.utf8_slice_codeunits(ids, 0, 13), f"{latest[:8]}-{latest[8:]}")
    ahead = pc.and_not(ahead, pc.greater(at, _moment(now + CLOCK_LIMIT, at.type)))
    expected = "a UUIDv7 whose time is not in the future"
    yield from records.find(ahead, "change-id", expected, "header.change_id")


def reference_to_earlier_event(records: Records, _now: datetime) -> Iterator[Finding]:
    """What corrects or cancels says which event; nothing else does."""
    cancels, path = records.column("header.cancels"), "header.cancels"
    refers = one_of(records.column("header.nature"), Nature.CORRECTION, Nature.CANCELLATION)
    absent = pc.and_(refers, pc.is_null(cancels))
    expected = "the id of the event that is corrected or cancelled"
    yield from records.find(absent, "cancels", expected, path)
    surplus = pc.and_not(pc.is_valid(cancels), refers)
    expected = "nothing where no event is corrected or cancelled"
    yield from records.find(surplus, "cancels", expected, path)
    itself = pc.equal(cancels, records.column("header.event_id"))
    yield from records.find(itself, "cancels", "the id of an earlier event", path)


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def _moment(at: datetime, type_: pa.DataType) -> Any:
    return pa.scalar(_micros(at), pa.int64()).cast(pa.timestamp("us")).cast(type_)
