"""What the drivers raise without an SQLSTATE: the words decide."""

from __future__ import annotations

import psycopg
import pytest

from bus.conformance.sink_suite import assert_no_value
from bus.errors import (
    BusError,
    ConfigurationError,
    EventRefused,
    LoginRefused,
    SinkUnavailable,
    Unready,
    Untrusted,
)
from connectors.postgres.faults import translated


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ('FATAL:  password authentication failed for user "u"', LoginRefused),
        ('FATAL:  ユーザー"u"のパスワード認証に失敗しました', LoginRefused),
        ('FATAL:  database "d" does not exist', Unready),
        ('FATAL:  データベース"d"は存在しません', Unready),
        ('FATAL:  no pg_hba.conf entry for host "h"', Unready),
        ('FATAL:  role "r" does not exist', Unready),
        ('FATAL:  role "r" is not permitted to log in', Unready),
        ('FATAL:  permission denied for database "d"', Unready),
        ("SSL error: certificate verify failed", Untrusted),
        ('server certificate for "a" does not match host name "b"', Untrusted),
        ('root certificate file "/absent" does not exist', Untrusted),
        ("server does not support SSL, but SSL was required", Untrusted),
        ("FATAL:  the database system is starting up", SinkUnavailable),
        ("FATAL:  sorry, too many clients already", SinkUnavailable),
        ("Connection refused", SinkUnavailable),
        ("timeout expired", SinkUnavailable),
        ("server closed the connection unexpectedly", SinkUnavailable),
    ],
)
def test_a_failed_connection_is_told_by_its_words(words: str, meaning: type[BusError]) -> None:
    """libpq gives no code for a failed connection, and servers speak Japanese too."""
    with pytest.raises(BusError) as raised, translated(stream="resident"):
        raise psycopg.OperationalError(f"connection failed: {words} secret")

    assert type(raised.value) is meaning
    assert ("refuses the login" in raised.value.message) == (meaning is LoginRefused)
    assert raised.value.where == {"stream": "resident"}
    assert_no_value(raised.value, "secret")


@pytest.mark.parametrize(
    ("sqlstate", "meaning"),
    [
        ("3D000", Unready),
        ("3F000", Unready),
        ("42P01", Unready),
        ("42P10", Unready),
        ("42501", Unready),
        ("28000", Unready),
        ("28P01", LoginRefused),
        ("57P01", SinkUnavailable),
        ("57P02", SinkUnavailable),
        ("57P03", SinkUnavailable),
        ("42703", ConfigurationError),
        ("XX000", ConfigurationError),
    ],
)
def test_what_may_be_the_middle_of_a_restore_is_tried_again(
    sqlstate: str, meaning: type[BusError]
) -> None:
    """A database that is swapped for another lacks everything for a moment; a password does not."""
    with pytest.raises(BusError) as raised, translated(stream="resident"):
        raise psycopg.errors.lookup(sqlstate)("secret")

    assert type(raised.value) is meaning
    assert_no_value(raised.value, "secret")


def test_what_the_driver_itself_refuses_is_the_rows_fault() -> None:
    """A value that never left for the server."""
    with pytest.raises(EventRefused, match="refuses a row"), translated():
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL")


def test_what_is_no_database_error_surfaces() -> None:
    """A defect is not dressed up as anything."""
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg.errors.InsufficientPrivilege, "the role lacks a right on the table"),
        (psycopg.errors.UndefinedColumn, "the table lacks a column of the view"),
        (psycopg.errors.UndefinedTable, "the table is not there"),
        (psycopg.errors.DiskFull, "the disk of the database is full"),
        (psycopg.errors.ReadOnlySqlTransaction, "the server takes no writes"),
        (psycopg.errors.InvalidAuthorizationSpecification, "may not log in"),
        (psycopg.errors.UndefinedObject, "a type, a collation or a role"),
        (psycopg.errors.DatatypeMismatch, "another type than the view's"),
        (psycopg.errors.UndefinedFunction, "a function that the table needs"),
        (psycopg.errors.TooManyConnections, "raise max_connections"),
        (psycopg.errors.CannotConnectNow, "starting or stopping"),
        (psycopg.errors.FeatureNotSupported, "the table, or the rights on it, do not fit"),
        (psycopg.errors.CheckViolation, "the table refuses a row of this batch"),
        (psycopg.errors.LockNotAvailable, "the database cannot do it now"),
    ],
)
def test_the_sentence_says_what_to_mend(error: type[psycopg.Error], said: str) -> None:
    """One for each thing that an operator would do something else about."""
    with pytest.raises(BusError, match=said) as raised, translated():
        raise error("secret")

    assert_no_value(raised.value, "secret")
