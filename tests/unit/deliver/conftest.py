"""A town and a store for each test of lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bus import failpoints
from bus.conformance.sink_suite import rows_of
from bus.errors import EventRefused, SinkUnavailable
from bus.failpoints import Point
from bus.model import Applied, Delivery, Erasures, View, content_of
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.lanes import Town

SYSTEM = "child_allowance"
Sinks = dict[str, Callable[[View], Any]]


class WatchedSink(MemorySink):
    """A sink in memory that writes down what it is asked, and can refuse or be cut off."""

    def __init__(self, store: WatchedStore) -> None:
        super().__init__(MemoryOptions(store=store))
        self._watched = store

    async def apply(self, batch: Delivery) -> Applied:
        self._watched.applies.append(batch)
        refused = self._watched.refused
        if any(row.get("subject_id") in refused for row in rows_of(batch)):
            raise EventRefused("the store refuses a row")
        if isinstance(content_of(batch), Erasures) and self._watched.refuses_erasures:
            raise EventRefused("the store refuses to erase")
        applied = await super().apply(batch)
        self._watched.applied.append(batch)
        if self._watched.is_unheard:
            self._watched.is_unheard = False
            raise SinkUnavailable("the answer was lost")
        return applied


class WatchedStore(MemoryStore):
    """What the sinks of a test share."""

    def __init__(self) -> None:
        super().__init__()
        self.applies: list[Delivery] = []  # asked
        self.applied: list[Delivery] = []  # done
        self.refused: set[str] = set()  # subjects
        self.refuses_erasures = False
        self.is_unheard = False  # the next apply commits, and nobody hears of it

    def versions(self, stream: str = "resident") -> dict[str, int]:
        """Subject -> the version that is held."""
        return {row["subject_id"]: row["version"] for row in self.rows(stream)}


@pytest.fixture
async def town() -> Town:
    """One partition per topic."""
    made = Town()
    await made.build()
    return made


@pytest.fixture
def store() -> WatchedStore:
    """What the system holds; survives restarts."""
    return WatchedStore()


@pytest.fixture
def sinks(store: WatchedStore) -> Sinks:
    """Sinks over the store, new ones for each process."""
    return {SYSTEM: lambda _view: WatchedSink(store)}


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """``crash_at(point, nth)``: the nth time that *point* is passed, the lane dies."""

    def arm(point: Point | None, nth: int = 1) -> None:
        left = nth

        def kill(reached: Point) -> None:
            nonlocal left
            if reached is point:
                left -= 1
                if left == 0:
                    raise RuntimeError("killed")

        monkeypatch.setattr(failpoints, "_kill", kill if point else None)

    yield arm
    monkeypatch.setattr(failpoints, "_kill", None)
