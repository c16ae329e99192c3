"""Keep what a view delivers in a value of this process: for tests, demos, and as an example.

The store is an object of its own, shared by the sinks that are given it. A sink that is closed
and made anew over the same store therefore finds what was there, as after a restart. Every
batch takes effect whole or not at all, and a position moves only from where the batch starts.
Like most databases it refuses text with a NUL character, so that parking can be tried on it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bus.errors import EventRefused, LaneLost, SinkUnavailable
from bus.model import Applied, Checkpoint, Keeping, View, ViewBatch
from bus.points import Point

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]


@dataclass
class MemoryStore:
    """What one system holds. ``is_away`` and ``on_point`` are for tests to make trouble with."""

    tables: dict[str, Table] = field(default_factory=dict)  # by stream
    checkpoints: dict[tuple[str, int], Checkpoint] = field(default_factory=dict)
    is_away: bool = False
    on_point: Callable[[Point], None] = lambda _: None  # what it raises is a crash at that step
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def rows(self, stream: str) -> list[Row]:
        """Copies of a stream's rows, in the order of their keys."""
        table = self.tables.get(stream, {})
        return [copy.deepcopy(table[key]) for key in sorted(table)]


class MemoryOptions(BaseModel):
    """Options of a memory sink: the store it works on, by default one of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    store: MemoryStore = Field(default_factory=MemoryStore)


class MemorySink:
    """Rows by key in a :class:`MemoryStore`; newest version, or each event once."""

    Options = MemoryOptions

    def __init__(self, options: MemoryOptions) -> None:
        self._store = options.store
        self._view: View | None = None

    async def open(self, view: View) -> Mapping[int, Checkpoint]:
        self._reach_store()
        self._view = view
        self._store.tables.setdefault(view.stream, {})
        return {
            partition: checkpoint
            for (stream, partition), checkpoint in self._store.checkpoints.items()
            if stream == view.stream
        }

    async def apply(self, batch: ViewBatch) -> Applied:
        self._reach_store()
        checkpoint = self._moved(batch)
        self._store.on_point(Point.SINK_MOVED)
        table = dict(self._store.tables[batch.view.stream])
        rows = _erase(table, batch) if batch.erased else _write(table, batch)
        self._store.on_point(Point.SINK_WRITTEN)
        self._store.tables[batch.view.stream] = table
        self._store.checkpoints[batch.view.stream, batch.partition] = checkpoint
        self._store.on_point(Point.SINK_COMMITTED)
        return Applied(rows, checkpoint.applied_at)

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        self._reach_store()
        if self._view is None:
            raise SinkUnavailable("the store is not open", partition=partition)
        return self._store.checkpoints.get((self._view.stream, partition))

    async def close(self) -> None:
        self._view = None

    def _reach_store(self) -> None:
        if self._store.is_away:
            raise SinkUnavailable("the store does not answer")

    def _moved(self, batch: ViewBatch) -> Checkpoint:
        """The lane's next checkpoint; a replay keeps the position that is there."""
        if self._view is None:
            raise SinkUnavailable("the store is not open", partition=batch.partition)
        stored = self._store.checkpoints.get((batch.view.stream, batch.partition))
        here = stored.position.offset if stored else 0
        log = (batch.end.cluster_id, batch.end.topic)
        if here != batch.start or (
            stored and (stored.position.cluster_id, stored.position.topic) != log
        ):
            raise LaneLost(
                "somebody else moved this lane",
                stream=batch.view.stream,
                partition=batch.partition,
                expected=batch.start,
                stored=here,
            )
        is_replay = stored is not None and batch.end.offset == batch.start
        position = stored.position if stored and is_replay else batch.end
        return Checkpoint(position=position, receipt=batch.receipt, applied_at=self._store.clock())


def _write(table: Table, batch: ViewBatch) -> int:
    """Put the batch's rows into *table*; how many changed it."""
    changed = 0
    for row in batch.records.to_pylist():
        if any("\x00" in text for text in _texts(row)):
            raise EventRefused("the store takes no NUL character", stream=batch.view.stream)
        key = tuple(row[name] for name in batch.view.key)
        stored = table.get(key)
        is_newer = stored is None or (
            batch.view.keeping is Keeping.STATE and stored["version"] < row["version"]
        )
        if is_newer:
            table[key] = row
            changed += 1
    return changed


def _erase(table: Table, batch: ViewBatch) -> int:
    """Take erased subjects out of a state table; a history stays what it was."""
    if batch.view.keeping is Keeping.HISTORY:
        return 0
    keys = {tuple(key.split("/", 1)) for key in batch.erased}
    return sum(table.pop(key, None) is not None for key in keys)


def _texts(row: Row) -> list[str]:
    flat = (
        item for value in row.values() for item in (value if isinstance(value, list) else [value])
    )
    return [item for item in flat if isinstance(item, str)]
