"""Say what a table holds, for comparing: a digest per bucket in one statement, and rows by subject.

The digests are those of :mod:`bus.connect.digests`, computed by the server: one reading of the
table, and nothing of a person leaves it. A column that is wider than its view's is read as the
view has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import psycopg
import pyarrow as pa

from bus.connect.digests import BUCKET_OCTETS, ROW_BITS
from bus.model import Keeping, View
from connectors.postgres.statements import Names, identifier, type_of

Connection = psycopg.Connection[Any]

_NUMBER = "trim_scale(({0})::numeric)::text"
_SAID = {
    "text": "({0})::text",
    "integer": _NUMBER,
    "bigint": _NUMBER,
    "boolean": "({0})::text",
    "double precision": "encode(float8send(({0})::double precision), 'hex')",
    "date": "(({0}) - DATE '1970-01-01')::text",
    "timestamp with time zone": "trim_scale(extract(epoch FROM {0}) * 1000000)::text",
}
"""How a value is written, by the type that holds it."""


def digests(connection: Connection, names: Names, view: View, buckets: int) -> Mapping[int, str]:
    """The digest of each bucket that has rows."""
    asked = _digests(names, view)
    found = connection.execute(asked.encode(), (buckets,)).fetchall()
    return {bucket: f"{count}:{total}" for bucket, count, total in found}


def rows(connection: Connection, names: Names, view: View, keys: Collection[str]) -> pa.RecordBatch:
    """The rows of some subjects, in the order of the view's key."""
    parted = [key.partition("/") for key in sorted(set(keys))]
    codes, subjects = [code for code, _, _ in parted], [subject for _, _, subject in parted]
    found = connection.execute(_rows(names, view).encode(), (codes, subjects)).fetchall()
    columns = list(zip(*found, strict=True)) or [()] * len(view.columns)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, of.type) for values, of in zip(columns, view.schema, strict=True)],
        schema=view.schema,
    )


def _digests(names: Names, view: View) -> str:
    row = " || ".join(
        _piece(f"held.{identifier(column.name)}", type_of(column)) for column in view.columns
    )
    bucket = _bits("held.municipality_code || '/' || held.subject_id", BUCKET_OCTETS * 8)
    return (
        f"SELECT bucket::integer, count(*), sum(said) FROM (SELECT {bucket} % $1 AS bucket,"
        f" {_bits(row, ROW_BITS)} AS said FROM {names.table} AS held) AS rows GROUP BY bucket"
    )


def _rows(names: Names, view: View) -> str:
    shown = ", ".join(
        f"(held.{identifier(column.name)})::{type_of(column)}" for column in view.columns
    )
    order = 'held.municipality_code COLLATE "C", held.subject_id COLLATE "C"'
    if view.keeping is Keeping.HISTORY:
        order += ", held.log_partition, held.log_offset"
    return (
        f"SELECT {shown} FROM unnest($1::text[], $2::text[]) AS asked (code, subject)"
        f" JOIN {names.table} AS held ON held.municipality_code = asked.code"
        f" AND held.subject_id = asked.subject ORDER BY {order}"
    )


def _bits(said: str, count: int) -> str:
    """The first so many bits of the digest of a text, as a number."""
    digest = f"encode(sha256(convert_to({said}, 'UTF8')), 'hex')"
    return f"('x' || left({digest}, {count // 4}))::bit({count})::bigint"


def _piece(value: str, kind: str) -> str:
    """A value with its length; a bar where there is none."""
    if not kind.endswith("[]"):
        said = _SAID[kind].format(value)
        return f"coalesce(length({said}) || ':' || {said}, '-')"
    item = _piece("item", kind.removesuffix("[]"))
    whole = (
        f"(SELECT coalesce(string_agg({item}, '' ORDER BY at), '')"
        f" FROM unnest({value}) WITH ORDINALITY AS list (item, at))"
    )
    return (
        f"CASE WHEN {value} IS NULL THEN '-'"
        f" ELSE (SELECT length(said) || ':' || said FROM {whole} AS whole (said)) END"
    )
