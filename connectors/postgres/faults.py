"""What PostgreSQL and its two drivers can raise, as the bus's errors.

PostgreSQL's messages hold values ("Key (subject_id)=(…) already exists", "Failing row contains
(…)"), and a traceback prints the messages of every cause. Privacy outranks the cause here: an
error is raised ``from None`` and says the SQLSTATE and names of columns and constraints only.

Source: PostgreSQL 18, Appendix A, "PostgreSQL Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import adbc_driver_manager as adbc
import psycopg

from bus.connect.libpq import refusal
from bus.errors import (
    BusError,
    ConfigurationError,
    EventRefused,
    LoginRefused,
    SinkUnavailable,
    Unready,
)

_REFUSED_PREFIXES = ("22", "23", "54")  # bad data, broken constraint, beyond a limit of a row
_UNFIT_PREFIXES = ("0A", "28", "42")  # altered table, wrong name
_AWAY_PREFIXES = ("08", "40", "53", "55", "57", "58")  # away, in the way, or out of room
_WRONG_PASSWORD = "28P01"
_UNREADY = ("28000", "3D000", "3F000", "42P01", "42P10", "42501")
"""What the middle of a restore or a deployment looks like: role, database, schema, table, unique
key or right that is not there (yet)."""
_READ_ONLY = "25006"  # a standby that is not (yet) the primary
_IDLE_TOO_LONG = "25P03"  # our own time limit on a transaction that stands still

_KNOWN = {
    "25006": "the server takes no writes: it is a standby, or its disk is read-only",
    "28000": "the role does not exist there, or may not log in",
    "42501": "the role lacks a right on the table",
    "42704": "a type, a collation or a role that the table names is not there",
    "42804": "a column of the table has another type than the view's",
    "42883": "a function that the table needs, its trigger's or a default's, is not there",
    "42703": "the table lacks a column of the view",
    "42P01": "the table is not there",
    "42P10": "the table lacks its unique key",
    "3D000": "the database is not there",
    "3F000": "the schema is not there",
    "53100": "the disk of the database is full",
    "53300": "the server has no connection left for us: raise max_connections",
    "57P03": "the server is starting or stopping",
}
"""What operators meet most, in words that say what to mend."""


@contextmanager
def translated(**where: object) -> Iterator[None]:
    """Turn what the drivers can raise inside into the bus's errors; *where* goes into each."""
    try:
        yield
    except psycopg.Error as error:
        _raise_refusal(error, where)
        diagnosis = error.diag
        meaning = _meaning(
            error.sqlstate,
            is_refusal=isinstance(error, psycopg.DataError),
            is_misuse=isinstance(error, psycopg.ProgrammingError | psycopg.NotSupportedError),
        )
        raise meaning(
            _sentence(error.sqlstate, meaning),
            **where,
            sqlstate=error.sqlstate,
            column=diagnosis.column_name,
            constraint=diagnosis.constraint_name,
        ) from None
    except adbc.Error as error:
        _raise_refusal(error, where)
        meaning = _meaning(
            error.sqlstate,
            is_refusal=isinstance(error, adbc.DataError | adbc.IntegrityError),
            is_misuse=isinstance(error, adbc.ProgrammingError | adbc.NotSupportedError),
        )
        raise meaning(
            _sentence(error.sqlstate, meaning), **where, sqlstate=error.sqlstate
        ) from None


def _raise_refusal(error: psycopg.Error | adbc.Error, where: Mapping[str, object]) -> None:
    """Raise the refusal if a connection failed in a way that trying again will not mend."""
    if error.sqlstate is None and isinstance(
        error, psycopg.OperationalError | adbc.OperationalError
    ):
        refused = refusal(str(error), "the database", **where)
        if refused is not None:
            raise refused from None


def _meaning(sqlstate: str | None, *, is_refusal: bool, is_misuse: bool) -> type[BusError]:
    """The class of the bus's error; without an SQLSTATE the driver or the connection failed."""
    if sqlstate is None:
        if is_refusal:
            return EventRefused
        return ConfigurationError if is_misuse else SinkUnavailable
    if sqlstate in (_READ_ONLY, _IDLE_TOO_LONG) or sqlstate.startswith(_AWAY_PREFIXES):
        return SinkUnavailable
    if sqlstate in _UNREADY:
        return Unready
    if sqlstate == _WRONG_PASSWORD:
        return LoginRefused
    if sqlstate.startswith(_REFUSED_PREFIXES):
        return EventRefused
    return ConfigurationError  # _UNFIT_PREFIXES, and what nobody foresaw: doubt stops


def _sentence(sqlstate: str | None, meaning: type[BusError]) -> str:
    if sqlstate in _KNOWN:
        return _KNOWN[sqlstate]
    if meaning is EventRefused:
        return "the table refuses a row of this batch"
    if sqlstate is None:
        if meaning is SinkUnavailable:
            return "the database cannot be reached"
        return "the driver does not take this"
    if meaning is ConfigurationError:
        return "the table, or the rights on it, do not fit the view"
    if meaning is LoginRefused:
        return "the database refuses the login"
    return "the database cannot do it now"
