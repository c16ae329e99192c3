"""Check that three readers of Avro agree on a schema and on events of it.

The catalogue's loader refuses what a codec is known not to do; this finds what nobody knew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bus.catalog.columns import decode, encode
from bus.catalog.single import decode_one, encode_one
from bus.errors import EventInvalid
from bus.model import SchemaVersion

OneReader = Callable[[SchemaVersion, bytes], Any]


def disagreements(
    version: SchemaVersion, values: Sequence[dict[str, Any]], third: OneReader | None
) -> list[str]:
    """What each reader reads (or writes) otherwise than fastavro does; empty if all agree.

    Args:
        version: The schema.
        values: Events that fit it.
        third: A further reader, or None where there is none.
    """
    payloads = [encode_one(version, value) for value in values]
    expected = [decode_one(version, payload) for payload in payloads]
    found: list[str] = []
    try:
        records = decode(version, payloads)
        if records.to_pylist() != expected:
            found.append("pyruhvro reads other values than fastavro")
        if encode(version, records) != payloads:
            found.append("pyruhvro writes other bytes than fastavro")
    except EventInvalid:
        found.append("pyruhvro refuses what fastavro wrote")
    if third is not None and [third(version, payload) for payload in payloads] != expected:
        found.append("the third reader reads other values than fastavro")
    return found


def older(version: SchemaVersion, value: dict[str, Any]) -> dict[str, Any]:
    """*value* without the fields that *version* does not have yet."""
    names = {entry["name"] for entry in version.schema["fields"]}
    return {name: content for name, content in value.items() if name in names}
