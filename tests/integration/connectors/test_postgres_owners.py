"""Two owners of one lane at one PostgreSQL: whatever waits for whom, both leave what is right."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bus.conformance.sink_suite import CITY, batch_of, erasure_of, opened, person, view_of
from bus.errors import LaneLost
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import SMALL_ROWS, PostgresOptions
from tests.support.waiting import until_elsewhere

pytestmark = pytest.mark.service

END = 600
SLOW = """
CREATE FUNCTION linkage.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.name = 'slow' THEN PERFORM pg_sleep(1); END IF; RETURN new; END $$;
CREATE TRIGGER slow BEFORE INSERT ON linkage.resident
  FOR EACH ROW EXECUTE FUNCTION linkage.slow()"""


def sink_at(uri: str) -> PostgresSink:
    """A sink of its own: another owner."""
    return PostgresSink(PostgresOptions(uri=SecretStr(uri)))


def execute(uri: str, statement: str) -> None:
    """Do *statement* as the receiving system's own people."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statement.encode())


async def is_slow(uri: str) -> None:
    """Wait until what :data:`SLOW` holds up is in the middle of its statement."""
    asked = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )
    await until_elsewhere(lambda: values(uri, asked))


def values(uri: str, question: str) -> list[tuple[Any, ...]]:
    """What the database answers."""
    with psycopg.connect(uri) as connection:
        return connection.execute(question.encode()).fetchall()


@pytest.mark.parametrize("rows", [1, SMALL_ROWS + 1])
async def test_an_erasure_takes_what_a_retry_wrote_while_it_waited(
    database: str, rows: int
) -> None:
    """Both begin where the lane is; the retry goes first, and the erasure behind it is whole."""
    view = view_of()
    async with opened(sink_at(database), view) as old, opened(sink_at(database), view) as new:
        await old.apply(batch_of(view, [person("0")]))
        execute(database, SLOW)
        people = [person("1", name="slow"), *(person(f"p{at}") for at in range(rows - 1))]
        retry = asyncio.ensure_future(old.apply(batch_of(view, people, start=1, end=1)))
        await is_slow(database)
        applied = await new.apply(erasure_of(view, [f"{CITY}/1"], start=1))
        await retry

    assert applied.rows == 1
    assert values(database, "SELECT FROM linkage.resident WHERE subject_id = '1'") == []


async def test_retries_against_erasures(database: str) -> None:
    """In whatever order two owners come, nobody who was erased is left."""
    view = view_of()
    async with opened(sink_at(database), view) as one, opened(sink_at(database), view) as other:
        await one.apply(batch_of(view, [person("0")]))
        for turn in range(1, 151):
            calls = [
                one.apply(batch_of(view, [person("1", turn)], start=turn, end=turn)),
                other.apply(erasure_of(view, [f"{CITY}/1"], start=turn)),
            ]
            Random(turn).shuffle(calls)
            said = await asyncio.gather(*calls, return_exceptions=True)
            assert all(not isinstance(s, BaseException) or isinstance(s, LaneLost) for s in said)
            assert values(database, "SELECT FROM linkage.resident WHERE subject_id = '1'") == []


async def test_two_owners_race(database: str) -> None:
    """Hundreds of contested moves: what is stored is what the winners brought, in their order."""
    view, log = view_of(), dict[int, tuple[int, int, str]]()  # start -> end, erased or -1, name

    async def carry(number: int, sink: PostgresSink) -> None:
        random = Random(number)
        while True:
            held = await sink.checkpoint(0)
            start = held.position.offset if held else 0
            if start >= END:
                return
            rows, name = random.choice([1, 1, 2, 5, SMALL_ROWS + 1]), f"{number}-{start}"
            is_erasure = start > 0 and random.random() < 0.2
            people = [person(str(start + n), start + n + 1, name=name) for n in range(rows)]
            batch = (
                erasure_of(view, [f"{CITY}/{start - 1}"], start=start)
                if is_erasure
                else batch_of(view, people, start=start)
            )
            try:
                await sink.apply(batch)
            except LaneLost:
                continue
            assert start not in log
            log[start] = (batch.end.offset, start - 1 if is_erasure else -1, name)

    async with opened(sink_at(database), view) as one, opened(sink_at(database), view) as other:
        await asyncio.gather(carry(1, one), carry(2, other))

    expected, at = dict[str, str](), 0
    while at in log:
        end, erased, name = log[at]
        if erased < 0:
            expected |= {str(subject): name for subject in range(at, end)}
        else:
            expected.pop(str(erased), None)
        at = end
    stored: dict[str, Any] = dict(values(database, "SELECT subject_id, name FROM linkage.resident"))
    assert stored == expected
    assert values(database, 'SELECT "offset" FROM linkage.renkei_position') == [(at,)]


async def test_a_table_with_a_rule_on_delete_is_erased_from(database: str) -> None:
    """A receiving system may note by a rule of its own what goes."""
    view = view_of()
    async with opened(sink_at(database), view) as sink:
        await sink.apply(batch_of(view, [person("0")]))
        execute(database, "CREATE TABLE linkage.gone (at timestamptz)")
        execute(
            database,
            "CREATE RULE note AS ON DELETE TO linkage.resident"
            " DO ALSO INSERT INTO linkage.gone VALUES (now())",
        )
        applied = await sink.apply(erasure_of(view, [f"{CITY}/0"], start=1))

    assert applied.rows == 1
