"""Ask the receiving databases directly, so that the counts do not rest on the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from bus.demo.result import Arrival
from bus.errors import EngineError
from bus.model import Change, ChangeRecord, Comparison, Condition, View

SCHEMA = "linkage"
POLL_SECONDS = 0.02

_ARRIVED = """
SELECT renkei_applied_at FROM {table}
WHERE municipality_code = %s AND subject_id = %s AND version >= %s
"""

_OF_CHANGES = "SELECT count(*) FROM {table} WHERE change_id = ANY(%s)"


@dataclass(slots=True)
class Store:
    """One system's own database, read with that system's role."""

    system: str
    ja: str
    views: Mapping[str, View]
    connection: psycopg.AsyncConnection[Any]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def expects(self, change: Change) -> list[ChangeRecord]:
        """The records of *change* that this system should have."""
        return [
            record
            for record in change.records
            if record.stream in self.views
            and record.event_type in self.views[record.stream].event_types
            and all(_holds(each, record) for each in self.views[record.stream].conditions)
        ]

    async def arrived(self, change: Change) -> datetime | None:
        """When the last of the change's records was applied here; None if one is missing."""
        times: list[datetime] = []
        async with self.lock:
            for record in self.expects(change):
                cursor = await self.connection.execute(
                    sql.SQL(_ARRIVED).format(table=_table(record.stream)),
                    (change.municipality_code, record.subject_id, record.version),
                )
                row = await cursor.fetchone()
                if row is None:
                    return None
                times.append(row[0])
        return max(times)

    async def rows(self) -> int:
        """The number of rows in all its tables."""
        total = 0
        async with self.lock:
            for stream in self.views:
                cursor = await self.connection.execute(
                    sql.SQL("SELECT count(*) FROM {}").format(_table(stream))
                )
                row = await cursor.fetchone()
                total += row[0] if row else 0
        return total

    async def rows_of(self, change_ids: Mapping[str, Collection[str]]) -> int:
        """How many rows its tables hold of the events of these changes, given by stream."""
        total = 0
        async with self.lock:
            for stream in change_ids.keys() & self.views.keys():
                cursor = await self.connection.execute(
                    sql.SQL(_OF_CHANGES).format(table=_table(stream)), (list(change_ids[stream]),)
                )
                row = await cursor.fetchone()
                total += row[0] if row else 0
        return total

    async def reached(self) -> int:
        """The sum of its lanes' positions: how many offsets of the log it has passed."""
        async with self.lock:
            cursor = await self.connection.execute(
                sql.SQL('SELECT coalesce(sum("offset"), 0) FROM {}').format(
                    sql.Identifier(SCHEMA, "renkei_position")
                )
            )
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def row(self, record: ChangeRecord, municipality_code: str) -> dict[str, Any]:
        """The subject's row as this system holds it; empty if there is none."""
        async with self.lock, self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                sql.SQL("SELECT * FROM {} WHERE municipality_code = %s AND subject_id = %s").format(
                    _table(record.stream)
                ),
                (municipality_code, record.subject_id),
            )
            return await cursor.fetchone() or {}


class Stores:
    """The databases of all systems, asked in parallel."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores

    def __getitem__(self, system: str) -> Store:
        return next(store for store in self.stores if store.system == system)

    async def arrivals(self, change: Change, committed_at: datetime) -> list[Arrival]:
        """How a change stands now in each system that should have it."""
        expecting = [store for store in self.stores if store.expects(change)]
        times = await asyncio.gather(*(store.arrived(change) for store in expecting))
        return [
            Arrival(
                store.system,
                store.ja,
                applied=at is not None,
                after_ms=None if at is None else (at - committed_at).total_seconds() * 1_000,
            )
            for store, at in zip(expecting, times, strict=True)
        ]

    async def watch(
        self, change: Change, committed_at: datetime, within: float
    ) -> AsyncIterator[list[Arrival]]:
        """The arrivals, again and again, until all are there or *within* seconds have passed."""
        until = asyncio.get_running_loop().time() + within
        while True:
            arrivals = await self.arrivals(change, committed_at)
            yield arrivals
            is_over = asyncio.get_running_loop().time() >= until
            if is_over or all(arrival.applied for arrival in arrivals):
                return
            await asyncio.sleep(POLL_SECONDS)

    async def rows(self) -> int:
        """The number of rows in all tables of all systems."""
        return sum(await asyncio.gather(*(store.rows() for store in self.stores)))

    async def reached(self) -> list[int]:
        """The sum of positions by system; 0 for one whose tables are not made yet."""
        return list(await asyncio.gather(*(_reached(store) for store in self.stores)))


async def _reached(store: Store) -> int:
    try:
        return await store.reached()
    except psycopg.errors.UndefinedTable:
        return 0


@asynccontextmanager
async def opened(
    uris: Mapping[str, str], names: Mapping[str, str], views: Mapping[str, Mapping[str, View]]
) -> AsyncIterator[Stores]:
    """Connections to all systems' databases, each with the system's own role.

    Raises:
        EngineError: The server ended, or answers no more (its disk may be full).
    """
    try:
        async with AsyncExitStack() as stack:
            stores = []
            for system in sorted(uris):
                connection = await psycopg.AsyncConnection.connect(uris[system], autocommit=True)
                stack.push_async_callback(connection.close)
                stores.append(Store(system, names[system], views[system], connection))
            yield Stores(stores)
    except psycopg.OperationalError:
        raise EngineError(
            "the systems' database does not answer any more; its log says why: logs/postgres.log"
        ) from None


def _holds(condition: Condition, record: ChangeRecord) -> bool:
    """Whether the record fulfils a condition of a view; its body is JSON."""
    value: Any = record.body
    for name in condition.path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    wanted = [each.isoformat() if isinstance(each, date) else each for each in condition.values]
    match condition.comparison:
        case Comparison.IS_NULL:
            return (value is None) == wanted[0]
        case Comparison.AT_LEAST:
            return value is not None and value >= wanted[0]
        case Comparison.EQUALS | Comparison.IN:
            return value is not None and value in wanted


def _table(stream: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, stream.replace(".", "_"))
