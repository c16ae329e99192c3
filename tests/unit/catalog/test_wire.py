"""Framed values: any mixture of versions comes back as one batch, in order."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.catalog import Catalog
from bus.catalog.columns import arrow_schema
from bus.catalog.readers import older
from bus.catalog.single import encode_one
from bus.catalog.wire import Reader, frame, frame_of, id_in
from bus.errors import EventInvalid, RegistryUnavailable, SchemaMismatch, SchemaUnknown
from tests.unit.catalog.fakeregistry import FakeRegistry
from tests.unit.catalog.strategies import values_of

IDS = {1: 71, 2: 72}


@pytest.fixture
def fake(catalog: Catalog) -> FakeRegistry:
    """A registry that has the resident's versions, one of them twice, and a household's."""
    fake = FakeRegistry()
    for version in catalog.stream("resident").versions:
        fake.put(version.text, IDS[version.version])
    fake.put(json.dumps(json.loads(catalog.stream("resident").versions[0].text), indent=2), 73)
    fake.put(catalog.stream("household").latest.text, 80)
    return fake


def reader(catalog: Catalog, fake: FakeRegistry, stream: str = "resident") -> Reader:
    return Reader(catalog.stream(stream), catalog, fake.registry())


def values(catalog: Catalog, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    @settings(max_examples=1, database=None, derandomize=True)
    @given(st.lists(values_of(catalog.stream("resident").latest.schema), min_size=count,
                    max_size=count))  # fmt: skip
    def draw(drawn: list[dict[str, Any]]) -> None:
        found[:] = drawn

    draw()
    return found


def test_the_frame_is_confluents() -> None:
    """A zero, the id in four bytes, the most significant first."""
    assert frame(258, [b"x", b""]) == [b"\x00\x00\x00\x01\x02x", b"\x00\x00\x00\x01\x02"]
    assert id_in(frame_of(2**31 - 1)) == 2**31 - 1


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01x"])
async def test_no_frame_no_event(catalog: Catalog, fake: FakeRegistry, value: bytes) -> None:
    """JSON in the topic, or a few bytes, are not an event."""
    with pytest.raises(EventInvalid):
        await reader(catalog, fake).read([value])


async def test_an_empty_batch_asks_nobody(catalog: Catalog, fake: FakeRegistry) -> None:
    """No values, no rows, no question."""
    records = await reader(catalog, fake).read([])

    assert records.num_rows == 0
    assert records.schema.equals(arrow_schema(catalog.stream("resident").latest))
    assert fake.asked == []


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_mixed_versions_keep_their_order(
    catalog: Catalog, fake: FakeRegistry, data: st.DataObject
) -> None:
    """Whatever versions and ids are mixed, row n is value n."""
    first, second = catalog.stream("resident").versions
    ids = data.draw(st.lists(st.sampled_from([71, 72, 73]), min_size=1, max_size=6))
    framed, expected = [], []
    for schema_id in ids:
        value = data.draw(values_of(second.schema))
        if schema_id != 72:
            framed += frame(schema_id, [encode_one(first, older(first, value))])
            value |= {"former_family_name": None, "former_family_name_kana": None}
        else:
            framed += frame(schema_id, [encode_one(second, value)])
        expected.append(value)

    records = await reader(catalog, fake).read(framed)

    assert records.to_pylist() == expected
    assert records.schema.equals(arrow_schema(second))


async def test_interleaved_versions_keep_their_order(catalog: Catalog, fake: FakeRegistry) -> None:
    """Old and new events in turns come back in turns."""
    first, second = catalog.stream("resident").versions
    (value,) = values(catalog, 1)
    framed, expected = [], []
    for number, schema_id in enumerate((71, 72, 73, 72, 72, 71)):
        body = {**value, "household_number": str(number)}
        version = second if schema_id == 72 else first
        framed += frame(schema_id, [encode_one(version, older(version, body))])
        expected.append(str(number))

    records = await reader(catalog, fake).read(framed)

    assert records.column("household_number").to_pylist() == expected


async def test_the_registry_may_be_away_after_the_first_sight(
    catalog: Catalog, fake: FakeRegistry
) -> None:
    """An id is asked for once; delivery goes on without the registry."""
    version = catalog.stream("resident").latest
    framed = frame(72, [encode_one(version, value) for value in values(catalog, 2)])
    reading = reader(catalog, fake)

    await reading.read(framed)
    fake.before = away
    assert (await reading.read(framed)).num_rows == 2
    assert fake.asked == [("GET", "schemas/ids/72")]

    with pytest.raises(RegistryUnavailable):
        await reading.read(frame(71, [b""]))


async def test_a_primed_reader_needs_no_registry(catalog: Catalog, fake: FakeRegistry) -> None:
    """What was learnt at the start is enough for events of known versions."""
    async with fake.registry() as registry:
        await registry.push(catalog)
    reading = reader(catalog, fake)
    version = catalog.stream("resident").latest
    schema_id = fake.subjects["linkage.resident-value"][-1]

    await reading.prime()
    fake.before = away

    records = await reading.read(frame(schema_id, [encode_one(version, values(catalog, 1)[0])]))
    assert records.num_rows == 1


async def test_priming_before_anything_is_pushed(catalog: Catalog, fake: FakeRegistry) -> None:
    """Nothing registered is nothing learnt, and no error."""
    await reader(catalog, fake).prime()


async def test_an_unknown_id_is_parked(catalog: Catalog, fake: FakeRegistry) -> None:
    """An id that the registry has not is the event's fault."""
    with pytest.raises(SchemaUnknown) as refused:
        await reader(catalog, fake).read(frame(99, [b"x"]))
    assert refused.value.reaction == "park"


