"""A view that changes while somebody is in the middle of writing under the old one."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pyarrow as pa
import pytest

from bus import failpoints
from bus.conformance.sink_suite import batch_of, opened, person, view_of
from bus.errors import ConfigurationError, EditionOutdated
from bus.failpoints import Point
from connectors.postgres.table import SMALL_ROWS
from tests.integration.connectors.test_postgres_owners import (
    SLOW,
    execute,
    is_slow,
    sink_at,
    values,
)

pytestmark = pytest.mark.service
OLD = view_of(extra=[("former_name", pa.string())])
NEW = view_of(edition=1)
HELD = "SELECT count(*), count(former_name) FROM linkage.resident"


@pytest.mark.parametrize("rows", [1, SMALL_ROWS + 1])
async def test_a_batch_under_way_leaves_nothing_behind(database: str, rows: int) -> None:
    """It is finished first; then what it wrote is emptied with the rest."""
    async with opened(sink_at(database), OLD) as old:
        await old.apply(batch_of(OLD, [person("0", former_name="a")]))
        execute(database, SLOW)
        people = [person("1", name="slow", former_name="a")]
        people += [person(f"p{at}", former_name="a") for at in range(rows - 1)]
        writing = asyncio.ensure_future(old.apply(batch_of(OLD, people, start=1)))
        await is_slow(database)
        async with opened(sink_at(database), NEW):
            found = values(database, HELD)
        await writing
        with pytest.raises(EditionOutdated):
            await old.apply(batch_of(OLD, [person("late", former_name="a")], start=1 + rows))

    assert found == [(1 + rows, 0)]
    assert values(database, HELD) == found


async def test_between_the_position_and_the_rows(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction of several statements is one moment for a view as well."""
    seen: list[list[tuple[object, ...]]] = []

    def change() -> None:
        async def open_new() -> None:
            async with opened(sink_at(database), NEW):
                seen.append(values(database, HELD))

        asyncio.run(open_new())

    changing = threading.Thread(target=change)

    def at(point: Point) -> None:
        if point is Point.SINK_MOVED and not changing.is_alive():
            changing.start()
            changing.join(0.5)

    async with opened(sink_at(database), OLD) as old:
        monkeypatch.setattr(failpoints, "_kill", at)
        people = [person(f"p{number}", former_name="a") for number in range(200)]
        await old.apply(batch_of(OLD, people))
        monkeypatch.setattr(failpoints, "_kill", None)
        await asyncio.to_thread(changing.join)

    assert seen == [[(200, 0)]]


async def test_a_change_that_is_cut_short_never_was(database: str) -> None:
    """The old values are there under the old view, which goes on; or neither is."""
    async with opened(sink_at(database), OLD) as old:
        await old.apply(batch_of(OLD, [person("1", former_name="a")]))
        execute(
            database,
            "CREATE FUNCTION linkage.no() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE check_violation; END';"
            " CREATE TRIGGER no BEFORE UPDATE ON linkage.resident"
            " FOR EACH ROW EXECUTE FUNCTION linkage.no()",
        )
        with pytest.raises(ConfigurationError):
            await sink_at(database).open(NEW)
        stands = values(database, "SELECT edition FROM linkage.renkei_view")
        found = values(database, HELD)
        await old.apply(batch_of(OLD, [person("2", former_name="b")], start=1))

    assert (stands, found) == ([(0,)], [(1, 1)])


async def test_a_table_of_before_gives_up_what_the_view_has_not(database: str) -> None:
    """Made by a release that noted no views: what the sink made and the view lacks is emptied."""
    async with opened(sink_at(database), OLD) as old:
        await old.apply(batch_of(OLD, [person("1", former_name="a")]))
    execute(database, "DROP TABLE linkage.renkei_view")

    async with opened(sink_at(database), view_of()) as sink:
        await sink.apply(batch_of(view_of(), [person("2")], start=1))

    assert values(database, HELD) == [(2, 0)]


async def test_a_column_that_may_not_be_empty_stops_its_lanes(database: str) -> None:
    """One that the system made itself, NOT NULL: said aloud, and nothing is written."""
    async with opened(sink_at(database), OLD) as old:
        await old.apply(batch_of(OLD, [person("1", former_name="a")]))
    execute(database, "ALTER TABLE linkage.resident ALTER former_name SET NOT NULL")
    with pytest.raises(ConfigurationError):
        await sink_at(database).open(NEW)
    with psycopg.connect(database) as connection:
        assert connection.execute(HELD).fetchall() == [(1, 1)]
