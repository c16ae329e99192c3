"""The right to publish for a system, by a lease in the bus's own database.

A row per publishing system says which process leads, and until when (:mod:`bus.connect.lease`). It
is had for one call, by whoever publishes for a system that has several ways in
(:mod:`~bus.publish.taking_turns`): what is handed in (:mod:`~bus.publish.intake`), and the relay
of such a system's source, beside the term of that source.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg

from bus.connect.lease import (
    LET_GO_WITHIN_S,
    Lease,
    LeaseRow,
    LeaseStatements,
    LeaseTerm,
    until_taken,
)
from bus.connect.libpq import address_of, insist_on_safety
from bus.connect.sqlstates import Database
from bus.connect.sqlstates import translated as translated_by
from bus.errors import LeaseLost, StoreUnavailable

MAKE = """
SELECT pg_advisory_xact_lock(hashtextextended('renkei publishing', 0));
CREATE SCHEMA IF NOT EXISTS publishing;
CREATE TABLE IF NOT EXISTS publishing.term (
    system     text PRIMARY KEY,
    holder     text,
    expires_at timestamptz NOT NULL
);
"""
LEASE = LeaseStatements.of("publishing.term", ["system"])
Connection = psycopg.AsyncConnection[tuple[Any, ...]]
TERMS = Database(
    database="the bus's database",
    relation="the table of terms",
    setting="RENKEI_DATABASE",
    misfit="the table of terms is not as this release made it",
    away=StoreUnavailable,
)


class DatabaseTerms:
    """See :class:`bus.publish.taking_turns.Terms`. One per process.

    Args:
        uri: The bus's own database.
        holder: A name of this process, by which an operator finds it.
        lease: How long a process that died keeps others waiting.
        send_within: How long a send may take until it is acknowledged or given up.
        patience: How long another process's term is waited for.
    """

    def __init__(
        self,
        uri: str,
        *,
        holder: str,
        lease: timedelta = timedelta(seconds=12),
        send_within: timedelta = timedelta(seconds=8),
        patience: timedelta = timedelta(seconds=5),
    ) -> None:
        self._uri = uri
        self._holder = holder
        self._name = self._new_name()
        self._length = lease
        self._send_within = send_within
        self._patience = patience.total_seconds()
        self._is_made = False

    @asynccontextmanager
    async def of(self, system: str) -> AsyncIterator[LeaseTerm]:
        """See the port."""
        with translated(self._uri):
            connection = await self._connect()
        try:
            lease = Lease(self._name, length=self._length, send_within=self._send_within)
            row = LeaseRow(connection, LEASE, {"system": system})
            term = LeaseTerm(lease, row, translated)
            try:
                with translated(self._uri):
                    await self._take(lease, row)  # whoever is stopped here may have it unheard
                yield term
            finally:
                await self._let_go(term, lease, row)
        finally:
            await connection.close()

    async def _let_go(self, term: LeaseTerm, lease: Lease, row: LeaseRow) -> None:
        """Release the lease; if the database does not answer, it runs out."""
        if term.is_abandoned:
            self._name = self._new_name()  # so that this process too waits for the old one's end
            return
        with suppress(StoreUnavailable, TimeoutError), translated(self._uri):
            async with asyncio.timeout(LET_GO_WITHIN_S):
                await lease.release(row)

    def _new_name(self) -> str:
        return f"{self._holder}-{secrets.token_hex(4)}"

    async def _take(self, lease: Lease, row: LeaseRow) -> None:
        if not await until_taken(lambda: lease.take(row), self._patience):
            raise LeaseLost("another process publishes for this system", **row.which)

    async def _connect(self) -> Connection:
        insist_on_safety(self._uri, TERMS.database)
        connection = await psycopg.AsyncConnection.connect(
            self._uri,
            autocommit=True,
            connect_timeout=5,
            application_name="renkei publishing term",
            options="-c statement_timeout=10000",
        )
        try:
            if not self._is_made:
                async with connection.transaction():
                    await connection.execute(MAKE.encode())
                self._is_made = True
        except BaseException:
            await connection.close()
            raise
        return connection


def translated(uri: str | None = None) -> AbstractContextManager[None]:
    """What psycopg can raise, as the bus's errors."""
    return translated_by(TERMS, address=None if uri is None else address_of(uri))
