"""What the owner of a store writes into the bus's own tables there, to have it stand or fall."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest
from pydantic import SecretStr

from bus.conformance.sink_suite import (
    batch_of,
    fenced_view,
    known_to,
    opened,
    protection_of,
    vehicle,
    view_of,
)
from bus.errors import FenceBehind, StoreForged
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import SMALL_ROWS, PostgresOptions

pytestmark = pytest.mark.service

VIEW = fenced_view("nonresident")
LARGE = "repeat('x', 20 * 1024 * 1024)"
MANY = """
INSERT INTO linkage.renkei_position SELECT {}, 'c', 't', 1, NULL, '{{}}', now()
FROM generate_series(1000, 12000) AS n
"""


def sink_at(uri: str) -> PostgresSink:
    return PostgresSink(PostgresOptions(uri=SecretStr(uri)))


def execute(uri: str, statement: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
async def filled(database: str) -> str:
    """A store with a row, a protection and something to give back."""
    async with opened(sink_at(database), VIEW) as sink:
        await sink.apply(batch_of(VIEW, [vehicle("1", owner_id="a")]))
    async with opened(sink_at(database), view_of("protection")) as sink:
        await sink.apply(protection_of("a"))
    return database


@pytest.mark.parametrize(
    "forged",
    [
        f"UPDATE linkage.renkei_position SET receipt = receipt || jsonb_build_object('x', {LARGE})",
        MANY.format("'nonresident', n"),
        f"UPDATE linkage.renkei_view SET stands = stands || jsonb_build_object('x', {LARGE})",
        f"UPDATE linkage.renkei_withheld SET locations = locations || {LARGE}",
        f"UPDATE linkage.renkei_withheld SET told = jsonb_build_object('x', {LARGE})",
        "INSERT INTO linkage.renkei_withheld SELECT 'linkage.t' || n, 'f', '{}', '{}', '{}'"
        " FROM generate_series(1, 11000) AS n",
        "UPDATE linkage.renkei_position SET applied_at = 'infinity'",
        "UPDATE linkage.renkei_position SET receipt = '{\"start\": 1e5000}'",
        "UPDATE linkage.renkei_position"
        " SET receipt = (repeat('[', 3000) || repeat(']', 3000))::jsonb",
    ],
)
async def test_what_is_too_much_is_not_read(filled: str, forged: str) -> None:
    """Rows, or a row, beyond all that the bus could have written: the table is not opened."""
    execute(filled, forged)
    sink = sink_at(filled)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(sink.close)
        stack.enter_context(pytest.raises(StoreForged))
        await sink.open(VIEW)
        await sink.checkpoint(0)
        await sink.checkpoints()


@pytest.mark.parametrize(
    "said",
    [
        "applied_at = 'infinity'",
        "applied_at = '-infinity'",
        "applied_at = '294276-12-31'",
        "applied_at = '4000-01-01 BC'",
        "receipt = '{\"start\": 1e5000}'",
        f"receipt = receipt || jsonb_build_object('x', {LARGE})",
    ],
)
async def test_what_cannot_be_read_costs_its_own_lane(filled: str, said: str) -> None:
    """The others' positions are told as they are, and the store is watched as before."""
    async with opened(sink_at(filled), VIEW) as sink:
        await sink.apply(batch_of(VIEW, partition=1))
        before, marks = await sink.checkpoints(), await sink.marks()
        execute(filled, f"UPDATE linkage.renkei_position SET {said} WHERE partition = 1")

        found = await sink.checkpoints()
        assert found[0] == before[0]
        assert found[1].receipt.system == ""  # nobody's, so that no lane believes it
        assert (await sink.checkpoint(0)) == before[0]
        with pytest.raises(StoreForged):
            await sink.checkpoint(1)
        seen = await sink.marks()
        mine, bad = (VIEW.stream, 0), (VIEW.stream, 1)
        assert (seen[mine], seen[bad].offset) == (marks[mine], marks[bad].offset)
        is_of_a_time = said.startswith("applied_at")
        assert seen[bad].applied_at == (None if is_of_a_time else marks[bad].applied_at)


async def test_a_position_that_grows_under_an_open_sink(filled: str) -> None:
    async with opened(sink_at(filled), VIEW) as sink:
        await sink.apply(batch_of(VIEW, start=1, end=2))
        execute(
            filled,
            "UPDATE linkage.renkei_position"
            f" SET receipt = receipt || jsonb_build_object('x', {LARGE})",
        )
        with pytest.raises(StoreForged):
            await sink.checkpoint(0)
        execute(filled, MANY.format("'other', n"))
        with pytest.raises(StoreForged):
            await sink.marks()


