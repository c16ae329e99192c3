"""What operators do with an outbox: install it, see how it stands, settle what was refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bus.errors import ConfigurationError
from bus.publish.outbox import installing, statements
from bus.publish.outbox.database import Connection, connect, translated
from bus.publish.outbox.installing import Plan

WARN_BEFORE = timedelta(days=7)
"""How long before refused changes go it is said."""
COUNT_MOST = 100_000  # where counting a backlog stops
_KEY = re.compile(r"[0-9]{6}/[!-~]{1,15}")  # <municipality_code>/<subject_id>


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in an outbox."""

    pending: int  # at most COUNT_MOST
    oldest_s: float  # age of the first pending change; 0 if none
    refused: int  # at most COUNT_MOST
    refused_oldest_s: float = 0.0  # since the first of them was refused; 0 if none

    def refused_go_in(self, keep: timedelta | None) -> timedelta | None:
        """When the first refused change goes; None if there is none, or it stays until settled."""
        if keep is None or not self.refused:
            return None
        return keep - timedelta(seconds=self.refused_oldest_s)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an outbox stands: what waits, and which relay leads it."""

    system: str
    backlog: Backlog
    leader: str | None
    lease_left_s: float | None  # negative: it ran out

    @property
    def is_led(self) -> bool:
        """Whether a relay has shown a sign of life within its lease."""
        return self.lease_left_s is not None and self.lease_left_s > 0


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """A change that was set aside, and why. Its content stays in the core system's database."""

    seq: int
    change_id: str
    subjects: tuple[str, ...]
    refused_at: datetime
    reasons: tuple[dict[str, Any], ...]
    behind: int | None  # the refused change of the same subject just before
    kept: str | None = None  # how its content is kept: bus.publish.outbox.concealing.Kept


async def install(system: str, uri: str, plan: Plan | None = None) -> None:
    """Make or bring up to date the outbox in a database, and grant roles what they need.

    May be run again at any time, by an administrator: see :mod:`~bus.publish.outbox.installing`.
    """
    async with _opened(system, uri) as connection:
        await installing.install(connection, system, plan or Plan())


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
    """What waits in the outbox that *connection* reaches."""
    cursor = await connection.execute(statements.BACKLOG, {"most": COUNT_MOST})
    row = await cursor.fetchone()
    pending, oldest_s, refused, refused_s = row if row is not None else (0, None, 0, None)
    return Backlog(pending, max(oldest_s or 0.0, 0.0), refused, max(refused_s or 0.0, 0.0))


async def standing(system: str, uri: str) -> Standing:
    """How one outbox stands."""
    async with _opened(system, uri) as connection:
        return await look_at(connection, system)


async def look_at(connection: Connection, system: str) -> Standing:
    """How the outbox stands that *connection* reaches."""
    waiting = await backlog(connection)
    leader = await (await connection.execute(statements.LEADER)).fetchone()
    holder, left_s = leader if leader is not None else (None, None)
    return Standing(system, waiting, holder, left_s)


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
    if _KEY.fullmatch(subject):
        return subject
    return "sha256:" + hashlib.sha256(subject.encode()).hexdigest()[:32]


@asynccontextmanager
async def _opened(system: str, uri: str) -> AsyncIterator[Connection]:
    """A connection for one task, closed after it; its errors in the bus's words."""
    connection = await connect(uri, system, purpose="upkeep")
    try:
        with translated(system):
            yield connection
    finally:
        await connection.close()
