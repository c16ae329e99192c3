"""A log that mixes versions of a stream reaches all systems that subscribe to either."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import lanes, mixed
from tests.support.lanes import CATALOG, Town, hosted, view_of
from tests.unit.deliver.conftest import WatchedSink, WatchedStore


async def test_every_system_gets_what_its_view_has_of_either_version(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views are on the newest version: an older event has nulls there, a newer loses nothing."""
    monkeypatch.setattr(lanes, "SUBSCRIPTIONS", mixed.narrowed())
    stores = {system: WatchedStore() for system in mixed.GRANTED}
    sinks: dict[str, Any] = {
        system: lambda _view, store=store: WatchedSink(store) for system, store in stores.items()
    }
    end = await mixed.publish_mixed(town)

    async with hosted(town, sinks) as bus:
        await mixed.all_at(bus, end, 5)

    for system, store in stores.items():
        assert len(store.applied) == 1  # one batch of both versions
        names = mixed.columns(system)
        held = {
            row["subject_id"]: tuple(row[name] for name in names) for row in store.rows("resident")
        }
        assert held == mixed.expected(system)
    receipts = town.read_all("receipt")
    assert {(r["system"], r["delivered"]) for r in receipts} == {
        (system, f"{{[0,{end})}}") for system in mixed.GRANTED
    }


def test_the_systems_read_items_of_one_version_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would not say what it says."""
    monkeypatch.setattr(lanes, "SUBSCRIPTIONS", mixed.narrowed())
    first, second = CATALOG.stream("resident").versions[:2]
    added = {field["name"] for field in second.schema["fields"]} - {
        field["name"] for field in first.schema["fields"]
    }

    def of_body(system: str) -> set[str]:
        paths = {column.path for column in view_of(system, "resident").columns}
        return {path for path in paths if path and not path.startswith("header.")} - {"protected"}

    assert of_body("child_allowance") == added
    assert not of_body("national_pension") & added
    assert of_body("electoral_roll") & added
    assert of_body("electoral_roll") - added
