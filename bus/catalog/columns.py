"""Convert whole batches between Avro and Arrow with pyruhvro, without a Python loop over records.

The codec is fast and trusting; this module is what makes it strict. Tried on version 0.4.0:

* it ignores bytes after a record. A random mark is put behind each payload and read back by a
  field appended to the schema: what does not end exactly where it should, shows;
* a list of payloads costs it more than one payload with a list inside. So a batch is handed over
  as one array of records, joined by the marks, and frames are read as two columns more;
* it takes over text that is no UTF-8. Each batch is validated;
* it writes a null where the schema has none as an empty value. Nulls are counted first;
* it drops the UTC mark of timestamps. It is put back without copying;
* a length or count beyond the payload is refused before anything is allocated, because each
  element of the types that the catalogue admits takes at least one byte;
* it panics on types that it does not know. The loader refuses those
  (:mod:`bus.catalog.rules`), so no panic is caught here;
* it panics on columns that begin inside their buffers (a slice of a batch). They are copied to
  begin at the start;
* an ``int`` that was written with more than 32 bits wraps round. No Avro writer makes one.

A batch fails as a whole: the caller bisects to find the event. No message holds a value.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyruhvro

from bus.catalog.assemble import named_types
from bus.catalog.single import without_value
from bus.errors import EventInvalid
from bus.model import SchemaVersion

Column = Any  # an Arrow array; the stubs do not know what nested ones can do

# No field of a stream ends in an underscore.
_MAGIC_FIELD, _ID_FIELD, _MARK_FIELD = "magic_", "id_", "end_"
_MARK = secrets.randbelow(2**62)  # not known outside; below 2**62 it is an ordinary double
_MARK_BYTES = _MARK.to_bytes(8, "little")
_END_OF_ARRAY = b"\x00"
_KEPT_SCHEMAS = 256


def _varint(number: int) -> bytes:
    left, out = number << 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


@lru_cache(maxsize=_KEPT_SCHEMAS)
def _plain_text(text: str) -> str:
    """The schema's text without names and checks for people: a third as long to parse per call."""
    return json.dumps(_plain(json.loads(text)), separators=(",", ":"))


@lru_cache(maxsize=_KEPT_SCHEMAS)
def _array_text(text: str, framed: bool) -> str:
    """The schema of a record that holds an array of such records, each with its mark.

    A frame is a byte that is zero and four of a schema id: a boolean and a float, to the codec.
    """
    record = json.loads(_plain_text(text))
    if framed:
        record["fields"][:0] = [
            {"name": _MAGIC_FIELD, "type": "boolean"},
            {"name": _ID_FIELD, "type": "float"},
        ]
    record["fields"].append({"name": _MARK_FIELD, "type": "double"})
    array = {"name": "records", "type": {"type": "array", "items": record}}
    return json.dumps(
        {"type": "record", "name": "batch_", "fields": [array]}, separators=(",", ":")
    )


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(arm) for arm in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: schema[name] for name in _ATTRIBUTES if name in schema}
    if "fields" in kept:
        kept["fields"] = [
            {"name": entry["name"], "type": _plain(entry["type"])} for entry in kept["fields"]
        ]
    if "items" in kept:
        kept["items"] = _plain(kept["items"])
    return kept


_ATTRIBUTES = (
    "type", "name", "namespace", "fields", "symbols", "items", "logicalType",
)  # fmt: skip


@lru_cache(maxsize=_KEPT_SCHEMAS)
def _arrow_schema(text: str) -> pa.Schema:
    bare = pyruhvro.avro_to_arrow_schema(_plain_text(text))
    return pa.schema([entry.with_type(_with_utc(entry.type)) for entry in bare])


def _with_utc(found: Any) -> Any:
    if pa.types.is_timestamp(found):
        return pa.timestamp(found.unit, "UTC")
    if pa.types.is_struct(found):
        return pa.struct([entry.with_type(_with_utc(entry.type)) for entry in found])
    if pa.types.is_list(found):
        entry = found.value_field
        return pa.list_(entry.with_type(_with_utc(entry.type)))
    return found


def arrow_schema(version: SchemaVersion) -> pa.Schema:
    """The columns of a batch of *version*: one per field of the record, nested as it is."""
    return _arrow_schema(version.text)


