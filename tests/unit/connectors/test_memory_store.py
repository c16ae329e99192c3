"""The store in memory, where it is more than a sink."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bus.conformance.sink_suite import batch_of, opened, person, view_of
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore


async def test_rows_are_copies() -> None:
    """A test that changes what it read changes nothing of the store."""
    store, view = MemoryStore(), view_of()
    async with opened(MemorySink(MemoryOptions(store=store)), view) as sink:
        await sink.apply(batch_of(view, [person("1", members_subject_id=["a"])]))

    store.rows("resident")[0]["members_subject_id"].append("b")

    assert store.rows("resident")[0]["members_subject_id"] == ["a"]
    assert store.rows("household") == []


def test_each_options_has_a_store_of_its_own() -> None:
    """Nothing is shared unless it is handed over."""
    assert MemoryOptions().store is not MemoryOptions().store
    with pytest.raises(ValidationError):
        MemoryOptions.model_validate({"storage": 1})
