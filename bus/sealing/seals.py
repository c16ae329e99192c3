"""Sealing and opening for rows and columns of a stream, with keys that may change meanwhile.

Keys are read when they are first needed, and again where the source says that they may have
changed or a text names one that is not known. A ring that cannot be read anew (its file is
being written, its command does not answer) does not take away the keys that are known: they go on
being used, and it is said. So a key is added, and an old one retired, without a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from bus.errors import BusError, KeysUnusable
from bus.model import Stream, event_key
from bus.sealing.ring import KeyRing
from bus.sealing.source import KeySource
from bus.sealing.texts import belongings, key_id_of, seal, unseal

Column = Any  # pyarrow's stubs know arrays by more types than they share
_log = structlog.get_logger("renkei.sealing")


class Seals:
    """One per process: where its keys come from, and the ring as it was last read.

    Args:
        source: None: there are no keys; whoever needs one is refused.
    """

    def __init__(self, source: KeySource | None = None) -> None:
        self._source = source
        self._ring: KeyRing | None = None
        self._reading = asyncio.Lock()

    @property
    def has_source(self) -> bool:
        """Whether keys come from somewhere."""
        return self._source is not None

    async def ring(self, needed: Collection[str] = ()) -> KeyRing:
        """The keys as they are now, read anew if one of *needed* is not known.

        Raises:
            KeysUnusable: There are none, or they are not in order.
            KeysUnavailable: Whoever has them does not answer.
        """
        source = self._source
        if source is None:
            raise KeysUnusable("set RENKEI_SEAL_KEYS_FILE or RENKEI_SEAL_KEYS_COMMAND")
        async with self._reading:
            is_lacking = self._ring is None or not self._ring.keys.keys() >= set(needed)
            if is_lacking or source.has_changed():
                try:
                    self._ring = KeyRing.parse(await source.read())
                except BusError as error:
                    if self._ring is None or is_lacking:
                        raise
                    _log.error("seal-keys-not-reread", code=error.code, reason=error.message)
            assert self._ring is not None  # it was read, or was there
            return self._ring


def key_ids(texts: Column) -> set[str]:
    """The keys that sealed texts name."""
    found = {key_id_of(text) for text in texts.to_pylist() if text is not None}
    return {key_id for key_id in found if key_id is not None}


def seal_columns(stream: Stream, records: pa.RecordBatch, ring: KeyRing) -> pa.RecordBatch:
    """*records* in the stream's own columns, with what it says must be sealed sealed."""
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
    """:func:`seal_columns` for records that are no columns; the rows given stay as they are."""
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


def _identities(header: Column) -> tuple[list[str], list[str]]:
    """Key and event id of each record, as its header has them."""
    codes = pc.struct_field(header, "municipality_code")
    keys = pc.binary_join_element_wise(codes, pc.struct_field(header, "subject_id"), "/")
    return keys.to_pylist(), pc.struct_field(header, "event_id").to_pylist()
