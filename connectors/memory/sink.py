"""Keep what a view delivers in memory: for tests and demos, and as an example.

The store is an object of its own, shared by the sinks that are given it. A sink that is closed
and made anew over the same store therefore finds what was there, as after a restart. Every
delivery takes effect whole or not at all, and a position moves only from where it starts.
Like most databases it refuses text with a NUL character, so that parking can be tried on it.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from bus.connect import (
    EVERY,
    STAGING,
    AppliedView,
    Capabilities,
    LeftoverStaging,
    LockedTarget,
    Merged,
    Staging,
    Withheld,
    digests_of,
    insist_on_position,
    insist_on_view,
    is_behind,
    retraction,
)
from bus.errors import (
    ConfigurationError,
    EventRefused,
    FenceBehind,
    RebuildBusy,
    SinkUnavailable,
)
from bus.failpoints import Point
from bus.model import (
    Applied,
    Checkpoint,
    Delivery,
    Erasures,
    Keeping,
    Mark,
    Protected,
    ProtectionChange,
    Reached,
    Rewrites,
    ToRestore,
    Upserts,
    View,
    content_of,
    knows,
)
from connectors.memory.suppression import restorable, suppress

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]


@dataclass
class MemoryStore:
    """One system's rows and checkpoints. Tests make trouble with ``is_away`` and ``on_point``."""

    tables: dict[str, Table] = field(default_factory=dict)  # by stream
    checkpoints: dict[tuple[str, int], Checkpoint] = field(default_factory=dict)
    standings: dict[str, AppliedView] = field(default_factory=dict)  # by stream
    rebuilt: set[str] = field(default_factory=set)  # streams that somebody rebuilds now
    since: dict[str, datetime] = field(default_factory=dict)  # when a staging table was made
    writing: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )  # by table
    withheld: dict[str, Withheld] = field(default_factory=dict)  # by stream
    fence: dict[str, int] = field(default_factory=dict)  # what coverage was applied as of
    taken: set[tuple[str, tuple[Any, ...]]] = field(default_factory=set)  # to be restored
    is_away: bool = False
    on_point: Callable[[Point], None] = lambda _: None  # what it raises is a crash at that step
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def rows(self, stream: str) -> list[Row]:
        """Copies of a stream's rows, in the order of their keys."""
        table = self.tables.get(stream, {})
        return [copy.deepcopy(table[key]) for key in sorted(table)]

    def checkpoints_of(self, stream: str) -> dict[int, Checkpoint]:
        """A stream's checkpoints, by partition."""
        return {p: held for (name, p), held in self.checkpoints.items() if name == stream}

    def forget(self, stream: str) -> None:
        """Drop a stream's rows and checkpoints, and its applied view."""
        self.tables.pop(stream, None)
        self.standings.pop(stream, None)
        for partition in self.checkpoints_of(stream):
            del self.checkpoints[stream, partition]


