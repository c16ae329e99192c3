"""The ledger's database: make its tables, and ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from bus.connect.libpq import address_of, insist_on_safety
from bus.connect.sqlstates import Database, Meaning, Row
from bus.connect.sqlstates import translated as translated_by
from bus.errors import StoreUnavailable
from bus.ledger import statements
from bus.ledger.reach import Entitlements, EventReach, Reach, reach_of
from bus.model import Edition, Operation, OperationState

SCHEMA = "ledger"
TABLE_PREFIX = "event_"
"""The options of the connector that feeds the ledger: where it writes."""

Lent: TypeAlias = AbstractAsyncContextManager[psycopg.AsyncConnection[tuple[Any, ...]]]
"""A connection for one piece of work: one of its own (:func:`connected`), or the one by which
questions are asked (:meth:`Ledger.lent`). What is done is committed at the end."""

_NONE = "there is no ledger in this database yet: renkei deliver makes it"
LEDGER = Database(
    database="the ledger's database",
    relation="the ledger",
    setting="RENKEI_DATABASE",
    misfit="the ledger's tables are not as they should be",
    away=StoreUnavailable,
    rows=(
        Row("3F000", Meaning.UNFIT, _NONE),
        Row("42883", Meaning.UNFIT, _NONE),
        Row("42P01", Meaning.UNFIT, _NONE),
        Row("42P10", Meaning.UNFIT),
    ),
)
_CONNECT_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class LaneReceipts:
    """The receipts of one lane, summed up."""

    last_applied_at: datetime
    reached: int


@dataclass(frozen=True, slots=True)
class OpenExceptions:
    """The open exceptions of one stream in one system, summed up."""

    count: int
    since: datetime  # when the oldest of them was


async def prepare(lent: Lent, streams: Sequence[str]) -> None:
    """Make the ledger's tables, indexes, views and functions; safe to repeat, and twice at once.

    To be done before the connector opens its sinks, so that offsets are kept as ranges.

    Args:
        lent: The ledger's database.
        streams: The streams whose events it keeps; not the internal ones.

    Raises:
        ConfigurationError: The database holds something else.
        Unready: The database is not there, or the role may not.
        StoreUnavailable: The database does not answer.
    """
    async with lent as connection, connection.transaction():
        await connection.execute(statements.LOCK)
        await connection.execute(statements.MAKE_SCHEMA)
        for stream in sorted(streams):
            await connection.execute(statements.make_events(stream))
        await connection.execute(statements.make_union(streams))
        await connection.execute(sql.SQL(statements.SHAPE))


class Ledger:
    """Asks the ledger. One connection, opened anew when it is lost."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def knows_system(self, system: str) -> bool:
        """Whether the ledger has any receipt of this system.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The database does not answer.
        """
        return bool(await self.ask(statements.KNOWS_SYSTEM, {"system": system}))

    async def reach(self, change_id: str, entitlements: Entitlements) -> Reach:
        """How a change stands in each of the systems.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The database does not answer.
        """
        entitled = [
            (system, stream, event_type)
            for system, streams in entitlements.items()
            for stream, event_types in streams.items()
            for event_type in event_types
        ]
        about = {
            "change_id": change_id,
            "systems": list(entitlements),
            "entitled": [system for system, _, _ in entitled],
            "streams": [stream for _, stream, _ in entitled],
            "types": [event_type for _, _, event_type in entitled],
        }
        events = await self.ask(statements.EVENTS_OF_A_CHANGE, about)
        rows = await self.ask(statements.REACH, about) if events else []
        return reach_of(
            change_id,
            size=max((event[4] for event in events), default=None),
            events=len(events),
            systems=list(entitlements),
            standings=[
                EventReach(
                    system=row[0],
                    stream=row[1],
                    partition=row[2],
                    offset=row[3],
                    delivered_at=row[4],
                    superseded_at=row[5],
                    reached=row[6],
                    exception=row[7],
                    code=row[8],
                    operation=None if row[9] is None else _operation(row[9:]),
                )
                for row in rows
            ],
            places=[(event[0], event[1], event[2]) for event in events],
        )

    async def lanes(
        self, lanes: Sequence[tuple[str, str, int]]
    ) -> Mapping[tuple[str, str, int], LaneReceipts]:
        """The receipts of these (system, stream, partition), summed up; absent if none."""
        about = {
            "systems": [system for system, _, _ in lanes],
            "streams": [stream for _, stream, _ in lanes],
            "partitions": [partition for _, _, partition in lanes],
        }
        rows = await self.ask(statements.LANES, about)
        return {
            (system, stream, partition): LaneReceipts(applied_at, reached)
            for system, stream, partition, applied_at, reached in rows
        }

    async def rows_lately(self, window: timedelta) -> Mapping[tuple[str, str], int]:
        """Rows applied within *window*, by (system, stream)."""
        rows = await self.ask(statements.ROWS_LATELY, {"window": window})
        return {(system, stream): count for system, stream, count in rows}

    async def open_exceptions(self) -> Mapping[tuple[str, str], OpenExceptions]:
        """The open exceptions by (system, stream), summed up."""
        rows = await self.ask(statements.OPEN_EXCEPTIONS, {})
        return {
            (system, stream): OpenExceptions(count, since) for system, stream, count, since in rows
        }

    async def standing(self) -> list[Operation]:
        """Pauses and stopped lanes, by system and stream."""
        return [_operation(row) for row in await self.ask(statements.STANDING, {})]

    async def editions(self) -> Mapping[str, Edition]:
        """The edition in force of each system for which one was ever applied.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The database does not answer.
        """
        rows = await self.ask(statements.EDITIONS, {})
        return {
            row[0]: Edition(
                system=row[0],
                sequence=row[1],
                text=row[2],
                digest=row[3],
                applied_by=row[4],
                applied_at=row[5],
            )
            for row in rows
        }

    async def ask(
        self, question: str | sql.Composed, about: Mapping[str, object]
    ) -> list[tuple[Any, ...]]:
        """The rows that the SQL *question* gives.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The database does not answer.
        """
        with translated(self._uri):
            cursor = await (await self._opened()).execute(question, about)
            return await cursor.fetchall()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """The connection, in a transaction, for one block; no question is asked meanwhile.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The database does not answer.
        """
        with translated(self._uri):
            connection = await self._opened()
            await connection.set_autocommit(False)
            try:
                yield connection
                await connection.commit()
            finally:
                if not connection.closed:
                    await connection.rollback()
                    await connection.set_isolation_level(None)
                    await connection.set_read_only(None)
                    await connection.set_autocommit(True)

    async def _opened(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            insist_on_safety(self._uri, LEDGER.database)
            self._connection = await psycopg.AsyncConnection.connect(
                self._uri, autocommit=True, connect_timeout=_CONNECT_TIMEOUT
            )
        return self._connection


def _operation(row: Sequence[Any]) -> Operation:
    system, stream, partition, state, at, operator, code, offset, note = row
    return Operation(
        system=system,
        stream=stream,
        partition=partition,
        state=OperationState(state),
        at=at,
        operator=operator,
        code=code,
        offset=offset,
        note=note,
    )


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
    """A connection for one task; its errors are the bus's."""
    insist_on_safety(uri, LEDGER.database)
    with translated(uri):
        async with await psycopg.AsyncConnection.connect(
            uri, connect_timeout=_CONNECT_TIMEOUT
        ) as connection:
            yield connection


def translated(uri: str) -> AbstractContextManager[None]:
    """What psycopg can raise, as the bus's errors.

    Args:
        uri: Of the database, whose address is named if it does not answer.
    """
    return translated_by(LEDGER, address=address_of(uri))