@pytest.mark.parametrize("rows", [0, 1, SMALL_ROWS + 1])
@pytest.mark.parametrize("when", ["infinity", "-infinity", "9999-12-31", "2020-01-01"])
async def test_a_trigger_that_says_when_is_not_believed(filled: str, when: str, rows: int) -> None:
    """Whichever way the rows go; the time would go out in a receipt."""
    execute(
        filled,
        "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN NEW.applied_at := '{when}'; RETURN NEW; END$$;"
        "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON linkage.renkei_position"
        " FOR EACH ROW EXECUTE FUNCTION evil()",
    )
    async with opened(sink_at(filled), VIEW) as sink:
        people = [vehicle(str(n), owner_id="b") for n in range(rows)]
        given = replace(batch_of(VIEW, people, start=1, end=2 + rows), masked_under=known_to(1))
        with pytest.raises(StoreForged, match="another time than was written"):
            await sink.apply(given)


async def test_texts_of_a_position_are_cut(filled: str) -> None:
    """None that the bus wrote is as long; what is cut off fits nothing."""
    execute(
        filled,
        f"UPDATE linkage.renkei_position SET topic = {LARGE}, cluster_id = {LARGE},"
        f" last_event_id = {LARGE}",
    )
    async with opened(sink_at(filled), VIEW) as sink:
        held = await sink.checkpoint(0)
    assert held is not None
    position = held.position
    assert position.last_event_id is not None
    assert max(map(len, (position.topic, position.cluster_id, position.last_event_id))) < 1000


@pytest.mark.parametrize(
    "forged",
    [
        "INSERT INTO linkage.renkei_restore SELECT '\"linkage\".\"nonresident\"', '131016', n::text"
        " FROM generate_series(1, 110000) AS n",
        "UPDATE linkage.renkei_fence SET reached = jsonb_build_object('x/0', " + LARGE + ")",
        'UPDATE linkage.renkei_fence SET reached = \'{"protection/0": "x"}\'',
        "UPDATE linkage.renkei_fence SET reached = '{\"protection/0\": -1}'",
        "UPDATE linkage.renkei_fence SET reached = '{\"protection/0\": 1.5}'",
        "UPDATE linkage.renkei_fence SET reached = '{\"protection/0\": 1e5000}'",
        "UPDATE linkage.renkei_fence SET reached = '{\"protection/0\": null}'",
        "UPDATE linkage.renkei_fence SET reached = '[1]'",
        "UPDATE linkage.renkei_fence SET reached = '7'",
    ],
)
async def test_what_is_to_be_restored_is_bounded(filled: str, forged: str) -> None:
    """And a fence that says what no fence says is named; its rows are not refused as bad."""
    async with opened(sink_at(filled), VIEW) as sink:
        execute(filled, forged)
        if "fence" in forged:
            rows = replace(batch_of(VIEW, [vehicle("2")], start=1), masked_under=known_to(9))
            with pytest.raises(FenceBehind):
                await sink.apply(rows)
        with pytest.raises(StoreForged):
            await sink.to_restore()
    async with opened(sink_at(filled), view_of("protection")) as sink:
        if "fence" in forged:
            with pytest.raises(FenceBehind):
                await sink.apply(protection_of("c", start=1))


async def test_a_fence_that_was_taken_away_is_made_anew(filled: str) -> None:
    """When the store is opened; what its tables were told is not known then."""
    async with opened(sink_at(filled), VIEW) as sink:
        execute(filled, "DELETE FROM linkage.renkei_fence")
        rows = replace(batch_of(VIEW, [vehicle("2")], start=1), masked_under=known_to(9))
        with pytest.raises(FenceBehind):
            await sink.apply(rows)
        with pytest.raises(Exception, match="RK-404"):
            await sink.to_restore()
    async with opened(sink_at(filled), VIEW) as sink:
        assert (await sink.to_restore()).reached == {}
        await sink.apply(rows)
    async with opened(sink_at(filled), view_of("protection")) as sink:
        await sink.apply(protection_of("a", start=1))
    async with opened(sink_at(filled), VIEW) as sink:
        assert (await sink.to_restore()).rows == {}
    with psycopg.connect(filled) as connection:
        found = connection.execute(
            "SELECT subject_id, kept_at_lot IS NULL FROM linkage.nonresident ORDER BY 1"
        ).fetchall()
    assert found == [("1", True), ("2", False)]