class MemoryOptions(BaseModel):
    """Options of a memory sink: the store it works on, by default one of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    store: InstanceOf[MemoryStore] = Field(default_factory=MemoryStore)


class MemorySink:
    """Rows by key in a :class:`MemoryStore`: the newest version, or each event once."""

    Options = MemoryOptions

    def __init__(self, options: MemoryOptions) -> None:
        self._store = options.store
        self._view: View | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            accepts=EVERY,
            transactional=self,
            reshapes=self,
            suppresses=self,
            stages=self,
            readable=self,
        )

    async def open(self, view: View) -> None:
        self._reach_store()
        async with self._store.writing[self._table_of(view)]:
            self._stand(view)
        self._view = view
        self._store.tables.setdefault(self._key, {})
        self._note(view)

    async def digests(self, buckets: int) -> Mapping[int, str]:
        return digests_of(self._held(), buckets)

    async def rows(self, keys: Collection[str]) -> pa.RecordBatch:
        return self._held(set(keys))

    async def apply(self, delivery: Delivery) -> Applied:
        content = content_of(delivery)
        async with self._store.writing[self._key]:
            self._reach_store()
            self._insist_on_view(delivery.view)
            self._insist_on_fence(delivery)
            checkpoint = self._moved(delivery)
            self._store.on_point(Point.SINK_MOVED)
            stream, before = self._key, self._store.tables
            tables = before | {stream: dict(before[stream])}
            rows = _applied(tables[stream], content)
            taken = self._store.taken
            if isinstance(delivery, Rewrites):
                taken = taken - {(stream, _key_of(key)) for key in delivery.keys}
            if isinstance(delivery, ProtectionChange):
                taken = taken | _suppressed(self._store, tables, delivery.protected)
            self._store.on_point(Point.SINK_WRITTEN)
            self._store.tables, self._store.taken = tables, taken
            self._store.checkpoints[stream, delivery.partition] = checkpoint
            if isinstance(delivery, ProtectionChange):
                self._store.fence |= delivery.protected.as_of
            self._store.on_point(Point.SINK_COMMITTED)
            return Applied(rows, checkpoint.applied_at)

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        self._reach_store()
        if self._view is None:
            raise SinkUnavailable("the store is not open", partition=partition)
        return self._store.checkpoints.get((self._key, partition))

    async def checkpoints(self) -> Mapping[int, Checkpoint]:
        self._reach_store()
        if self._view is None:
            raise SinkUnavailable("the store is not open")
        return self._store.checkpoints_of(self._key)

    async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
        self._reach_store()
        store, gone = self._store, []
        for stream in sorted(store.standings.keys() - set(granted)):
            async with store.writing[stream]:
                standing = store.standings[stream]
                is_held = standing.fingerprint and not stream.endswith(STAGING)
                if is_held and standing.edition <= edition:
                    store.forget(stream)
                    store.forget(stream + STAGING)
                    store.standings[stream] = AppliedView.nothing(edition)
                    gone.append(stream)
        return gone

    def staging(self) -> Staging:
        return MemoryStaging(MemoryOptions(store=self._store))

    async def to_restore(self) -> ToRestore:
        self._reach_store()
        if self._view is None:
            raise SinkUnavailable("the store is not open")
        table = self._store.tables[self._key]
        keys = sorted(key for stream, key in self._store.taken if stream == self._key)
        rows = {"/".join(key): table[key]["version"] if key in table else 0 for key in keys}
        return ToRestore(dict(self._store.fence), rows)

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        self._reach_store()
        return {
            lane: Mark(held.position.offset, held.applied_at)
            for lane, held in self._store.checkpoints.items()
        }

    async def close(self) -> None:
        self._view = None

    def _held(self, keys: Collection[str] | None = None) -> pa.RecordBatch:
        """What the table holds, of these subjects or of all."""
        self._reach_store()
        if self._view is None:
            raise SinkUnavailable("the store is not open")
        rows = [
            row
            for row in self._store.rows(self._key)
            if keys is None or f"{row['municipality_code']}/{row['subject_id']}" in keys
        ]
        return pa.RecordBatch.from_pylist(rows, schema=self._view.schema)

    @property
    def _key(self) -> str:
        """The name of the stream's table in the store."""
        return "" if self._view is None else self._table_of(self._view)

    def _table_of(self, view: View) -> str:
        return view.stream

    def _stand(self, view: View) -> None:
        """Note *view* as the table's applied view, and give up what it does not show."""
        store, stream = self._store, view.stream
        before = store.standings.get(stream)
        if not is_behind(before, view):
            return
        gone = retraction(before, view)
        if gone.everything:
            store.forget(stream)
        if before is not None and before.fingerprint != view.fingerprint:
            store.forget(stream + STAGING)
        store.tables[stream] = {
            key: row | dict.fromkeys(name for name in gone.columns if name in row)
            for key, row in store.tables.get(stream, {}).items()
            if row.get("event_type") not in gone.event_types
        }
        store.standings[stream] = AppliedView.of(view)

    def _insist_on_view(self, view: View) -> None:
        if self._view is None:
            raise SinkUnavailable("the store is not open")
        insist_on_view(self._store.standings.get(self._key), view)

    def _note(self, view: View) -> None:
        """Note which columns of this table are withheld, for protections to come."""
        withheld, noted = Withheld.of(view), self._store.withheld.get(self._key)
        if withheld is None:
            self._store.withheld.pop(self._key, None)
        else:
            self._store.withheld[self._key] = withheld if noted is None else withheld.after(noted)

    def _insist_on_fence(self, delivery: Delivery) -> None:
        """Refuse rows that were masked under older coverage than is applied here, and older
        coverage."""
        view, content = delivery.view, content_of(delivery)
        if isinstance(delivery, ProtectionChange):
            _insist_on_coverage(self._store, delivery.protected.as_of, view)
        if isinstance(content, Erasures) or not content.records.num_rows:
            return
        if view.is_fenced:
            _insist_on_coverage(self._store, content.masked_under or {}, view)

    def _reach_store(self) -> None:
        if self._store.is_away:
            raise SinkUnavailable("the store does not answer")

    def _moved(self, delivery: Delivery) -> Checkpoint:
        """The lane's next checkpoint; a delivery out of turn keeps the position."""
        if self._view is None:
            raise SinkUnavailable("the store is not open", partition=delivery.partition)
        stored = self._store.checkpoints.get((self._key, delivery.partition))
        insist_on_position(stored, delivery)
        is_replay = stored is not None and delivery.end.offset == delivery.start
        position = stored.position if stored and is_replay else delivery.end
        return Checkpoint(
            position=position,
            receipt=delivery.receipt,
            applied_at=self._store.clock(),
            proof=delivery.proof,
        )


