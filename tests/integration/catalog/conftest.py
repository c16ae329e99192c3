"""The shipped catalogue under names of this test alone, and the real registry."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from bus.catalog import Catalog, load
from bus.catalog.registry import Registry
from bus.local.endpoints import Endpoints


@pytest.fixture
def catalog() -> Catalog:
    """The shipped streams, renamed, so that tests share no subject."""
    shipped, mark = load(), uuid.uuid4().hex[:12]
    streams, versions = {}, {}
    for stream in shipped.streams.values():
        name = f"test-{mark}.{stream.name}"
        renamed = tuple(replace(version, stream=name) for version in stream.versions)
        streams[name] = replace(stream, name=name, versions=renamed)
        versions.update({version.fingerprint: version for version in renamed})
    return Catalog(streams, shipped.codes, shipped.systems, shipped.folder, versions)


@pytest.fixture
async def registry(engines: Endpoints, catalog: Catalog) -> AsyncIterator[Registry]:
    """The real registry; what the test put there goes again."""
    async with Registry(engines.registry) as opened:
        yield opened
    async with httpx.AsyncClient(base_url=engines.registry) as client:
        for stream in catalog.streams.values():
            for permanent in ("false", "true"):
                path = f"{engines.registry}/subjects/{stream.schema_subject}"
                await client.delete(path, params={"permanent": permanent})
