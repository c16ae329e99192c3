"""A town and a store for each test, as for those of lanes."""

from tests.unit.deliver.conftest import crash_at, sinks, store, town

__all__ = ["crash_at", "sinks", "store", "town"]