class MemoryStaging(MemorySink):
    """A staging table beside the one in use."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(accepts=EVERY, transactional=self, reshapes=self, suppresses=self)

    def _table_of(self, view: View) -> str:
        return super()._table_of(view) + STAGING

    def _stand(self, view: View) -> None:
        store, key = self._store, self._table_of(view)
        if view.keeping is not Keeping.STATE:
            raise ConfigurationError("a history is not rebuilt", stream=view.stream)
        if self._view is None:
            if view.stream in store.rebuilt:
                raise RebuildBusy("somebody else rebuilds this table now", stream=view.stream)
            store.rebuilt.add(view.stream)
        _insist(store, view)
        standing = store.standings.get(key)
        if standing is None or standing.fingerprint != view.fingerprint:
            store.forget(key)
            store.standings[key] = AppliedView.of(view)
            store.since[key] = store.clock()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[LockedTarget]:
        self._reach_store()
        if self._view is None:
            raise SinkUnavailable("the store is not open")
        async with self._store.writing[self._view.stream]:
            _insist(self._store, self._view)
            yield _LockedTable(self._store, self._view)

    async def drop(self) -> None:
        self._store.forget(self._key)

    async def left(self, view: View) -> LeftoverStaging | None:
        self._reach_store()
        store, key = self._store, self._table_of(view)
        if key not in store.standings and key not in store.tables:
            return None
        events = sum(held.position.offset for held in store.checkpoints_of(key).values())
        return LeftoverStaging(len(store.tables.get(key, {})), events, store.since.get(key))

    async def discard(self, view: View) -> LeftoverStaging | None:
        if view.stream in self._store.rebuilt:
            raise RebuildBusy("somebody else rebuilds this table now", stream=view.stream)
        found = await self.left(view)
        self._store.forget(self._table_of(view))
        return found

    async def close(self) -> None:
        if self._view is not None:
            self._store.rebuilt.discard(self._view.stream)
        await super().close()


class _LockedTable:
    """The locked table in use, and how the staging table is merged into it."""

    def __init__(self, store: MemoryStore, view: View) -> None:
        self._store = store
        self._view = view
        self.checkpoints = store.checkpoints_of(view.stream)

    async def merge(self, settled: Collection[str], protected: Protected | None = None) -> Merged:
        store, stream, key = self._store, self._view.stream, self._view.stream + STAGING
        if protected is not None:
            _insist_on_coverage(store, protected.as_of, self._view)
        before, fresh = store.tables.get(stream, {}), dict(store.tables.get(key, {}))
        kept = 0
        for row_key, row in before.items():
            if row_key in fresh:
                is_kept = row["version"] > fresh[row_key]["version"]
            else:
                is_kept = "/".join(map(str, row_key)) in settled
            if is_kept:
                fresh[row_key], kept = row, kept + 1
        store.on_point(Point.SINK_MERGED)
        moved = {(stream, p): held for p, held in store.checkpoints_of(key).items()}
        store.forget(key)
        for partition in store.checkpoints_of(stream):
            del store.checkpoints[stream, partition]
        store.checkpoints.update(moved)
        store.tables[stream] = fresh
        store.taken = {(stream if table == key else table, row) for table, row in store.taken}
        if protected is not None:
            store.taken |= _suppressed(store, store.tables, protected)
            store.fence |= protected.as_of
        common = before.keys() & fresh.keys()
        return Merged(
            changed=sum(before[each] != fresh[each] for each in common),
            added=len(fresh) - len(common),
            removed=len(before) - len(common),
            kept=kept,
        )


def _suppressed(
    store: MemoryStore, tables: dict[str, Table], protected: Protected
) -> set[tuple[str, tuple[Any, ...]]]:
    """Take locations out of all *tables*; which rows may have theirs back."""
    taken = set()
    for stream, withheld in store.withheld.items():
        if stream not in tables:
            continue
        tables[stream] = suppress(tables[stream], withheld, protected)
        taken |= {(stream, key) for key in restorable(tables[stream], withheld, protected)}
    return taken


def _insist_on_coverage(store: MemoryStore, known: Reached, view: View) -> None:
    if not knows(known, store.fence):
        raise FenceBehind(
            "the store knows of newer coverage than this was masked under", stream=view.stream
        )


def _insist(store: MemoryStore, view: View) -> None:
    """Check that the table in use has the same applied view as the staging table."""
    now = store.standings.get(view.stream)
    if now is None or now.fingerprint != view.fingerprint:
        raise ConfigurationError(
            "the system's table does not stand under the view that is in force;"
            " have it delivered to first",
            system=view.system,
            stream=view.stream,
        )


def _applied(table: Table, content: Upserts | Erasures | Rewrites) -> int:
    """Apply *content* to *table*; how many rows changed."""
    match content:
        case Rewrites():
            return _rewrite(table, content)
        case Erasures():
            return _erase(table, content)
        case Upserts():
            return _write(table, content)


def _rewrite(table: Table, rewrites: Rewrites) -> int:
    """Replace rows by those of the same version."""
    changed = 0
    for row in rewrites.records.to_pylist():
        key = tuple(row[name] for name in rewrites.view.key)
        if key in table and table[key]["version"] == row["version"]:
            table[key] = row
            changed += 1
    return changed


def _key_of(key: str) -> tuple[str, ...]:
    return tuple(key.split("/", 1))


def _write(table: Table, upserts: Upserts) -> int:
    """Put rows into *table*; how many rows changed."""
    changed = 0
    for row in upserts.records.to_pylist():
        if any("\x00" in text for text in _texts(row)):
            raise EventRefused("the store takes no NUL character", stream=upserts.view.stream)
        key = tuple(row[name] for name in upserts.view.key)
        stored = table.get(key)
        is_newer = stored is None or (
            upserts.view.keeping is Keeping.STATE and stored["version"] < row["version"]
        )
        if is_newer:
            table[key] = row
            changed += 1
    return changed


def _erase(table: Table, erasures: Erasures) -> int:
    """Take erased subjects out of a state table; a history is not changed."""
    if erasures.view.keeping is Keeping.HISTORY:
        return 0
    keys = {_key_of(key) for key in erasures.keys}
    return sum(table.pop(key, None) is not None for key in keys)


def _texts(row: Row) -> list[str]:
    flat = (
        item for value in row.values() for item in (value if isinstance(value, list) else [value])
    )
    return [item for item in flat if isinstance(item, str)]
