"""The frame around each value in a topic, and the reader of framed values.

A value is 0x00, the schema's id as four bytes big-endian, and the record in Avro binary:
Confluent's wire format, which any Kafka client with its deserialiser reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa

from bus.catalog.columns import decode, resolve
from bus.catalog.load import Catalog
from bus.catalog.registry import SchemaIds
from bus.catalog.single import fingerprint_of, units_of
from bus.errors import EventInvalid, SchemaMismatch, SchemaUnknown
from bus.model import SchemaVersion, Stream

MAGIC = 0
FRAME_BYTES = 5
LARGE = 1_000  # values from which decoding leaves the event loop


def frame(schema_id: int, payloads: Sequence[bytes]) -> list[bytes]:
    """Each payload with the frame of *schema_id* before it."""
    prefix = frame_of(schema_id)
    return [prefix + payload for payload in payloads]


def frame_of(schema_id: int) -> bytes:
    """The five bytes that begin every value written with that schema."""
    return bytes([MAGIC]) + schema_id.to_bytes(4, "big")


def id_in(value: bytes) -> int:
    """The schema id that *value* names.

    Raises:
        EventInvalid: The value has no such frame.
    """
    if len(value) < FRAME_BYTES or value[0] != MAGIC:
        raise EventInvalid("the value has no frame with a schema id")
    return int.from_bytes(value[1:FRAME_BYTES], "big")


class Reader:
    """Reads one stream's framed values into batches; one per stream and process.

    What an id means is asked of the registry at its first sight and then known, so the registry
    may be away afterwards. An id must mean a version of this stream that the catalogue has: one
    that means another stream's schema stops the lane, one that nobody here knows is parked.
    """

    def __init__(self, stream: Stream, catalog: Catalog, registry: SchemaIds) -> None:
        self._stream = stream
        self._catalog = catalog
        self._registry = registry
        self._known: dict[bytes, SchemaVersion] = {}

    async def prime(self) -> None:
        """Learn the ids of this stream's registered versions before any event is seen.

        Raises:
            RegistryUnavailable: The registry does not answer; what was learnt stays.
        """
        for version in self._stream.versions:
            try:
                schema_id = await self._registry.id_of(version)
            except SchemaUnknown:
                continue  # not pushed: then nobody can have written with it
            self._known[frame_of(schema_id)] = version

    async def read(self, values: Sequence[bytes]) -> pa.RecordBatch:
        """One row per value, in order, in the columns of the stream's newest version.

        Versions may be mixed. The batch fails as a whole: the caller bisects.

        Raises:
            EventInvalid: A value has no frame or is not one record of the schema it names.
            SchemaUnknown: A value names a schema that the registry or the catalogue has not.
            SchemaMismatch: A value names another stream's schema.
            RegistryUnavailable: An id was seen for the first time, and the registry is away.
        """
        if not values:
            return decode(self._stream.latest, values)
        first = values[0][:FRAME_BYTES]
        version = await self._version(first)
        try:
            batch = await self._decode(version, values, first)
        except EventInvalid:
            prefixes = {value[:FRAME_BYTES] for value in values}
            if len(prefixes) == 1:
                raise
            return await self._read_mixed(values, prefixes)
        return self._as_latest(batch, version)

    async def _read_mixed(self, values: Sequence[bytes], prefixes: set[bytes]) -> pa.RecordBatch:
        versions = {prefix: await self._version(prefix) for prefix in prefixes}
        batches: list[pa.RecordBatch] = []
        places: list[int] = []
        for prefix, version in versions.items():
            chosen = [index for index, value in enumerate(values) if value.startswith(prefix)]
            batch = await self._decode(version, [values[index] for index in chosen], prefix)
            batches.append(self._as_latest(batch, version))
            places += chosen
        order = [0] * len(places)
        for row, place in enumerate(places):
            order[place] = row
        table = pa.Table.from_batches(batches).take(pa.array(order, pa.int64()))
        return table.combine_chunks().to_batches()[0]

    async def _decode(
        self, version: SchemaVersion, values: Sequence[bytes], prefix: bytes
    ) -> pa.RecordBatch:
        if len(values) >= LARGE:  # the decoder lets go of the interpreter: others work meanwhile
            return await asyncio.to_thread(decode, version, values, frame=prefix)
        return decode(version, values, frame=prefix)

    def _as_latest(self, batch: pa.RecordBatch, version: SchemaVersion) -> pa.RecordBatch:
        return resolve(batch, version, self._stream.latest)

    async def _version(self, prefix: bytes) -> SchemaVersion:
        known = self._known.get(prefix)
        if known is None:
            known = self._known[prefix] = await self._learn(id_in(prefix))
        return known

    async def _learn(self, schema_id: int) -> SchemaVersion:
        text = await self._registry.schema_of(schema_id)
        where = {"stream": self._stream.name, "schema_id": schema_id}
        try:
            version = self._catalog.by_fingerprint(fingerprint_of(text))
        except SchemaUnknown as error:
            raise SchemaUnknown("the registered text is no Avro schema", **where) from error
        if version is None:
            raise SchemaUnknown("the catalogue has no such schema", **where)
        if version.stream != self._stream.name:
            raise SchemaMismatch("the schema id means another stream's schema", **where)
        if units_of(text) != units_of(version.text):
            raise SchemaMismatch("the schema id means other units of time", **where)
        return version
