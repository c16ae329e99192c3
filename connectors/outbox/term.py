"""The right to publish one outbox: a lease in its own database (:mod:`bus.connect.lease`), and the
news that wakes whoever holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from bus.connect.lease import LET_GO_WITHIN_S, Lease, LeaseRow, LeaseTerm
from bus.connect.together import until_one_ends
from bus.errors import Unavailable
from connectors.outbox import statements
from connectors.outbox.database import Connection, translated


def lease_row(connection: Connection) -> LeaseRow:
    """The lease's row in the outbox's database."""
    return LeaseRow(connection, statements.LEASE)


class OutboxTerm(LeaseTerm):
    """A term by a lease that is renewed, and that hears of commits.

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
        super().__init__(lease, row, partial(translated, system))
        self._listening = listening
        self._woken = woken

    async def keep(self) -> None:
        """See the port."""
        await until_one_ends(super().keep(), self._listen())

    async def let_go(self) -> None:
        """Release the lease; if the database does not answer, it runs out."""
        with suppress(Unavailable, TimeoutError), self._translated():
            async with asyncio.timeout(LET_GO_WITHIN_S):
                await self._lease.release(self._row)

    async def _listen(self) -> None:
        with self._translated():
            async for _ in self._listening.notifies():
                self._woken()
