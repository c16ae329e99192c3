"""Connections to a core system's database, and its driver's errors in the bus's words.

A message never holds the connection's URI: that carries the password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from bus.connect.libpq import insist_on_safety, refusal
from bus.errors import ConfigurationError, SourceUnavailable

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_AGAIN = "run renkei relay install again"
_UNFIT = {
    "42601": "the server does not know what the relay asks: it has to be PostgreSQL 14 or newer",
    "42704": "a type or a role that the outbox names is not there: " + _AGAIN,
    "42804": "a column of the outbox has another type than it was made with: " + _AGAIN,
    "42883": "a function of the outbox, or one that a trigger on it calls, is not there: " + _AGAIN,
    "42P10": "a table of the outbox lacks its unique key: " + _AGAIN,
    "0A": "the server cannot do what the relay asks: it has to be PostgreSQL 14 or newer",
}
_AWAY = {
    "08": "the line to the outbox's database broke; it is tried again",
    "25006": "the outbox's server takes no writes: it is a standby, or its disk is read-only;"
    " name the primary in the URI",
    "40": "the outbox's database undid a transaction in favour of another; it is tried again",
    "53100": "the disk of the outbox's database is full: make room there",
    "53200": "the outbox's server has no memory left: see what else runs there",
    "53300": "the outbox's server has no connection left for the relay: raise max_connections",
    "55P03": "somebody holds a lock on the outbox's tables for too long: see pg_locks there",
    "57014": "a question to the outbox took too long and was given up: see what else runs there",
    "57P03": "the outbox's server is starting or stopping; it is tried again",
    "57": "the outbox's server ended the session; it is tried again",
    "58": "the outbox's server cannot read or write its files: see its log",
    "XX": "the outbox's server finds its own files damaged: see its log, and restore it",
}
"""What operators meet most, by SQLSTATE or its class, in words that say what to do.

Source: PostgreSQL 18, Appendix A, "PostgreSQL Error Codes"."""


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
    """Turn the driver's errors into the bus's, keeping the cause."""
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
            _sentence(error, _UNFIT, "the outbox is not as this release made it: " + _AGAIN),
            **_where(system, error),
        ) from error
    except (psycopg.OperationalError, psycopg.InternalError) as error:
        refused = refusal(str(error), "the outbox's database", system=system)
        if error.sqlstate is None and refused is not None:
            raise refused from error
        words = "the outbox's database does not answer"
        if error.sqlstate is not None:
            words = (
                "the outbox's database cannot do it now; it is tried again: see its server's log"
            )
        raise SourceUnavailable(_sentence(error, _AWAY, words), **_where(system, error)) from error


def _sentence(error: psycopg.Error, known: Mapping[str, str], otherwise: str) -> str:
    """The message of an error, by its SQLSTATE or else by that one's class."""
    state = error.sqlstate or ""
    return known.get(state) or known.get(state[:2]) or otherwise


def _where(system: str, error: psycopg.Error) -> dict[str, object]:
    """The object that the server names; the server's message may hold values and is not used."""
    said = error.diag
    table = ".".join(name for name in (said.schema_name, said.table_name) if name)
    names = {"table": table, "column": said.column_name, "constraint": said.constraint_name}
    return {
        "system": system,
        **{kind: name for kind, name in names.items() if name},
        "sqlstate": error.sqlstate,
    }
