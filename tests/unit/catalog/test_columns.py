"""The fast codec is strict: what is not exactly one event, or does not fit, is refused."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from bus.catalog import Catalog
from bus.catalog.columns import arrow_schema, decode, encode, resolve
from bus.catalog.examples import read_examples
from bus.catalog.plain import from_json
from bus.catalog.readers import older
from bus.catalog.single import decode_one, encode_one, fingerprint_of
from bus.errors import EventInvalid
from bus.model import SchemaVersion

SECRET = "PLANTED"


def version_of(*fields: tuple[str, Any], number: int = 1, **defaults: Any) -> SchemaVersion:
    """A version of a small record."""
    entries = [
        {"name": name, "type": declared} | ({"default": defaults[name]} if name in defaults else {})
        for name, declared in fields
    ]
    schema = {"type": "record", "name": "Small", "namespace": "jp.renkei", "fields": entries}
    text = json.dumps(schema)
    return SchemaVersion("small", number, schema, text, fingerprint_of(text))


def zigzag(number: int) -> bytes:
    """An Avro long, of any size."""
    left = (number << 1) ^ (number >> 63)
    left &= 2**64 - 1
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


TEXT = version_of(("a", "string"))
LIST = version_of(("a", {"type": "array", "items": ["null", "string"]}))
CHOICE = version_of(("a", ["null", "string"]))
ENUM = version_of(("a", {"type": "enum", "name": "E", "symbols": ["A", "B"]}))
FLAG = version_of(("a", "boolean"))


@pytest.mark.parametrize(
    ("version", "payload"),
    [
        (TEXT, b""),
        (TEXT, b"\x04a"),
        (TEXT, b"\x02ab"),
        (TEXT, b"\x02a" + bytes(1000)),
        (TEXT, zigzag(-5) + b"aaaaa"),
        (TEXT, zigzag(2**31) + b"a"),
        (TEXT, zigzag(2**40) + b"a"),
        (TEXT, zigzag(2**63 - 1) + b"a"),
        (TEXT, b"\xff" * 12),
        (TEXT, b"\x02\xff"),
        (TEXT, b"\x06\xed\xa0\x80"),
        (TEXT, b"\x04\xc0\x80"),
        (LIST, zigzag(2**40) + b"\x02\x02a\x00"),
        (LIST, zigzag(2**62) + b"\x00"),
        (LIST, zigzag(1) + b"\x02\x02a"),
        (LIST, zigzag(-(2**63)) + zigzag(2) + b"\x02\x02a\x00"),
        (CHOICE, zigzag(2) + b"\x02a"),
        (CHOICE, zigzag(-1) + b"\x02a"),
        (ENUM, zigzag(2)),
        (ENUM, zigzag(-1)),
        (FLAG, b"\x02"),
    ],
    ids=lambda value: value.hex()[:24] if isinstance(value, bytes) else None,
)
def test_garbage_is_refused_by_both_codecs(version: SchemaVersion, payload: bytes) -> None:
    """Cut short, too long, a length from nowhere, no UTF-8: none of it becomes an event."""
    with pytest.raises(EventInvalid):
        decode(version, [payload])
    with pytest.raises(EventInvalid):
        decode(version, [*([payload] * 2), payload])
    if version is not FLAG and payload[:1] != b"\x01":  # fastavro: any flag, index from the end
        with pytest.raises(EventInvalid):
            decode_one(version, payload)


def test_a_length_from_nowhere_costs_no_memory() -> None:
    """A few bytes cannot make the process ask for terabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for size in (2**28, 2**31 - 1, 2**40, 2**62):
        for version in (TEXT, LIST):
            with pytest.raises(EventInvalid):
                decode(version, [zigzag(size) + b"\x02\x02a\x00"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_one_bad_event_refuses_the_batch() -> None:
    """The caller bisects; nothing of the batch is handed on half."""
    with pytest.raises(EventInvalid):
        decode(TEXT, [b"\x02a", b"\x02b", b"\x02bc", b"\x02d"])


def test_every_cut_and_every_surplus_of_a_real_event_is_refused(catalog: Catalog) -> None:
    """A resident's event is refused at each length but its own."""
    version = catalog.stream("resident").latest
    payload = encode_one(version, resident(catalog))

    for length in range(len(payload)):
        with pytest.raises(EventInvalid):
            decode(version, [payload[:length]])
    for surplus in (b"\x00", b"\x01", b"\x02", payload, payload[:9]):
        with pytest.raises(EventInvalid):
            decode(version, [payload + surplus])
    assert decode(version, [payload]).num_rows == 1


def test_an_error_never_quotes_a_value() -> None:
    """Neither the message nor its cause holds what was in the event."""
    enum = pa.RecordBatch.from_pydict({"a": pa.array([SECRET])})
    for attempt in (
        lambda: decode(TEXT, [zigzag(len(SECRET) + 1) + SECRET.encode()]),
        lambda: decode(TEXT, [zigzag(len(SECRET)) + SECRET.encode() + b"\xff"]),
        lambda: decode(TEXT, [zigzag(len(SECRET) + 1) + SECRET.encode() + b"\xff"]),
        lambda: encode(ENUM, enum),
        lambda: encode(version_of(("a", "int")), enum),
        lambda: decode_one(TEXT, zigzag(len(SECRET) + 1) + SECRET.encode() + b"\xff"),
        lambda: encode_one(version_of(("a", "int")), {"a": SECRET}),
        lambda: encode_one(ENUM, {"a": SECRET}),
    ):
        with pytest.raises(EventInvalid) as refused:
            attempt()
        error: BaseException | None = refused.value
        while error is not None:
            assert SECRET not in str(error)
            assert SECRET not in repr(error.args)
            error = error.__cause__


@pytest.mark.parametrize("schema_id", [7, 0x807F, 0x80FF, 0xC07F, 2**31 - 1, 2**32 - 1])
def test_a_frame_is_read_as_it_is(schema_id: int) -> None:
    """Whatever the id, also one whose bytes are no number as a float; and no other id."""
    frame = b"\x00" + schema_id.to_bytes(4, "big")
    values = [frame + b"\x02" + letter for letter in (b"a", b"b", b"c")]

    assert decode(TEXT, values, frame=frame).to_pylist() == [{"a": "a"}, {"a": "b"}, {"a": "c"}]
    for place in range(3):
        for byte in range(5):
            other = [bytearray(value) for value in values]
            other[place][byte] ^= 1
            with pytest.raises(EventInvalid):
                decode(TEXT, [bytes(value) for value in other], frame=frame)


def test_events_of_one_batch_cannot_reach_into_each_other() -> None:
    """A length that covers the next event whole, and one event that looks like two, show."""
    two = version_of(("a", "string"), ("b", "string"))
    mark = 8  # what lies between two events is not known, its size is
    honest = b"\x02a\x02b"
    swallowing = b"\x02a" + zigzag(mark + len(honest))
    for batch in (
        [swallowing, honest],
        [swallowing, honest, honest],
        [swallowing, honest, honest + bytes(mark) + honest],
        [honest + bytes(mark) + honest, swallowing, honest],
    ):
        with pytest.raises(EventInvalid):
            decode(two, batch)
    assert decode(two, [honest] * 3).num_rows == 3


def test_no_events_make_an_empty_batch(catalog: Catalog) -> None:
    """Zero rows still have their columns."""
    for stream in catalog.streams.values():
        records = decode(stream.latest, [])
        assert records.num_rows == 0
        assert records.schema.equals(arrow_schema(stream.latest))
        assert encode(stream.latest, records) == []


def test_times_are_utc() -> None:
    """A time keeps its zone, inside records and lists too, and is not copied."""
    at = datetime(2026, 4, 1, 1, 15, 30, 123456, UTC)
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    inner = {"type": "record", "name": "I", "fields": [{"name": "t", "type": micros}]}
    version = version_of(
        ("a", micros), ("b", ["null", inner]), ("c", {"type": "array", "items": "jp.renkei.I"}),
        ("d", {"type": "array", "items": ["null", micros]}),
    )  # fmt: skip
    value = {"a": at, "b": {"t": at}, "c": [{"t": at}, {"t": at}], "d": [at, None]}

    records = decode(version, [encode_one(version, value)])

    assert records.to_pylist() == [value]
    utc = pa.timestamp("us", "UTC")
    assert records.schema.field("a").type == utc
    assert records.schema.field("b").type.field("t").type == utc
    assert encode(version, records) == [encode_one(version, value)]


def batch(**columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


ROW = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "string"}]}
X = pa.struct([("x", pa.string())])


