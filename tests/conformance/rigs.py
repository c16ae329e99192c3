"""How each sink of the roster is put through the shared suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from bus.connect import Sink
from bus.model import View
from bus.points import Point
from bus.testing.sink_suite import Killed, Row
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore


class MemoryRig:
    """Sinks over one store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def sink(self) -> Sink:
        return MemorySink(MemoryOptions(store=self.store))

    async def stored(self, view: View) -> list[Row]:
        names = view.schema.names
        return [{n: row.get(n) for n in names} for row in self.store.rows(view.stream)]

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        self.store.is_away = True
        yield
        self.store.is_away = False

    async def drop_connections(self) -> None:
        """A store in memory has no connections."""

    @contextmanager
    def killing(self, point: Point) -> Iterator[None]:
        def kill(passed: Point) -> None:
            if passed is point:
                raise Killed

        before, self.store.on_point = self.store.on_point, kill
        yield
        self.store.on_point = before
