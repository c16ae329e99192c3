"""No command opens the ledger's database more than once, nor Kafka, whatever it asks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bus.ledger import prepare
from bus.ledger.store import connected
from tests.integration.ledger.test_custody import PUBLISHED, place
from tests.integration.ledger.test_owed_command import owe
from tests.support.counted import REASON, UNKNOWN, Counted, counted_site, run

__all__ = ["place"]
pytestmark = pytest.mark.service

PERSON = "131016/000000000000001"
KNOWN = "131016/000000000000019"  # of whom the ledger has an event
CHANGE = "019d3f00-0000-7000-8000-00000000dead"


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The databases that were connected to, in order."""
    opened: list[str] = []
    later, now = psycopg.AsyncConnection.connect, psycopg.Connection.connect

    async def connect(uri: str, **more: Any) -> Any:
        opened.append(str(conninfo_to_dict(uri)["dbname"]))
        return await later(uri, **more)

    def connect_now(uri: str, **more: Any) -> Any:
        opened.append(str(conninfo_to_dict(uri)["dbname"]))
        return now(uri, **more)

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
    monkeypatch.setattr(psycopg.Connection, "connect", connect_now)
    monkeypatch.setattr(psycopg, "connect", connect_now)
    return opened


COMMANDS = [  # its status, and how often it opens Kafka, and the ledger
    (("status",), 0, 1, 1),
    (("status", "--json"), 0, 1, 1),
    (("reach", "show", CHANGE), 1, 1, 1),
    (("provisions", "of", PERSON, *REASON), 1, 1, 1),
    (("provisions", "by", "child_allowance"), 0, 0, 1),
    (("provisions", "by", UNKNOWN), 0, 1, 1),
    (("provisions", "by", "child_allowance", "--details", "resident", *REASON), 0, 1, 1),
    (("erase", PERSON, *REASON, "--dry-run"), 1, 1, 1),
    (("erase", PERSON, *REASON, "--yes"), 1, 1, 1),
    (("erase", KNOWN, *REASON, "--dry-run"), 0, 1, 1),
    (("erase", KNOWN, *REASON, "--yes"), 0, 1, 1),
    (("deeds", "list"), 0, 0, 1),
    (("deeds", "list", "--system", UNKNOWN, "--subject", PERSON), 0, 1, 1),
    (("ledger", "verify"), 4, 1, 1),
    (("ledger", "verify", "--without-log"), 4, 0, 1),
    (("ledger", "verify", "--system", UNKNOWN), 4, 1, 1),
    (("ledger", "anchor", *REASON), 0, 1, 1),
    (("ledger", "prune", "--dry-run"), 0, 1, 1),
    (("ledger", "prune"), 0, 1, 1),
    (("owed", "list"), 0, 0, 1),
    (("owed", "list", "--system", UNKNOWN), 0, 1, 2),  # the parser of the name asks the ledger
    (("owed", "settle", "1", *REASON, "--dry-run"), 0, 0, 1),
    (("owed", "settle", "1", *REASON), 0, 1, 1),
    (("doctor",), 1, 1, 1),
    (("lanes", "show", "--system", UNKNOWN), 1, 1, 1),
    (("parked", "list", "--system", UNKNOWN), 1, 1, 1),
]


def test_a_command_opens_each_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str, connections: list[str]
) -> None:
    """The log, and the ledger; also where the parser of a name asks. What was opened is closed."""
    counted: Counted = counted_site(monkeypatch, tmp_path)
    monkeypatch.setenv("RENKEI_DATABASE", database)
    asyncio.run(prepare(connected(database), PUBLISHED))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE ledger.event_renkei_position (stream text, partition int,"
            ' "offset" bigint)'  # as the connector makes it
        )
        connection.execute(
            "INSERT INTO ledger.event_receipt VALUES (%s, 'resident', 0, 0, 1, '{[0,1)}', 'v', 1,"
            " 'd', 'p', 'c', now(), 'k', false, 0, 0)",
            (UNKNOWN,),
        )
        municipality, number = KNOWN.split("/")
        connection.execute(
            "INSERT INTO ledger.event_resident (municipality_code, subject_id, version, change_id,"
            " log_partition, log_offset) VALUES (%s, %s, 1, 'c', 0, 0)",
            (municipality, number),
        )
    asyncio.run(owe(database))
    name, found = str(conninfo_to_dict(database)["dbname"]), []
    for command, *_ in COMMANDS:
        counted.opened = counted.closed = 0
        connections.clear()
        done = run(*command)
        assert counted.opened == counted.closed, command
        found.append((command, done.exit_code, counted.opened, connections.count(name)))

    assert found == COMMANDS