def decode(
    version: SchemaVersion, payloads: Sequence[bytes], *, frame: bytes = b""
) -> pa.RecordBatch:
    """One row per payload, in order, with exactly the columns of :func:`arrow_schema`.

    Args:
        version: The schema that the payloads were written with.
        payloads: Avro binary. None is not a payload: the caller sets erasures aside.
        frame: What each payload begins with, before its record: nothing, or a zero and the
            four bytes of a schema id.

    Raises:
        EventInvalid: At least one payload is not exactly one record of this schema behind this
            frame.
    """
    schema = _arrow_schema(version.text)
    if not payloads:
        return _empty(schema)
    joined = b"".join(
        (_varint(len(payloads)), _MARK_BYTES.join(payloads), _MARK_BYTES, _END_OF_ARRAY)
    )
    try:
        batch = pyruhvro.deserialize_array([joined], _array_text(version.text, bool(frame)))
        found = pa.RecordBatch.from_struct_array(batch.column(0).values)
        found.validate(full=True)
    except ValueError as error:  # pa.ArrowInvalid is one
        raise _invalid(version) from without_value(error)
    columns = found.columns
    is_whole = found.num_rows == len(payloads) and _are_all(columns.pop(), _MARK_BYTES)
    if not is_whole or not _is_framed(columns, frame):
        raise _invalid(version)
    columns = [
        column if column.type == entry.type else column.view(entry.type)
        for column, entry in zip(columns[-len(schema) :], schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _is_framed(columns: Sequence[Column], frame: bytes) -> bool:
    """Whether the first two columns say *frame* in all rows; the first byte is decoded as False."""
    if not frame:
        return True
    magic, schema_id = columns[:2]
    return magic.true_count == 0 and frame[:1] == b"\x00" and _are_all(schema_id, frame[1:])


def _are_all(numbers: Column, wanted: bytes) -> bool:
    """Whether each of these numbers is encoded in exactly the bytes *wanted*."""
    held: pa.Buffer = numbers.buffers()[1]
    return held[: len(numbers) * len(wanted)].equals(pa.py_buffer(wanted * len(numbers)))


def encode(version: SchemaVersion, records: pa.RecordBatch) -> list[bytes]:
    """Each row as Avro binary, in order, without a frame.

    Columns are matched by name, whatever their order, and cast where that loses nothing.

    Raises:
        EventInvalid: A column is missing or too many, a value does not fit its type, or a null
            stands where the schema has none.
    """
    fitted = compact(_fitted(version, records))
    _refuse_nulls(version, fitted)
    try:
        chunks = pyruhvro.serialize_record_batch(fitted, _plain_text(version.text), 1)
    except ValueError as error:
        raise _invalid(version) from without_value(error)
    return [payload for chunk in chunks for payload in chunk.to_pylist()]


def compact(records: pa.RecordBatch) -> pa.RecordBatch:
    """*records* without the buffers of a larger batch that they are a slice of.

    Whatever walks through whole buffers (validation, the codec) then walks through these rows
    alone. Columns that begin at the start of their buffers are not copied.
    """
    columns = [
        pa.concat_arrays([column]) if _begins_inside(column) else column
        for column in records.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=records.schema)


def _begins_inside(column: Column) -> bool:
    if column.offset:
        return True
    if pa.types.is_struct(column.type):
        return any(_begins_inside(column.field(i)) for i in range(column.type.num_fields))
    return pa.types.is_list(column.type) and _begins_inside(column.values)


def resolve(
    records: pa.RecordBatch, writer: SchemaVersion, reader: SchemaVersion
) -> pa.RecordBatch:
    """*records* of *writer* as *reader* sees them: columns added with their defaults, left out,
    reordered and widened. Both are versions of one stream, so that this cannot fail.

    Source: Avro specification 1.12, "Schema Resolution".
    """
    if writer.text == reader.text:
        return records
    resolution = _Resolution(dict(named_types(writer.schema)), dict(named_types(reader.schema)))
    columns = resolution.fields(
        dict(zip(records.schema.names, records.columns, strict=True)),
        writer.schema,
        reader.schema,
        pa.struct(list(arrow_schema(reader))),
        records.num_rows,
    )
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(reader))


class _Resolution:
    def __init__(self, writer_types: Mapping[str, Any], reader_types: Mapping[str, Any]) -> None:
        self._writer_types = writer_types
        self._reader_types = reader_types

    def fields(
        self,
        columns: Mapping[str, Column],
        writer: Mapping[str, Any],
        reader: Mapping[str, Any],
        target: pa.StructType,
        rows: int,
    ) -> list[Column]:
        written = {entry["name"]: entry["type"] for entry in writer["fields"]}
        found: list[Column] = []
        for entry in reader["fields"]:
            name = entry["name"]
            wanted = target.field(name).type
            if name in written:
                found.append(self.column(columns[name], written[name], entry["type"], wanted))
            else:
                found.append(pa.repeat(_default(entry["default"], wanted), rows))
        return found

    def column(self, column: Column, writer: Any, reader: Any, target: pa.DataType) -> Column:
        if column.type == target:
            return column
        writer = _only_type(writer, self._writer_types)
        reader = _only_type(reader, self._reader_types)
        if pa.types.is_struct(target):
            inner = self.fields(
                {entry.name: column.field(index) for index, entry in enumerate(column.type)},
                writer,
                reader,
                target,
                len(column),
            )
            return pa.StructArray.from_arrays(inner, fields=list(target), mask=column.is_null())
        if pa.types.is_list(target):
            if column.offset:
                column = pa.concat_arrays([column])
            values = self.column(column.values, writer["items"], reader["items"], target.value_type)
            return pa.ListArray.from_arrays(
                column.offsets, values, type=target, mask=column.is_null()
            )
        return column.cast(target)


def _only_type(schema: Any, types: Mapping[str, Any]) -> Any:
    """The type itself; of a union with null, its other type."""
    if isinstance(schema, list):
        schema = next(arm for arm in schema if arm != "null")
    return types.get(schema, schema) if isinstance(schema, str) else schema


def _default(value: Any, target: pa.DataType) -> Any:
    if pa.types.is_date(target) or pa.types.is_timestamp(target):
        number = pa.int32() if pa.types.is_date(target) else pa.int64()
        return pa.scalar(value, number).cast(target)
    return pa.scalar(value, target)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], entry.type) for entry in schema], schema=schema)


