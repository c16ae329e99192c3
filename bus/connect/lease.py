"""The right to publish from a source: one process at a time, by a lease in a database.

A row says who leads, and until when by *the database's* clock. The leader renews it every quarter
of its length. Clocks of machines are never compared: a standby asks the database whether the
lease has run out, and the leader measures its own lease on a clock that only runs forward, from
*before* it asked for it, so that it thinks its lease shorter than it is and never longer.

A leader that is killed leaves its lease to run out; a leader that stops by itself gives it back
once nothing it sent can still be under way. Nobody is ever pushed out earlier. That is what
keeps order: before each send the leader asks :meth:`Lease.guard`, which refuses when less is
left of the lease than a send may take until it is acknowledged or given up (``send_within``).
So whatever a paused (SIGSTOP) or cut-off leader sent has reached Kafka, or never will, when its
successor reads the end of the topics and goes on from there. A leader that wakes up after its
lease finds the guard closed.

What is left, and harmless: the operating system may stop the leader in the few instructions
between the guard and the network, a broker may take up a request long after its sender gave it
up, or a large batch may be acknowledged so slowly, piece by piece, that it outlasts
``send_within``. Then an event is in the topic twice, with the same event id, version and content;
no store changes by the second one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import psycopg

from bus.errors import ConfigurationError, LeaseLost


class LeaseStore(Protocol):
    """The database row that says who leads, and until when."""

    async def take(self, holder: str, length: timedelta) -> bool:
        """Make *holder* leader, unless another's lease is running; whether *holder* leads."""

    async def renew(self, holder: str, length: timedelta) -> bool:
        """Extend *holder*'s lease by *length* from now; False if it no longer leads."""

    async def release(self, holder: str) -> None:
        """End the lease, if it is *holder*'s."""


@dataclass(frozen=True, slots=True)
class LeaseStatements:
    """The SQL of a lease's row.

    Each statement is given ``holder``, the first two ``length`` too, and returns a row if the lease
    is the holder's.
    """

    take: str
    renew: str
    release: str

    @classmethod
    def of(cls, table: str, key: Sequence[str] = ()) -> LeaseStatements:
        """For a table that has ``holder`` and ``expires_at``: free, run out, or the holder's own.

        Args:
            key: The columns by which a row is known; it is made when it is first taken. Without
                any, the table has one row, which is there.
        """
        lasts = "holder = %(holder)s, expires_at = clock_timestamp() + %(length)s"
        free = "(l.holder IS NULL OR l.holder = %(holder)s OR l.expires_at < clock_timestamp())"
        take = f"UPDATE {table} AS l SET {lasts} WHERE {free}"
        if key:
            names, values = ", ".join(key), ", ".join(f"%({name})s" for name in key)
            take = (
                f"INSERT INTO {table} AS l ({names}, holder, expires_at)"
                f" VALUES ({values}, %(holder)s, clock_timestamp() + %(length)s)"
                f" ON CONFLICT ({names}) DO UPDATE SET {lasts} WHERE {free}"
            )
        own = " AND ".join(f"{name} = %({name})s" for name in (*key, "holder"))
        return cls(
            take=f"{take} RETURNING holder",
            renew=f"UPDATE {table} SET expires_at = clock_timestamp() + %(length)s WHERE {own}"
            " RETURNING holder",
            release=f"UPDATE {table} SET holder = NULL, expires_at = '-infinity' WHERE {own}",
        )


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The row in a database; see :class:`LeaseStore`."""

    connection: psycopg.AsyncConnection[tuple[Any, ...]]
    statements: LeaseStatements
    which: Mapping[str, object] = field(default_factory=dict)
    """What else the statements know the row by."""

    async def take(self, holder: str, length: timedelta) -> bool:
        """As the port, by the statement *take*."""
        return await self._ask(self.statements.take, holder, length)

    async def renew(self, holder: str, length: timedelta) -> bool:
        """As the port, by the statement *renew*."""
        return await self._ask(self.statements.renew, holder, length)

    async def release(self, holder: str) -> None:
        """As the port, by the statement *release*."""
        values = {**self.which, "holder": holder}
        await self.connection.execute(self.statements.release.encode(), values)

    async def _ask(self, statement: str, holder: str, length: timedelta) -> bool:
        values = {**self.which, "holder": holder, "length": length}
        cursor = await self.connection.execute(statement.encode(), values)
        return await cursor.fetchone() is not None


def running_clock() -> float:
    """Seconds on a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


LET_GO_WITHIN_S = 2.0
"""To tell the database that somebody else may lead; after that the lease runs out."""
_ASK_EVERY_S = 0.05


async def until_taken(take: Callable[[], Awaitable[bool]], patience: float) -> bool:
    """Ask again and again while another process leads; whether it was had within the time."""
    until = time.monotonic() + patience
    while not await take():
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(_ASK_EVERY_S)
    return True


class Lease:
    """One process's lease. It may be taken, lost and taken again.

    Args:
        holder: A name that no other process uses, now or later.
        length: How long the right lasts unless renewed; longer than *send_within*.
        send_within: How long a send may take until it is acknowledged or given up.
    """

    def __init__(
        self,
        holder: str,
        *,
        length: timedelta,
        send_within: timedelta,
        clock: Callable[[], float] = running_clock,
    ) -> None:
        if length <= send_within:
            raise ConfigurationError("a lease must be longer than a send may take")
        self.holder = holder
        self.length = length
        self._send_within = send_within.total_seconds()
        self._clock = clock
        self._until = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether the lease has not run out, by this process's own clock."""
        return self._clock() < self._until

    def guard(self) -> None:
        """Return if a send that begins now surely ends within the lease.

        Raises:
            LeaseLost: Another process may lead before such a send would be over.
        """
        if self._clock() + self._send_within >= self._until:
            raise LeaseLost("another process may lead here by now", holder=self.holder)

    async def take(self, store: LeaseStore) -> bool:
        """Take the lease if nobody has it; whether that worked."""
        asked_at = self._clock()
        return self._is_given(asked_at, await store.take(self.holder, self.length))

    async def renew(self, store: LeaseStore) -> None:
        """Renew the lease for its whole length.

        Raises:
            LeaseLost: Another process leads.
        """
        asked_at = self._clock()
        if not self._is_given(asked_at, await store.renew(self.holder, self.length)):
            self._until = float("-inf")
            raise LeaseLost("another process leads here", holder=self.holder)

    async def release(self, store: LeaseStore) -> None:
        """Give the lease back at once; only when nothing that was sent may still be under way."""
        self._until = float("-inf")
        await store.release(self.holder)

    def _is_given(self, asked_at: float, said: bool) -> bool:
        if said:
            self._until = asked_at + self.length.total_seconds()
        return said


class LeaseTerm:
    """The term that a lease gives; see :class:`bus.connect.source.Term`.

    Args:
        translated: Turns what the database's driver can raise into the bus's errors, inside.
    """

    def __init__(
        self, lease: Lease, row: LeaseStore, translated: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._lease = lease
        self._row = row
        self._translated = translated
        self.is_abandoned = False

    @property
    def holder(self) -> str:
        """The name of the lease's holder."""
        return self._lease.holder

    def guard(self) -> None:
        """See the port."""
        self._lease.guard()

    async def keep(self) -> None:
        """See the port."""
        with self._translated():
            while True:
                await asyncio.sleep(self._lease.length.total_seconds() / 4)
                await self._lease.renew(self._row)

    def abandon(self) -> None:
        """See the port."""
        self.is_abandoned = True
