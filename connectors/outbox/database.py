"""Connections to a core system's database, and its driver's errors in the bus's words.

A message never holds the connection's URI: that carries the password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from bus.connect.libpq import insist_on_safety, refusal
from bus.errors import ConfigurationError, SourceUnavailable

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


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
    insist_on_safety(uri, "the outbox's database", system=system)
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


@contextmanager
def translated(system: str) -> Iterator[None]:
    """Turn what the driver can raise into the bus's errors, keeping the cause."""
    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "the relay's role lacks rights on the outbox: renkei relay install --relay ROLE",
            system=system,
        ) from error
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn) as error:
        raise ConfigurationError(
            "this database has no outbox: renkei relay install", system=system
        ) from error
    except (errors.ProgrammingError, errors.NotSupportedError) as error:
        raise ConfigurationError(
            "the outbox's database does not take this", system=system, sqlstate=error.sqlstate
        ) from error
    except (psycopg.OperationalError, psycopg.InternalError) as error:
        refused = refusal(str(error), "the outbox's database", system=system)
        if error.sqlstate is None and refused is not None:
            raise refused from error
        raise SourceUnavailable(
            "the outbox's database does not answer", system=system, sqlstate=error.sqlstate
        ) from error