@pytest.mark.parametrize(
    ("version", "records"),
    [
        (TEXT, batch(a=pa.array(["x", None]))),
        (TEXT, batch(b=pa.array(["x"]))),
        (TEXT, batch(a=pa.array(["x"]), b=pa.array(["y"]))),
        (TEXT, batch(a=pa.array([[1]]))),
        (ENUM, batch(a=pa.array(["A", "Q"]))),
        (version_of(("a", "int")), batch(a=pa.array([2**31]))),
        (version_of(("a", "int")), batch(a=pa.array([1.5]))),
        (version_of(("a", ["null", ROW])), batch(a=pa.array([{"x": None}], X))),
        (version_of(("a", ROW)), batch(a=pa.array([None], X))),
        (version_of(("a", {"type": "array", "items": "string"})), batch(a=pa.array([["x", None]]))),
        (version_of(("a", {"type": "array", "items": "string"})), batch(a=pa.array([None, ["x"]]))),
        (version_of(("a", {"type": "array", "items": ROW})),
         batch(a=pa.array([[{"x": None}]], pa.list_(X)))),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_encoded(version: SchemaVersion, records: pa.RecordBatch) -> None:
    """A null in a column without nulls must not go out as an empty text."""
    with pytest.raises(EventInvalid):
        encode(version, records)


@pytest.mark.parametrize(
    "records",
    [
        batch(b=pa.array([1, None], pa.int64()), a=pa.array(["x", "y"])),
        batch(a=pa.array(["x", "y"], pa.large_string()), b=pa.array([1, None], pa.int32())),
        batch(a=pa.array(["x", "y"]).dictionary_encode(), b=pa.array([1, None], pa.int8())),
        batch(a=pa.array(["x", "y"], pa.string_view()), b=pa.array([1.0, None])),
    ],
)
def test_columns_that_lose_nothing_are_taken(records: pa.RecordBatch) -> None:
    """Order and width of columns are the caller's; the values are what counts."""
    version = version_of(("a", "string"), ("b", ["null", "int"]))

    assert encode(version, records) == [b"\x02x\x02\x02", b"\x02y\x00"]


def test_a_null_record_hides_no_null_inside() -> None:
    """Inside a record that is absent, nothing is missing."""
    version = version_of(("a", ["null", ROW]))

    assert encode(version, batch(a=pa.array([None, {"x": "1"}], X))) == [b"\x00", b"\x02\x021"]


def test_older_events_get_the_defaults(catalog: Catalog) -> None:
    """An event of v1 reads as v2: the new items are null, everything else is as it was."""
    first, second = catalog.stream("resident").versions
    value = resident(catalog)
    records = decode(first, [encode_one(first, older(first, value))] * 3)

    resolved = resolve(records, first, second)

    assert resolved.schema.equals(arrow_schema(second))
    expected = {**value, "former_family_name": None, "former_family_name_kana": None}
    assert resolved.to_pylist() == [expected] * 3
    assert resolve(resolved, second, first).to_pylist() == [older(first, value)] * 3
    assert resolve(records, first, first) is records


def test_every_kind_of_difference_is_resolved() -> None:
    """Added with defaults, left out, reordered, widened, inside records and lists and nulls."""
    day = {"type": "int", "logicalType": "date"}

    def inner(*fields: Any) -> dict[str, Any]:
        return {"type": "record", "name": "I", "fields": list(fields)}

    writer = version_of(
        ("gone", "string"),
        ("wide", "int"),
        ("one", ["null", inner({"name": "x", "type": "int"})]),
        ("many", {"type": "array", "items": "jp.renkei.I"}),
        ("maybe", "string"),
    )
    reader = version_of(
        ("maybe", ["null", "string"]),
        ("many", {"type": "array", "items": inner(
            {"name": "y", "type": "string", "default": "new"},
            {"name": "x", "type": ["null", "long"]},
        )}),
        ("one", ["null", "jp.renkei.I"]),
        ("wide", "double"),
        ("day", day),
        ("names", {"type": "array", "items": "string"}),
        ("flag", "boolean"),
        number=2, day=1, names=[], flag=True,
    )  # fmt: skip
    values = [
        {"gone": "g", "wide": 7, "one": {"x": 1}, "many": [{"x": 2}, {"x": 3}], "maybe": "m"},
        {"gone": "g", "wide": -7, "one": None, "many": [], "maybe": ""},
        {"gone": "g", "wide": 0, "one": {"x": 5}, "many": [{"x": 4}], "maybe": "n"},
    ]
    records = decode(writer, [encode_one(writer, value) for value in values])

    resolved = resolve(records, writer, reader).to_pylist()

    assert [row["many"] for row in resolved] == [
        [{"y": "new", "x": 2}, {"y": "new", "x": 3}], [], [{"y": "new", "x": 4}],
    ]  # fmt: skip
    assert [row["one"] for row in resolved] == [{"y": "new", "x": 1}, None, {"y": "new", "x": 5}]
    assert [row["wide"] for row in resolved] == [7.0, -7.0, 0.0]
    assert [row["maybe"] for row in resolved] == ["m", "", "n"]
    assert {(str(row["day"]), tuple(row["names"]), row["flag"]) for row in resolved} == {
        ("1970-01-02", (), True)
    }
    sliced = resolve(records.slice(1), writer, reader).to_pylist()
    assert sliced == resolved[1:]


def resident(catalog: Catalog) -> dict[str, Any]:
    """A resident's event with something in most items."""
    stream = catalog.stream("resident")
    examples, _ = read_examples(catalog)
    wanted = "streams/resident/examples/valid/moved_in.json"
    example = next(example for example in examples if example.file == wanted)
    return from_json(stream.latest, example.value)[0]
