"""Our judgement of compatibility, held against what really decodes."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bus.catalog import Catalog
from bus.catalog.compatibility import Incompatibility, can_read
from tests.unit.catalog.strategies import schemas, values_of


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "jp.renkei", "fields": list(fields)}


def one(declared: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "a", "type": declared, **more})


def enum(*symbols: str, name: str = "E") -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols)}


def listed(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
INNER = record({"name": "x", "type": "string"}, name="I")
WIDER = record({"name": "x", "type": "string"}, {"name": "y", "type": "int"}, name="I")

CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("the same", one("string"), one("string"), []),
    ("a field more, with a default", one("string", default=""), record(INNER["fields"][0]), []),
    ("a field more, without", one("string"), record(INNER["fields"][0]), ["a"]),
    ("a field less", record(INNER["fields"][0], {"name": "b", "type": "int", "default": 0}),
     WIDER | {"name": "R"}, []),
    ("nullable reads plain", one(["null", "string"]), one("string"), []),
    ("plain reads nullable", one("string"), one(["null", "string"]), ["a"]),
    ("long reads int", one("long"), one("int"), []),
    ("int reads long", one("int"), one("long"), ["a"]),
    ("double reads float", one("double"), one("float"), []),
    ("float reads long", one("float"), one("long"), []),
    ("string reads int", one("string"), one("int"), ["a"]),
    ("more symbols", one(enum("A", "B")), one(enum("A")), []),
    ("fewer symbols", one(enum("A")), one(enum("A", "B")), ["a"]),
    ("another enum", one(enum("A", name="F")), one(enum("A")), ["a"]),
    ("a list of more", one(listed("long")), one(listed("int")), []),
    ("a list of other", one(listed("int")), one(listed("string")), ["a"]),
    ("inside a record", one(WIDER), one(INNER), ["a.y"]),
    ("inside a list of nullable records", one(listed(["null", WIDER])),
     one(listed(["null", INNER])), ["a.y"]),
    ("another record name", one(INNER | {"name": "J"}), one(INNER), ["a"]),
    ("a day is no number", one("int"), one(DATE), ["a"]),
    ("another unit of time", one(MICROS), one(MILLIS), ["a"]),
    ("another unit in a nullable", one(["null", MICROS]), one(["null", MILLIS]), ["a"]),
    ("two at once", record({"name": "a", "type": "int"}, {"name": "b", "type": "int"}),
     record({"name": "a", "type": "string"}), ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "writer", "paths"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_reasons_name_the_field(
    reader: dict[str, Any], writer: dict[str, Any], paths: list[str]
) -> None:
    """One reason per offending field, outermost first."""
    assert [found.path for found in can_read(reader, writer)] == paths


def test_shipped_versions_read_each_other(catalog: Catalog) -> None:
    """FULL_TRANSITIVE, over every pair."""
    for stream in catalog.streams.values():
        for reader in stream.versions:
            for writer in stream.versions:
                assert can_read(reader.schema, writer.schema) == []


def changed_schema(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """*schema* after one to three changes such as people make."""
    changed = copy.deepcopy(schema)
    for number in range(draw(st.integers(1, 3))):
        fields = changed["fields"]
        act = draw(st.sampled_from(["add", "add-default", "drop", "retype", "nullable", "symbols"]))
        if act == "add":
            fields.append({"name": f"new{number}", "type": "string"})
        elif act == "add-default":
            fields.append({"name": f"new{number}", "type": ["null", "string"], "default": None})
        elif act == "drop" and len(fields) > 1:
            entry = draw(st.sampled_from(fields))
            if not _defines(entry["type"]):
                fields.remove(entry)
        elif act == "retype":
            entry = draw(st.sampled_from(fields))
            if not _defines(entry["type"]):
                entry.pop("default", None)
                entry["type"] = draw(st.sampled_from(["int", "long", "double", "string"]))
        elif act == "nullable":
            entry = draw(st.sampled_from(fields))
            if not isinstance(entry["type"], list):
                entry["type"] = ["null", entry["type"]]
        elif act == "symbols":
            entry = draw(st.sampled_from(fields))
            if isinstance(entry["type"], dict) and entry["type"]["type"] == "enum":
                entry["type"]["symbols"] = draw(
                    st.sampled_from([["A"], ["A", "B_C", "D1", "E2"], ["D1", "A", "B_C"]])
                )
    return changed


def _defines(declared: Any) -> bool:
    if isinstance(declared, list):
        return any(_defines(arm) for arm in declared)
    return isinstance(declared, dict) and (
        declared["type"] in ("record", "enum") or _defines(declared.get("items", "x"))
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A writer's schema and a reader's that came of it."""
    writer = draw(schemas())
    return writer, changed_schema(draw, writer)


