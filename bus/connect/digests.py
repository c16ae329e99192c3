"""Digests of rows that two who hold the same rows say alike, without showing a value.

A row's digest is of every column of its view, each written in one way: a length and the text of the
value, a bar where there is none. A bucket's is how many rows it has and the sum of their digests,
so that their order says nothing. Which bucket a row is in hangs on its subject alone: whatever
becomes of the row, it is looked for in the same place.

A store may say the same in its own words (``connectors/postgres/contents.py``); the conformance
suite holds it to this page.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pyarrow as pa

BUCKET_OCTETS = 4  # of the digest of a subject, by which its bucket is found
ROW_BITS = 60  # of the digest of a row, which are summed up
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bucket_of(key: str, buckets: int) -> int:
    """Where the rows of the subject *key* (``<municipality_code>/<subject_id>``) are."""
    return int.from_bytes(sha256(key.encode()).digest()[:BUCKET_OCTETS]) % buckets


def digests_of(records: pa.RecordBatch, buckets: int) -> Mapping[int, str]:
    """The digest of each bucket that has rows of *records*, which are in their view's schema."""
    found: dict[int, tuple[int, int]] = {}
    codes = records.column("municipality_code").to_pylist()
    subjects = records.column("subject_id").to_pylist()
    columns = [column.to_pylist() for column in records.columns]
    for code, subject, *row in zip(codes, subjects, *columns, strict=True):
        bucket = bucket_of(f"{code}/{subject}", buckets)
        count, total = found.get(bucket, (0, 0))
        found[bucket] = (count + 1, total + _digest("".join(map(_piece, row))))
    return {bucket: f"{count}:{total}" for bucket, (count, total) in found.items()}


def _digest(said: str) -> int:
    return int.from_bytes(sha256(said.encode()).digest()[:8]) >> (64 - ROW_BITS)


def _piece(value: Any) -> str:
    if value is None:
        return "-"
    said = _said(value)
    return f"{len(said)}:{said}"


def _said(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return struct.pack(">d", value).hex()
        case datetime():
            return str((value - _EPOCH) // timedelta(microseconds=1))
        case date():
            return str((value - _EPOCH.date()).days)
        case list():
            return "".join(map(_piece, value))
        case _:
            return str(value)