async def test_a_schema_that_nobody_here_knows_is_parked(
    catalog: Catalog, fake: FakeRegistry
) -> None:
    """A version newer than this catalogue, or no Avro at all."""
    schema = dict(catalog.stream("resident").latest.schema)
    fields = [*schema["fields"], {"name": "x", "type": ["null", "int"], "default": None}]
    fake.put(json.dumps({**schema, "fields": fields}), 74)
    fake.put('{"type": "object"}', 75)
    fake.put("syntax = proto3", 76)

    for schema_id in (74, 75, 76):
        with pytest.raises(SchemaUnknown):
            await reader(catalog, fake).read(frame(schema_id, [b"x"]))


async def test_another_streams_schema_stops_the_lane(catalog: Catalog, fake: FakeRegistry) -> None:
    """A household's schema in the residents' topic is no event to park: something is wrong."""
    with pytest.raises(SchemaMismatch) as refused:
        await reader(catalog, fake).read(frame(80, [b"x"]))
    assert refused.value.reaction == "stop"


async def test_other_units_of_time_stop_the_lane(catalog: Catalog, fake: FakeRegistry) -> None:
    """The same bytes read as milliseconds would be another time: never guess."""
    text = catalog.stream("resident").latest.text
    fake.put(text.replace("timestamp-micros", "timestamp-millis"), 77)

    with pytest.raises(SchemaMismatch):
        await reader(catalog, fake).read(frame(77, [b"x"]))


async def test_one_bad_value_among_good_ones(catalog: Catalog, fake: FakeRegistry) -> None:
    """The batch fails; the good ones alone are read."""
    version = catalog.stream("resident").latest
    good = frame(72, [encode_one(version, value) for value in values(catalog, 2)])

    with pytest.raises(EventInvalid):
        await reader(catalog, fake).read([good[0], good[1] + b"!"])
    assert (await reader(catalog, fake).read(good)).num_rows == 2


def away(request: httpx.Request) -> httpx.Response | None:
    """No answer to anything."""
    raise httpx.ConnectError("away")