def without_units(schema: Any) -> Any:
    """avro-python3 refuses some changes of logical types that Avro allows: compare without."""
    if isinstance(schema, list):
        return [without_units(arm) for arm in schema]
    if isinstance(schema, dict):
        return {k: without_units(v) for k, v in schema.items() if k != "logicalType"}
    return schema


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(pair=pairs(), data=st.data())
def test_what_we_call_readable_is_read(
    pair: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    """If we find no reason against it, fastavro and avro-python3 read every value."""
    writer, reader = pair
    assume(can_read(reader, writer) == [])
    value = data.draw(values_of(writer))

    payload = written(writer, value)

    assert set(by_fastavro(reader, writer, payload)) == {f["name"] for f in reader["fields"]}
    assert set(by_avro(reader, writer, payload)) == {f["name"] for f in reader["fields"]}


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(pair=pairs())
def test_what_we_call_unreadable_has_a_value_that_is_not_read(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """If we refuse, there is a value that a real reader refuses too, or reads as another."""
    writer, reader = (without_units(schema) for schema in pair)
    reasons = can_read(reader, writer)
    assume(reasons)

    failures = 0
    for value in telling_values(writer):
        payload = written(writer, value)
        try:
            by_fastavro(reader, writer, payload)
        except Exception:  # noqa: BLE001 - any refusal is one
            failures += 1

    assert failures, reasons


def written(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(copy.deepcopy(schema)), value)
    return stream.getvalue()


def by_fastavro(reader: Any, writer: Any, payload: bytes) -> dict[str, Any]:
    parsed: list[Any] = [
        fastavro.parse_schema(copy.deepcopy(schema)) for schema in (writer, reader)
    ]
    found = fastavro.schemaless_reader(io.BytesIO(payload), *parsed)
    assert isinstance(found, dict)
    return found


def by_avro(reader: Any, writer: Any, payload: bytes) -> dict[str, Any]:
    parsed = [avro.schema.parse(json.dumps(without_units(schema))) for schema in (writer, reader)]
    found = avro.io.DatumReader(*parsed).read(avro.io.BinaryDecoder(io.BytesIO(payload)))
    assert isinstance(found, dict)
    return found


def telling_values(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Values that between them take every branch and every symbol once."""
    from bus.catalog.assemble import named_types

    types = dict(named_types(schema))

    def choices(declared: Any) -> list[Any]:
        if isinstance(declared, list):
            return [None, *choices(next(arm for arm in declared if arm != "null"))]
        found = types.get(declared, declared) if isinstance(declared, str) else declared
        kind = found if isinstance(found, str) else found["type"]
        if kind == "record":
            return telling(found)
        if kind == "enum":
            return list(found["symbols"])
        if kind == "array":
            return [[], choices(found["items"])]
        return {"string": ["s"], "boolean": [True], "int": [1], "long": [2**40]}.get(kind, [1.5])

    def telling(found: Any) -> list[Any]:
        options = {entry["name"]: choices(entry["type"]) for entry in found["fields"]}
        most = max(len(option) for option in options.values())
        return [
            {name: option[min(index, len(option) - 1)] for name, option in options.items()}
            for index in range(most)
        ] + [
            {name: option[max(len(option) - 1 - index, 0)] for name, option in options.items()}
            for index in range(most)
        ]

    return telling(schema)


def test_a_reason_reads_as_a_sentence_part() -> None:
    """The loader puts it behind `expected v2 able to read v1: …`."""
    assert can_read(one("int"), one("string")) == [
        Incompatibility("a", "string cannot be read as int")
    ]
