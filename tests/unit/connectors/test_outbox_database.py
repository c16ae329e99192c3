"""What the outbox's database says, in words for an operator."""

from __future__ import annotations

import re

import psycopg
import pytest
from psycopg import errors

from bus.errors import BusError, ConfigurationError, SourceUnavailable
from connectors.outbox.database import translated

VALUE = "丸の内一丁目"


@pytest.mark.parametrize(
    ("sqlstate", "meaning", "says"),
    [
        ("42883", ConfigurationError, "function .* is not there: run renkei relay install again"),
        ("42704", ConfigurationError, "a role .* is not there: run renkei relay install again"),
        ("42804", ConfigurationError, "another type .*: run renkei relay install again"),
        ("42P10", ConfigurationError, "unique key: run renkei relay install again"),
        ("42601", ConfigurationError, "PostgreSQL 14 or newer"),
        ("0A000", ConfigurationError, "PostgreSQL 14 or newer"),
        ("42P17", ConfigurationError, "not as this release made it: run renkei relay install"),
        ("25006", SourceUnavailable, "takes no writes: .*; name the primary in the URI"),
        ("40P01", SourceUnavailable, "undid a transaction .*; it is tried again"),
        ("53100", SourceUnavailable, "is full: make room there"),
        ("53300", SourceUnavailable, "no connection left for the relay: raise max_connections"),
        ("55P03", SourceUnavailable, "holds a lock .*: see pg_locks there"),
        ("57014", SourceUnavailable, "took too long"),
        ("57P01", SourceUnavailable, "ended the session; it is tried again"),
        ("57P03", SourceUnavailable, "is starting or stopping; it is tried again"),
        ("58030", SourceUnavailable, "cannot read or write its files: see its log"),
        ("XX001", SourceUnavailable, "files damaged: see its log, and restore it"),
        ("25P02", SourceUnavailable, "cannot do it now; it is tried again"),
    ],
)
def test_a_sqlstate_is_said_in_words(sqlstate: str, meaning: type[BusError], says: str) -> None:
    """What it is and what to do; the number stays, to search for."""
    with pytest.raises(meaning) as caught, translated("resident_core"):
        raise errors.lookup(sqlstate)(f"Failing row contains ({VALUE})")
    assert re.search(says, str(caught.value))
    assert caught.value.where == {"system": "resident_core", "sqlstate": sqlstate}
    assert VALUE not in str(caught.value)


def test_a_line_that_breaks_has_no_sqlstate() -> None:
    """Then there is none to say."""
    with pytest.raises(SourceUnavailable, match="does not answer"), translated("resident_core"):
        raise psycopg.OperationalError("server closed the connection unexpectedly")
