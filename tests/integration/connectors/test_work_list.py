"""A work list in PostgreSQL: clerks confirm versions, and what they have not is the list."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from pydantic import SecretStr

from bus.conformance.sink_suite import CITY, batch_of, erasure_of, opened, person, view_of
from bus.model import Mode
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import SMALL_ROWS, PostgresOptions

pytestmark = pytest.mark.service

LIST = """
SELECT subject_id, version, renkei_confirmed_version FROM linkage.resident
WHERE version > coalesce(renkei_confirmed_version, 0) ORDER BY subject_id"""
PLAIN = view_of()
WORK_LIST = replace(PLAIN, mode=Mode.WORK_LIST)


def sink_at(uri: str) -> PostgresSink:
    return PostgresSink(PostgresOptions(uri=SecretStr(uri)))


def confirm(uri: str, subject: str) -> None:
    """A clerk has seen the row as it is."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "UPDATE linkage.resident SET renkei_confirmed_version = version WHERE subject_id = %s",
            (subject,),
        )


def listed(uri: str) -> list[tuple[object, ...]]:
    with psycopg.connect(uri) as connection:
        return connection.execute(LIST).fetchall()


@pytest.mark.parametrize("others", [0, SMALL_ROWS + 1], ids=["few", "many"])
async def test_what_changed_since_it_was_confirmed_is_the_list(database: str, others: int) -> None:
    """A newer version is on it again; the row holds the new state alone, never the old one."""
    async with opened(sink_at(database), WORK_LIST) as sink:
        more = [person(f"x{at}") for at in range(others)]
        await sink.apply(batch_of(WORK_LIST, [person("1"), person("2"), *more], end=1))
        for subject in ("1", "2", *(f"x{at}" for at in range(others))):
            confirm(database, subject)
        assert listed(database) == []

        again = [person("1", 2), *(person(f"y{at}") for at in range(others))]
        await sink.apply(batch_of(WORK_LIST, again, start=1, end=2))
        assert listed(database)[0] == ("1", 2, 1)
        assert len(listed(database)) == 1 + others
        await sink.apply(erasure_of(WORK_LIST, [f"{CITY}/1"], start=2))

    assert "1" not in {row[0] for row in listed(database)}


async def test_a_table_becomes_a_work_list(database: str) -> None:
    """What is there already is unconfirmed; nothing else about the table changes."""
    async with opened(sink_at(database), PLAIN) as sink:
        await sink.apply(batch_of(PLAIN, [person("1")]))

    async with opened(sink_at(database), WORK_LIST) as sink:
        assert listed(database) == [("1", 1, None)]
        await sink.apply(batch_of(WORK_LIST, [person("2")], start=1))
    async with opened(sink_at(database), PLAIN) as sink:
        await sink.apply(batch_of(PLAIN, [person("3")], start=2))

    assert [row[0] for row in listed(database)] == ["1", "2", "3"]