def _fitted(version: SchemaVersion, records: pa.RecordBatch) -> pa.RecordBatch:
    schema = arrow_schema(version)
    if sorted(records.schema.names) != sorted(schema.names):
        raise _invalid(version)
    columns = []
    for entry in schema:
        column = records.column(entry.name)
        try:
            columns.append(column if column.type == entry.type else column.cast(entry.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise _invalid(version) from without_value(error)
    return pa.RecordBatch.from_arrays(columns, names=schema.names)


def _refuse_nulls(version: SchemaVersion, records: pa.RecordBatch) -> None:
    types = dict(named_types(version.schema))
    for entry in version.schema["fields"]:
        column = records.column(entry["name"])
        if column.null_count and not _is_nullable(entry["type"]):
            raise _invalid(version)
        if _has_wrong_null(column, entry["type"], types):
            raise _invalid(version)


def _has_wrong_null(column: Column, declared: Any, types: Mapping[str, Any]) -> bool:
    """Whether a null stands where a type inside *declared* has none."""
    schema = _only_type(declared, types)
    if not isinstance(schema, dict):
        return False
    if schema["type"] == "record":
        for entry, child in zip(schema["fields"], column.flatten(), strict=True):
            if not _is_nullable(entry["type"]) and child.null_count != column.null_count:
                return True
            if _has_wrong_null(child, entry["type"], types):
                return True
        return False
    if schema["type"] != "array":
        return False
    values = column.flatten()
    if values.null_count and not _is_nullable(schema["items"]):
        return True
    return _has_wrong_null(values, schema["items"], types)


def _is_nullable(declared: Any) -> bool:
    return isinstance(declared, list) and "null" in declared


def _invalid(version: SchemaVersion) -> EventInvalid:
    return EventInvalid(
        "an event does not fit its schema", stream=version.stream, version=version.version
    )
