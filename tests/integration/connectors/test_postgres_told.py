"""What a store's server is told of who is under protection: of those whom it holds, and no more.

The server's log is that of the real server, which here logs every statement with its parameters; a
role's settings stand in for an administrator's. Tables are searched as well, the server's own
statistics among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bus.conformance.sink_suite import (
    CITY,
    batch_of,
    erasure_of,
    fenced_view,
    known_to,
    opened,
    person,
    vehicle,
    view_of,
)
from bus.model import CoverageChange, History, Protected, ProtectionChange
from connectors.postgres.finding import MOST_RANGES
from tests.integration.connectors.site import Site
from tests.support.engines import unique

pytestmark = pytest.mark.service

LOUD = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "-1",
    "log_min_messages": "debug1",
    "log_min_error_statement": "debug1",
    "log_error_verbosity": "verbose",
}
ELSEWHERE = "987654"
PLACES = ("owner_id", "co_owners_id", "household_number")
_TABLES = """
SELECT schemaname, tablename FROM pg_tables WHERE schemaname <> 'information_schema'
AND (schemaname <> 'pg_catalog' OR tablename = 'pg_statistic')
"""


@pytest.fixture
def site(database: str) -> Iterator[Site]:
    """A site of this test's own."""
    made = Site(database, unique("site"))
    yield made
    made.remove()


@pytest.fixture
def base(request: pytest.FixtureRequest) -> int:
    """Where numbers begin that no other test has: a log is shared by all tests of a run."""
    return abs(hash(request.node.nodeid)) % 10**6 * 10**8


def numbers(base: int, count: int) -> list[str]:
    """Fifteen digits each, far from one another."""
    return [f"{base + at * 10**5 + 37:015d}" for at in range(1, count + 1)]


def logged(site: Site, wanted: Sequence[str], since: int) -> list[str]:
    """Which of *wanted* are in the server's log after *since*."""
    text = site.logged()[since:]
    return [number for number in wanted if number in text]


def stored(database: str, wanted: Sequence[str]) -> list[str]:
    """Which of *wanted* are in any table."""
    text = ""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ANALYZE")
        for names in connection.execute(_TABLES).fetchall():
            rows = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*names))
            text += "\n".join(row for (row,) in connection.execute(rows).fetchall())
    return [number for number in wanted if number in text]


def protects(
    start: int, subject: str, persons: Sequence[str], households: Sequence[str] = ()
) -> ProtectionChange:
    """What the protection stream brings, with *subject*'s row, after which these keys are covered;
    all of them are news."""
    as_of, before = known_to(start + 1), known_to(start)
    covers = frozenset(persons), frozenset(households)
    history = History(before, (CoverageChange(as_of, *covers),), released=as_of)
    rows = [person(subject, start + 1, event_id=f"e{start}")]
    return ProtectionChange(
        protected=Protected(*covers, as_of, history),
        brought_by=batch_of(view_of("protection"), rows, start=start),
    )


@pytest.mark.parametrize(
    ("place", "count", "made_by"),
    [
        *((place, count, "bus") for place in PLACES for count in (6, MOST_RANGES // 2)),
        *((place, 6, "vendor") for place in PLACES),
    ],
)
async def test_nobody_is_named_whom_the_store_does_not_hold(
    site: Site, database: str, base: int, place: str, count: int, made_by: str
) -> None:
    """Few and many, by each column, when they come under protection and when that ends, in a table
    of the bus and in one that the vendor made: whoever is held is taken out; no number is in the
    server's log, and none of anybody else, or of another municipality, in any table."""
    view = fenced_view()
    everybody = numbers(base, count)
    held, others = everybody[:3], everybody[3:]
    *foreign, subject = numbers(base + 5 * 10**7, 4)
    if made_by == "vendor":
        async with opened(site.sink(), view):
            pass
        site.execute(
            "ALTER TABLE linkage.light_vehicle_tax_vehicle RENAME TO bus_made;"
            "CREATE TABLE linkage.light_vehicle_tax_vehicle (LIKE linkage.bus_made);"
            "DROP TABLE linkage.bus_made;"
            "ALTER TABLE linkage.light_vehicle_tax_vehicle"
            " ADD UNIQUE (municipality_code, subject_id)"
        )
    rows = [
        vehicle(f"{at}", **dict[str, Any]({place: [number] if place == "co_owners_id" else number}))
        for at, number in enumerate([*held, "000000000000015"])
    ]
    async with opened(site.sink(), view) as sink:
        await sink.apply(batch_of(view, rows))
    site.set(LOUD)
    keys = [f"{CITY}/{number}" for number in everybody]
    keys += [f"{ELSEWHERE}/{number}" for number in [*foreign, held[0]]]
    both = ([], keys) if place == "household_number" else (keys, [])
    since = len(site.logged())

    async with opened(site.sink(), view_of("protection")) as protection:
        await protection.apply(protects(0, subject, *both))
        kept = [[key for key in each if held[0] not in key] for each in both]
        await protection.apply(protects(1, subject, *kept))
        erased = erasure_of(view_of("protection"), [f"{CITY}/{subject}"], start=2)
        protected = protects(1, subject, *kept).protected
        await protection.apply(ProtectionChange(protected=protected, brought_by=erased))
    async with opened(site.sink(), view) as sink:
        to_restore = await sink.to_restore()

    with psycopg.connect(site.uri) as connection:
        found = connection.execute(
            "SELECT subject_id, protected, kept_at_lot IS NULL"
            " FROM linkage.light_vehicle_tax_vehicle ORDER BY subject_id"
        ).fetchall()
    assert found == [(f"{at}", True, True) for at in range(3)] + [("3", False, False)]
    assert to_restore.rows == {f"{CITY}/0": 1}
    assert logged(site, [*everybody, *foreign, subject, ELSEWHERE], since) == []
    assert stored(database, [*others, *foreign, subject, ELSEWHERE]) == []


async def test_the_search_finds_what_is_there(site: Site, database: str, base: int) -> None:
    """Were a number a parameter, or in a table, it would be found: the test above is no empty
    one."""
    parameter, value, neither = numbers(base, 3)
    site.set(LOUD)
    since = len(site.logged())
    with psycopg.connect(site.uri, autocommit=True) as connection:
        connection.execute("SELECT %s::text", (parameter,))
    site.set({"log_statement": "none", "log_min_duration_statement": "-1"})
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLE own AS SELECT {} AS id").format(value))
    assert logged(site, [parameter, value, neither], since) == [parameter]
    assert stored(database, [parameter, value, neither]) == [value]
