"""The real registry: push, lookup, its own judgement of compatibility, and readers of others."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from bus.catalog import Catalog
from bus.catalog.compatibility import can_read
from bus.catalog.plain import from_json
from bus.catalog.readers import older
from bus.catalog.registry import COMPATIBILITY, Pushed, Registry
from bus.catalog.single import encode_one
from bus.catalog.wire import Reader, frame
from bus.errors import SchemaIncompatible, SchemaUnknown
from bus.local.endpoints import Endpoints
from bus.model import SchemaVersion, Stream
from tests.unit.catalog.test_compatibility import CASES

pytestmark = pytest.mark.service


def stream_named(catalog: Catalog, ending: str) -> Stream:
    return next(s for name, s in catalog.streams.items() if name.endswith(f".{ending}"))


def natives(catalog: Catalog, stream: Stream) -> list[dict[str, Any]]:
    """The valid examples of a renamed stream."""
    shipped = stream.name.partition(".")[2]
    path = catalog.folder / "streams" / shipped / "examples" / "valid"
    values = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(path.glob("*.json"))]
    return [from_json(stream.latest, value)[0] for value in values]


async def test_push_twice(registry: Registry, catalog: Catalog, engines: Endpoints) -> None:
    """All versions are there once, each subject FULL_TRANSITIVE, and a second push finds them."""
    dry = await registry.push(catalog, dry_run=True)
    first = await registry.push(catalog)
    second = await registry.push(catalog)

    assert {line.outcome for line in dry} == {Pushed.WOULD_REGISTER}
    assert {line.outcome for line in first} == {Pushed.REGISTERED}
    assert {line.outcome for line in second} == {Pushed.PRESENT}
    assert [line.schema_id for line in first] == [line.schema_id for line in second]
    async with httpx.AsyncClient() as client:
        for stream in catalog.streams.values():
            answer = await client.get(f"{engines.registry}/config/{stream.schema_subject}")
            assert answer.json() == {"compatibilityLevel": COMPATIBILITY}
            answer = await client.get(
                f"{engines.registry}/subjects/{stream.schema_subject}/versions"
            )
            assert len(answer.json()) == len(stream.versions)


async def test_pushes_at_once(catalog: Catalog, engines: Endpoints, registry: Registry) -> None:
    """Five processes that start together register each version once."""
    others = [Registry(engines.registry) for _ in range(5)]
    try:
        reports = await asyncio.gather(*(other.push(catalog) for other in others))
    finally:
        for other in others:
            await other.close()

    ids = {tuple(line.schema_id for line in report) for report in reports}
    assert len(ids) == 1
    async with httpx.AsyncClient() as client:
        for stream in catalog.streams.values():
            answer = await client.get(
                f"{engines.registry}/subjects/{stream.schema_subject}/versions"
            )
            assert len(answer.json()) == len(stream.versions)


async def test_an_incompatible_version_is_refused(registry: Registry, catalog: Catalog) -> None:
    """The registry is the second guard: what slips past the loader is refused there."""
    await registry.push(catalog)
    stream = stream_named(catalog, "household")
    schema = dict(stream.latest.schema)
    schema["fields"] = [*schema["fields"], {"name": "needed", "type": "string"}]
    text = json.dumps(schema)
    worse = SchemaVersion(stream.name, 2, schema, text, "0" * 64)
    spoilt = Stream(stream.name, stream.ja, (stream.latest, worse), (), ())
    wrong = Catalog({stream.name: spoilt}, {}, {}, catalog.folder, {})

    for dry_run in (True, False):
        with pytest.raises(SchemaIncompatible) as refused:
            await registry.push(wrong, dry_run=dry_run)
        assert refused.value.where["version"] == 2


async def test_what_is_not_there(registry: Registry, catalog: Catalog) -> None:
    """Unknown is unknown, not away."""
    with pytest.raises(SchemaUnknown):
        await registry.id_of(stream_named(catalog, "resident").latest)
    with pytest.raises(SchemaUnknown):
        await registry.schema_of(2_000_000_000)


async def test_read_through_the_registry(
    registry: Registry, catalog: Catalog, engines: Endpoints
) -> None:
    """Another process, knowing nothing yet, reads mixed versions by their ids."""
    await registry.push(catalog)
    stream = stream_named(catalog, "resident")
    first, second = stream.versions
    framed: list[bytes] = []
    expected: list[dict[str, Any]] = []
    for value in natives(catalog, stream):
        framed += frame(await registry.id_of(second), [encode_one(second, value)])
        framed += frame(await registry.id_of(first), [encode_one(first, older(first, value))])
        expected += [value, {**value, "former_family_name": None, "former_family_name_kana": None}]

    async with Registry(engines.registry) as fresh:
        records = await Reader(stream, catalog, fresh).read(framed)

    assert records.to_pylist() == expected


# What the registry allows and we refuse, on purpose: it does not look at units of time.
STRICTER = {"a day is no number", "another unit of time", "another unit in a nullable"}


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
async def test_the_registry_judges_compatibility_as_we_do(
    engines: Endpoints, case: tuple[str, dict[str, Any], dict[str, Any], list[str]]
) -> None:
    """FULL_TRANSITIVE asked of the registry is our answer both ways."""
    name, reader, writer, _ = case
    ours = not can_read(reader, writer) and not can_read(writer, reader)
    with subject(engines) as url:
        async with httpx.AsyncClient() as client:
            level = {"compatibility": COMPATIBILITY}
            await client.put(url.replace("/subjects/", "/config/"), json=level)
            await client.post(f"{url}/versions", json={"schema": json.dumps(writer)})
            answer = await client.post(
                f"{url.replace('/subjects/', '/compatibility/subjects/')}/versions",
                json={"schema": json.dumps(reader)},
            )

    theirs = answer.json()["is_compatible"]
    assert theirs == (ours or name in STRICTER)


@contextmanager
def subject(engines: Endpoints) -> Iterator[str]:
    """A subject of this test alone."""
    url = f"{engines.registry}/subjects/test-{uuid.uuid4().hex}-value"
    yield url
    for permanent in ("false", "true"):
        httpx.delete(url, params={"permanent": permanent})


async def test_a_plain_confluent_deserializer_reads_every_stream(
    registry: Registry, catalog: Catalog, engines: Endpoints
) -> None:
    """Any Kafka client with Confluent's deserialiser reads what we write."""
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    await registry.push(catalog)
    with SchemaRegistryClient({"url": engines.registry}) as client:
        deserialize = AvroDeserializer(client)
        for stream in catalog.streams.values():
            values = natives(catalog, stream)
            assert values
            for version in stream.versions:
                context = SerializationContext(stream.topic, MessageField.VALUE)
                for value in (older(version, value) for value in values):
                    (framed,) = frame(await registry.id_of(version), [encode_one(version, value)])
                    assert await asyncio.to_thread(deserialize, framed, context) == value
