"""A batch that is part of a larger one is written like any other."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bus.catalog import Catalog, load
from bus.catalog.columns import decode, encode
from bus.sample.municipality import Municipality


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The shipped streams."""
    return load()


@pytest.mark.parametrize("stream", ["resident", "household", "protection"])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_slice_is_written_like_a_copy(catalog: Catalog, stream: str, first: int) -> None:
    """Where a slice begins does not matter, nested records and lists included."""
    version = catalog.stream(stream).latest
    whole = next(Municipality(7, 3_000).columns(catalog.stream(stream)))
    part = whole.slice(first, 3)

    payloads = encode(version, part)

    assert payloads == encode(version, part.take(pa.array([0, 1, 2])))
    assert decode(version, payloads).equals(
        decode(version, encode(version, whole)[first : first + 3])
    )
