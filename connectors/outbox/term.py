"""The right to publish one outbox: a lease in its own database (:mod:`bus.connect.lease`), and the
news that wakes whoever holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from bus.connect.lease import Lease
from bus.connect.together import until_one_ends
from bus.errors import Unavailable
from connectors.outbox import statements
from connectors.outbox.database import Connection, translated

LET_GO_WITHIN = 2.0  # seconds to tell the database; after that the lease runs out


class LeaseRow:
    """The row that says who leads; see :class:`bus.connect.lease.LeaseStore`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def take(self, holder: str, length: timedelta) -> bool:
        """Free, run out, or *holder*'s already."""
        return await self._ask(statements.TAKE_LEASE, holder, length)

    async def renew(self, holder: str, length: timedelta) -> bool:
        """If it is *holder*'s."""
        return await self._ask(statements.RENEW_LEASE, holder, length)

    async def release(self, holder: str) -> None:
        """If it is *holder*'s."""
        await self._connection.execute(statements.RELEASE_LEASE, {"holder": holder})

    async def _ask(self, statement: str, holder: str, length: timedelta) -> bool:
        cursor = await self._connection.execute(statement, {"holder": holder, "length": length})
        return await cursor.fetchone() is not None


class OutboxTerm:
    """See :class:`bus.connect.source.Term`.

    Args:
        listening: A connection that hears of commits.
        woken: Called at each of them.
    """

    def __init__(
        self,
        system: str,
        lease: Lease,
        row: LeaseRow,
        listening: Connection,
        woken: Callable[[], None],
    ) -> None:
        self._system = system
        self._lease = lease
        self._row = row
        self._listening = listening
        self._woken = woken
        self.is_abandoned = False

    @property
    def holder(self) -> str:
        """The lease's."""
        return self._lease.holder

    def guard(self) -> None:
        """See the port."""
        self._lease.guard()

    async def keep(self) -> None:
        """See the port."""
        await until_one_ends(self._renew(), self._listen())

    def abandon(self) -> None:
        """See the port."""
        self.is_abandoned = True

    async def let_go(self) -> None:
        """Give the lease back; if that is not possible, it runs out."""
        with suppress(Unavailable, TimeoutError), translated(self._system):
            async with asyncio.timeout(LET_GO_WITHIN):
                await self._lease.release(self._row)

    async def _renew(self) -> None:
        with translated(self._system):
            while True:
                await asyncio.sleep(self._lease.length.total_seconds() / 4)
                await self._lease.renew(self._row)

    async def _listen(self) -> None:
        with translated(self._system):
            async for _ in self._listening.notifies():
                self._woken()
