"""Connections to a core system's database, and its driver's errors in the bus's words.

A message never holds the connection's URI: that carries the password.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import psycopg

from bus.connect.libpq import insist_on_safety
from bus.connect.sqlstates import Database, Meaning, Row
from bus.connect.sqlstates import translated as translated_by
from bus.errors import SourceUnavailable

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_MEND = ": run renkei relay install again"
_NONE = "this database has no outbox: renkei relay install"
OUTBOX = Database(
    database="the outbox's database",
    relation="the outbox",
    setting="the URI",
    server="the outbox's server",
    us="the relay",
    mend=_MEND,
    misfit="the outbox is not as this release made it" + _MEND,
    away=SourceUnavailable,
    rows=(
        Row("0A", Meaning.UNFIT,
            "the server cannot do what the relay asks: it has to be PostgreSQL 14 or newer"),
        Row("25P02", Meaning.AWAY),
        Row("3F000", Meaning.UNFIT, _NONE),
        Row("42501", Meaning.UNFIT,
            "the relay's role lacks rights on the outbox: renkei relay install --relay ROLE"),
        Row("42703", Meaning.UNFIT, _NONE),
        Row("42P01", Meaning.UNFIT, _NONE),
        Row("42P10", Meaning.UNFIT, "a table of the outbox lacks its unique key{mend}"),
    ),
)  # fmt: skip


async def connect(
    uri: str, system: str, *, purpose: str, patience: int | None = None
) -> Connection:
    """A connection whose statements commit by themselves; *purpose* shows in pg_stat_activity.

    Names are looked up in the catalog alone, whatever the database's owner has set: what stands in
    a schema of its own is not called.

    Args:
        patience: Seconds that a statement may take, and two thirds of it wait for a lock.

    Raises:
        ConfigurationError: The URI is unusable, or the database refuses the login.
        SourceUnavailable: Nothing answers.
    """
    insist_on_safety(uri, OUTBOX.database, system=system)
    with translated(system):
        made = await psycopg.AsyncConnection.connect(
            uri,
            autocommit=True,
            connect_timeout=5,
            application_name=f"renkei relay {purpose}",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        try:
            await made.execute("SET search_path = pg_catalog, pg_temp")
            if patience is not None:
                await made.execute(f"SET statement_timeout = {1_000 * patience:d}")
                await made.execute(f"SET lock_timeout = {667 * patience:d}")
        except BaseException:
            await made.close()
            raise
        return made


def translated(system: str) -> AbstractContextManager[None]:
    """Turn what the driver can raise into the bus's errors."""
    return translated_by(OUTBOX, system=system)
