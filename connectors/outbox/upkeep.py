"""What operators do with an outbox: install it, look at it, settle what was refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bus.connect.source import Backlog, SourceStatus
from bus.errors import ConfigurationError
from bus.model.subject import NARROW_KEY, shown
from connectors.outbox import installing, statements
from connectors.outbox.database import Connection, connect, translated
from connectors.outbox.installing import InstallPlan

COUNT_MOST = 100_000  # where counting a backlog stops


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """A refused change and its reasons. Its content stays in the core system's database."""

    seq: int
    change_id: str
    subjects: tuple[str, ...]
    refused_at: datetime
    reasons: tuple[dict[str, Any], ...]
    behind: int | None  # the refused change of the same subject just before
    kept: str | None = None  # how its content is kept: connectors.outbox.concealing.ContentState


async def install(system: str, uri: str, plan: InstallPlan | None = None) -> None:
    """Make or bring up to date the outbox in a database, and grant roles what they need.

    May be run again at any time, by an administrator: see :mod:`~connectors.outbox.installing`.
    """
    async with _opened(system, uri) as connection:
        await installing.install(connection, system, plan or InstallPlan())


async def look(connection: Connection, system: str) -> None:
    """See to it that the outbox is one that an installation made, and can do nothing else.

    Raises:
        ConfigurationError: It is not, or is of a former form.
    """
    found = await (await connection.execute(statements.LOOK)).fetchone()
    if found is None:
        raise ConfigurationError("this database has no outbox: renkei relay install", system=system)
    is_present, wrong = found
    if wrong is not None:
        raise ConfigurationError(
            f"the outbox is not as an installation makes it, {wrong}: renkei relay install",
            system=system,
        )
    if not is_present:
        raise ConfigurationError(
            "the outbox is of a former form: renkei relay install brings it up to date",
            system=system,
        )


async def backlog(connection: Connection) -> Backlog:
    """The backlog of the outbox that *connection* reaches."""
    cursor = await connection.execute(statements.BACKLOG, {"most": COUNT_MOST})
    row = await cursor.fetchone()
    pending, oldest_s, refused, refused_s = row if row is not None else (0, None, 0, None)
    return Backlog(pending, max(oldest_s or 0.0, 0.0), refused, max(refused_s or 0.0, 0.0))


async def status(system: str, uri: str) -> SourceStatus:
    """The status of one outbox."""
    async with _opened(system, uri) as connection:
        return await look_at(connection, system)


async def look_at(connection: Connection, system: str) -> SourceStatus:
    """The status of the outbox that *connection* reaches."""
    waiting = await backlog(connection)
    leader = await (await connection.execute(statements.LEADER)).fetchone()
    holder, left_s = leader if leader is not None else (None, None)
    return SourceStatus(system, waiting, holder, left_s)


class OutboxWatch:
    """Looks at one outbox over a connection of its own."""

    def __init__(self, system: str, uri: str) -> None:
        self._system = system
        self._uri = uri
        self._connection: Connection | None = None

    async def look(self) -> SourceStatus:
        """The outbox's status now.

        Raises:
            BusError: It cannot be looked into.
        """
        try:
            if self._connection is None:
                self._connection = await connect(
                    self._uri, self._system, purpose="look", patience=10
                )
            with translated(self._system):
                return await look_at(self._connection, self._system)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def refused(system: str, uri: str, *, most: int = 1_000) -> list[RefusedChange]:
    """The refused changes of one outbox, first come first, at most *most*."""
    async with _opened(system, uri) as connection:
        cursor = await connection.execute(statements.REFUSED, {"most": most})
        rows = await cursor.fetchall()
    return [
        RefusedChange(seq, change_id, tuple(map(_shown, subjects)), at, tuple(reasons), *rest)
        for seq, change_id, subjects, at, reasons, *rest in rows
    ]


async def retry(system: str, uri: str, seqs: Sequence[int] | None) -> list[int]:
    """Put refused changes (None: all) back in their old places; the numbers of those put back."""
    async with _opened(system, uri) as connection:
        chosen = None if seqs is None else list(seqs)
        cursor = await connection.execute(statements.RETRY, {"seqs": chosen})
        return [row[0] for row in await cursor.fetchall()]


async def drop(system: str, uri: str, seqs: Sequence[int]) -> list[int]:
    """Delete refused changes that another one has made good; the numbers of those deleted."""
    async with _opened(system, uri) as connection:
        cursor = await connection.execute(statements.DROP, {"seqs": list(seqs)})
        return sorted(row[0] for row in await cursor.fetchall())


def _shown(subject: str) -> str:
    """Whom a change is about, or a digest if that is no key: what was handed in is unchecked."""
    return shown(subject.encode(), NARROW_KEY)


@asynccontextmanager
async def _opened(system: str, uri: str) -> AsyncIterator[Connection]:
    """A connection for one task, closed after it; its errors are the bus's."""
    connection = await connect(uri, system, purpose="upkeep")
    try:
        with translated(system):
            yield connection
    finally:
        await connection.close()
