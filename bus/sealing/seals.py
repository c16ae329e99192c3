"""Seal and open items in rows and columns of a stream, with keys that may change meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from bus.errors import BusError, LaneError
from bus.model import Stream, event_key
from bus.sealing.keys import Keys
from bus.sealing.ring import KeyRing
from bus.sealing.texts import belongings, key_id_of, seal, unseal, unseal_to_the_stop

_log = structlog.get_logger("renkei.sealing")
Column = Any  # pyarrow's stubs know arrays by more types than they share


class Seals(Keys):
    """Seals and opens with the keys of a process; one per process."""

    settings = ("seal_keys_file", "seal_keys_command")

    def _say_unread(self, error: BusError) -> None:
        _log.error("seal-keys-not-reread", code=error.code, reason=error.message)


def key_ids(texts: Column) -> set[str]:
    """The ids of the keys in sealed texts."""
    found = {key_id_of(text) for text in texts.to_pylist() if text is not None}
    return {key_id for key_id in found if key_id is not None}


def seal_columns(stream: Stream, records: pa.RecordBatch, ring: KeyRing) -> pa.RecordBatch:
    """*records*, with every item sealed that the stream says must be."""
    keys, events = _identities(records.column("header"))
    for path in stream.sealed:
        at = records.schema.get_field_index(path)
        column = records.column(at)
        sealed = seal(column.to_pylist(), belongings(stream.name, path, keys, events), ring.current)
        records = records.set_column(at, records.schema.field(at), pa.array(sealed, column.type))
    return records


def seal_rows(
    stream: Stream, rows: Sequence[Mapping[str, Any]], ring: KeyRing
) -> list[dict[str, Any]]:
    """As :func:`seal_columns`, for records as dictionaries; the rows given are not changed."""
    headers = [row["header"] for row in rows]
    keys = [event_key(header["municipality_code"], header["subject_id"]) for header in headers]
    events = [header["event_id"] for header in headers]
    made = [dict(row) for row in rows]
    for path in stream.sealed:
        values = [row[path] for row in rows]
        sealed = seal(values, belongings(stream.name, path, keys, events), ring.current)
        for row, text in zip(made, sealed, strict=True):
            row[path] = text
    return made


def unseal_column(stream: str, path: str, texts: Column, header: Column, ring: KeyRing) -> Column:
    """What the sealed *texts* of an item hold; *header* is of the same records.

    Raises:
        SealKeyUnknown, SealBroken: As :func:`bus.sealing.texts.unseal`.
    """
    belong = belongings(stream, path, *_identities(header))
    return pa.array(unseal(texts.to_pylist(), belong, ring), pa.string())


def unseal_column_to_the_stop(
    stream: str, path: str, texts: Column, header: Column, ring: KeyRing
) -> tuple[Column, tuple[int, LaneError] | None]:
    """As :func:`unseal_column`; the first text that cannot be opened is a value: where, and why."""
    belong = belongings(stream, path, *_identities(header))
    values, stop = unseal_to_the_stop(texts.to_pylist(), belong, ring)
    return pa.array(values, pa.string()), stop


def _identities(header: Column) -> tuple[list[str], list[str]]:
    """The Kafka key and event id of each record, from its header."""
    codes = pc.struct_field(header, "municipality_code")
    keys = pc.binary_join_element_wise(codes, pc.struct_field(header, "subject_id"), "/")
    return keys.to_pylist(), pc.struct_field(header, "event_id").to_pylist()
