"""A town and a store for each test, as for those of lanes."""

from tests.unit.deliver.conftest import sinks, store, town

__all__ = ["sinks", "store", "town"]
