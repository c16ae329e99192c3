"""The session is asked before what is restricted goes over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from bus.errors import Untrusted
from bus.model import Sensitivity
from connectors.postgres import line
from tests.support.lanes import view_of

VIEW = view_of("child_allowance", "resident")
RESTRICTED = replace(
    VIEW, columns=(replace(VIEW.columns[-1], sensitivity=Sensitivity.RESTRICTED), *VIEW.columns)
)


class Session:
    """A session that gives one answer."""

    def __init__(self, *row: object) -> None:
        self._row = row

    def execute(self, _query: str) -> Any:
        return self

    def fetchone(self) -> object:
        return self._row


def test_a_line_that_can_be_read_along_is_not_used() -> None:
    """Whatever the URI says."""
    with pytest.raises(Untrusted, match="not encrypted"):
        line.insist_on_encryption(Session(False), RESTRICTED)  # type: ignore[arg-type]


def test_nothing_restricted_is_not_asked_for() -> None:
    """Loopback or verified TLS is asked of every URI already."""
    line.insist_on_encryption(Session(False), VIEW)  # type: ignore[arg-type]


@pytest.mark.service
@pytest.mark.parametrize(
    ("address", "ssl", "expected"),
    [
        ("'127.0.0.1'::inet", "false", True),
        ("'127.8.9.1'::inet", "false", True),
        ("'::1'::inet", "false", True),
        ("NULL::inet", "false", True),
        ("'10.0.0.5'::inet", "false", False),
        ("'::ffff:10.0.0.5'::inet", "false", False),
        ("'128.0.0.1'::inet", "false", False),
        ("'10.0.0.5'::inet", "true", True),
    ],
)
def test_what_the_server_would_say(address: str, ssl: str, expected: bool, database: str) -> None:
    """By the question itself, with other addresses in it."""
    query = line._QUERY.replace("inet_client_addr()", address)
    query = query.replace("(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())", ssl)
    assert query.count("inet_client_addr") == query.count("pg_stat_ssl") == 0

    with psycopg.connect(database) as connection:
        assert connection.execute(query.encode()).fetchone() == (expected,)
        own = connection.execute(line._QUERY.encode()).fetchone()
    assert own == (True,)  # the tests' server is on this machine
