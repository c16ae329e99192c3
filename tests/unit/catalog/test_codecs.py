"""pyruhvro, fastavro and avro-python3 hold each event to the same values, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.catalog import Catalog, load
from bus.catalog.columns import arrow_schema, decode, encode
from bus.catalog.examples import read_examples
from bus.catalog.plain import from_json, to_json
from bus.catalog.readers import disagreements, older
from bus.catalog.single import decode_one, encode_one, fingerprint_of
from bus.catalog.third_reader import read_one
from bus.model import SchemaVersion
from tests.unit.catalog.strategies import schemas, values_of

VERSIONS = [version for stream in load().streams.values() for version in stream.versions]
NAMES = [f"{version.stream}-v{version.version}" for version in VERSIONS]


def version_of(schema: dict[str, Any]) -> SchemaVersion:
    text = json.dumps(schema)
    return SchemaVersion("test", 1, schema, text, fingerprint_of(text))


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS, ids=NAMES)
@settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_all_readers_agree_on_every_stream(version: SchemaVersion, data: st.DataObject) -> None:
    """Whatever an event holds, three independent readers read the same from the same bytes."""
    values = data.draw(st.lists(values_of(version.schema), min_size=1, max_size=3))

    payloads = [encode_one(version, value) for value in values]

    assert [decode_one(version, payload) for payload in payloads] == values
    assert [read_one(version, payload) for payload in payloads] == values
    records = decode(version, payloads)
    assert records.to_pylist() == values
    assert records.schema.equals(arrow_schema(version))
    assert encode(version, records) == payloads


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_all_readers_agree_on_every_schema_that_the_catalogue_admits(data: st.DataObject) -> None:
    """The rule on types is right: what it lets in, every codec can do. None panics."""
    version = version_of(data.draw(schemas()))
    values = data.draw(st.lists(values_of(version.schema), min_size=0, max_size=4))

    assert disagreements(version, values, read_one) == []


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS, ids=NAMES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_slice_of_a_batch_is_encoded_as_itself(
    version: SchemaVersion, data: st.DataObject
) -> None:
    """A batch cut out of a larger one carries an offset; the codec must not forget it."""
    values = data.draw(st.lists(values_of(version.schema), min_size=3, max_size=4))
    payloads = [encode_one(version, value) for value in values]

    records = decode(version, payloads)

    assert encode(version, records.slice(1, 2)) == payloads[1:3]
    assert records.slice(1).to_pylist() == values[1:]


def test_examples_are_read_alike_in_every_version(catalog: Catalog) -> None:
    """The check of `renkei schemas check`, on what is shipped."""
    examples, faults = read_examples(catalog)
    assert faults == []
    for stream in catalog.streams.values():
        native = [
            from_json(stream.latest, example.value)[0]
            for example in examples
            if example.stream is stream and not example.expected
        ]
        assert native
        for version in stream.versions:
            old = [older(version, value) for value in native]
            assert disagreements(version, old, read_one) == []


def test_a_reader_that_differs_is_found(catalog: Catalog) -> None:
    """The comparison can fail."""
    stream = catalog.stream("receipt")
    examples, _ = read_examples(catalog)
    native = [from_json(stream.latest, e.value)[0] for e in examples if e.stream is stream][:1]

    found = disagreements(stream.latest, native, lambda version, payload: {})

    assert found == ["the third reader reads other values than fastavro"]


@pytest.mark.parametrize("version", VERSIONS, ids=NAMES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_json_and_back(version: SchemaVersion, data: st.DataObject) -> None:
    """What a tool shows of an event, it can read again."""
    value = data.draw(values_of(version.schema))

    shown = json.loads(json.dumps(to_json(value)))

    assert from_json(version, shown) == (value, [])
