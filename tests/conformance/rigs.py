"""How each sink of the roster is put through the shared suite: a line each in ``SINK_RIGS``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus import failpoints
from bus.conformance.sink_suite import Killed, Row
from bus.failpoints import Point
from bus.model import Keeping, View
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.engines import named, unique


class MemoryRig:
    """Sinks over one store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def sink(self) -> MemorySink:
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


class PostgresRig:
    """Sinks over a schema of their own, in a database that nobody else uses at the time."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.schema = unique("linkage")
        self.database = urlsplit(uri).path.removeprefix("/")

    def sink(self) -> PostgresSink:
        return PostgresSink(PostgresOptions(uri=SecretStr(self.uri), schema_name=self.schema))

    async def stored(self, view: View) -> list[Row]:
        columns = sql.SQL(", ").join(map(sql.Identifier, view.schema.names))
        key = sql.SQL(", ").join(
            sql.SQL('{} COLLATE "C"').format(sql.Identifier(n)) for n in view.key
        )
        if view.keeping is Keeping.HISTORY:
            key = sql.SQL("log_partition, log_offset")
        table = sql.Identifier(self.schema, view.stream.replace(".", "_"))
        query = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(columns, table, key)
        with psycopg.connect(self.uri, row_factory=dict_row) as connection:
            return connection.execute(query).fetchall()

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        self._allow_connections("false")
        await self.drop_connections()
        yield
        self._allow_connections("true")

    async def drop_connections(self) -> None:
        with psycopg.connect(named(self.uri, "postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (self.database,),
            )

    @contextmanager
    def killing(self, point: Point) -> Iterator[None]:
        def kill(passed: Point) -> None:
            if passed is point:
                raise Killed

        failpoints._kill = kill
        try:
            yield
        finally:
            failpoints._kill = None

    def _allow_connections(self, allowed: LiteralString) -> None:
        with psycopg.connect(named(self.uri, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(self.database), sql.SQL(allowed)
                )
            )


SINK_RIGS = {
    "memory": "tests.conformance.rigs:MemoryRig",
    "postgres": "tests.conformance.rigs:PostgresRig",
}
