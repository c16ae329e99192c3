"""Encode and decode one event at a time with fastavro, the reference codec; identify schemas.

Slow and exact. Batches go through :mod:`bus.catalog.columns`, which a property-based test
holds against this module.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form

from bus.errors import EventInvalid, SchemaUnknown
from bus.model import SchemaVersion


def canonical(text: str) -> str:
    """The Parsing Canonical Form of a schema given as JSON text.

    Raises:
        SchemaUnknown: The text is no Avro schema.

    Source: Avro specification 1.12, "Parsing Canonical Form for Schemas".
    """
    try:
        return str(to_parsing_canonical_form(json.loads(text)))
    except (SchemaParseException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SchemaUnknown("the registered text is no Avro schema") from error


def fingerprint_of(text: str) -> str:
    """SHA-256, in hex, of the schema's Parsing Canonical Form."""
    return str(fingerprint(canonical(text), "sha256"))


def units_of(text: str) -> tuple[str, ...]:
    """The logical types of a schema in the order of its text.

    The canonical form leaves them out; two schemas of one fingerprint that differ here read the
    same bytes as other dates or times.
    """

    def walk(schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for arm in schema:
                yield from walk(arm)
        elif isinstance(schema, dict):
            if "fields" in schema:
                for entry in schema["fields"]:
                    yield from walk(entry["type"])
                return
            for inner in ("type", "items"):
                yield from walk(schema.get(inner))
            if "logicalType" in schema:
                yield str(schema["logicalType"])

    return tuple(walk(json.loads(text)))


@cache
def _parsed(text: str) -> Any:
    return fastavro.parse_schema(json.loads(text))


def decode_one(version: SchemaVersion, payload: bytes) -> dict[str, Any]:
    """The record in *payload* (Avro binary, no frame), with dates and times as Python has them.

    More lenient than the columns in one thing: fastavro counts a negative branch or symbol from
    the end.

    Raises:
        EventInvalid: The payload is not exactly one record of this schema.
    """
    stream = io.BytesIO(payload)
    try:
        value = fastavro.schemaless_reader(stream, _parsed(version.text), None)
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError, TypeError) as error:
        raise _invalid(version) from without_value(error)
    if stream.tell() != len(payload) or not isinstance(value, dict):
        raise _invalid(version)
    return value


def encode_one(version: SchemaVersion, value: dict[str, Any]) -> bytes:
    """*value* as Avro binary, without a frame.

    Raises:
        EventInvalid: The value does not fit the schema.
    """
    stream = io.BytesIO()
    try:
        fastavro.schemaless_writer(stream, _parsed(version.text), value, strict=True)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _invalid(version) from without_value(error)
    return stream.getvalue()


def _invalid(version: SchemaVersion) -> EventInvalid:
    return EventInvalid(
        "the event does not fit its schema", stream=version.stream, version=version.version
    )


def without_value(error: Exception) -> ValueError:
    """A cause that names only the kind of *error*: a codec's own message may quote a value."""
    return ValueError(f"{type(error).__name__}, text withheld")
