"""avro-python3: an independent third reader, used by ``renkei schemas check`` and the tests only.

It knows no logical types in what it reads, so dates and times are put back here. The library is
an option (``renkei[checks]``); importing this module without it is an ``ImportError``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import avro.io
import avro.schema

from bus.catalog.assemble import named_types
from bus.model import SchemaVersion

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_one(version: SchemaVersion, payload: bytes) -> dict[str, Any]:
    """The record in *payload* (Avro binary, no frame), with dates and times as Python has them.

    Raises whatever the library raises.
    """
    decoder = avro.io.BinaryDecoder(io.BytesIO(payload))
    found = avro.io.DatumReader(_parsed(version.text)).read(decoder)
    result = _logical(version.schema, found, dict(named_types(version.schema)))
    assert isinstance(result, dict)  # the schema is a record's
    return result


@cache
def _parsed(text: str) -> Any:
    return avro.schema.parse(text)


def _logical(declared: Any, value: Any, types: Mapping[str, Any]) -> Any:
    if value is None:
        return None
    if isinstance(declared, list):
        declared = next(arm for arm in declared if arm != "null")
    schema = types.get(declared, declared) if isinstance(declared, str) else declared
    if isinstance(schema, str):
        return value
    if schema["type"] == "record":
        fields = {entry["name"]: entry["type"] for entry in schema["fields"]}
        return {name: _logical(fields[name], inner, types) for name, inner in value.items()}
    if schema["type"] == "array":
        return [_logical(schema["items"], inner, types) for inner in value]
    match schema.get("logicalType"):
        case "date":
            return date(1970, 1, 1) + timedelta(days=value)
        case "timestamp-millis":
            return _EPOCH + timedelta(milliseconds=value)
        case "timestamp-micros":
            return _EPOCH + timedelta(microseconds=value)
    return value
