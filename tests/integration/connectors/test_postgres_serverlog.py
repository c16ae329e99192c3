"""個人番号 and the database's own log: refused where it would show it, and not in it elsewhere.

The log is that of the real server: a role's settings stand in for an administrator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from bus.catalog import load
from bus.conformance.sink_suite import batch_of, opened
from bus.errors import BusError, ConfigurationError, EventRefused
from connectors.postgres.table import SMALL_ROWS
from tests.integration.connectors.site import Site
from tests.support.engines import unique
from tests.support.sealed import entitled, number_of

pytestmark = pytest.mark.service

VIEW = entitled(load(), "child_allowance")
SIZES = pytest.mark.parametrize("count", [1, SMALL_ROWS + 10])
AS_IT_COMES = {"log_min_messages": "warning", "log_error_verbosity": "default"}
TERSE = AS_IT_COMES | {"log_error_verbosity": "terse", "log_min_error_statement": "error"}
STATEMENTS = {"log_statement": "all", "log_min_duration_statement": "0"}
ALL_STATEMENTS = STATEMENTS | {"log_min_messages": "log", "log_error_verbosity": "default"}


@pytest.fixture
def site(database: str) -> Iterator[Site]:
    """A site of this test's own."""
    made = Site(database, unique("site"))
    yield made
    made.remove()


def rows(count: int, first: int) -> list[dict[str, object]]:
    """Persons with numbers that no other test has."""
    return [
        {
            "municipality_code": "131016",
            "subject_id": f"{person:015d}",
            "version": 1,
            "event_id": f"00000000-0000-7000-8000-{person:012d}",
            "number": number_of(person),
        }
        for person in range(first, first + count)
    ]


@pytest.fixture
def people(request: pytest.FixtureRequest) -> int:
    """The first of persons whom nobody else has: a log is shared by all tests of a run."""
    return abs(hash(request.node.nodeid)) % 10**9 * 10


@SIZES
@pytest.mark.parametrize(
    "settings",
    [{}, TERSE, TERSE | STATEMENTS, ALL_STATEMENTS | {"log_parameter_max_length": "0"}],
    ids=["as the stack has it", "terse", "terse, all statements", "no parameters"],
)
@pytest.mark.parametrize(
    "spoil",
    [
        "ALTER TABLE linkage.individual_number ADD CHECK (number = '')",
        "ALTER TABLE linkage.individual_number ALTER COLUMN number TYPE varchar(5)",
        "CREATE UNIQUE INDEX ON linkage.individual_number ((left(number, 1)))",
        "ALTER TABLE linkage.individual_number ADD EXCLUDE (number WITH =, version WITH =)"
        "; ALTER TABLE linkage.individual_number ADD CHECK (length(number) < 2)",
    ],
)
async def test_a_refused_row_is_in_no_log(
    site: Site, people: int, count: int, settings: dict[str, str], spoil: str
) -> None:
    """A table that the system made itself refuses: neither its log nor our error has the number."""
    site.set(settings)
    written = rows(count, people) + rows(2, people + 2_000)
    async with opened(site.sink(), VIEW):
        pass
    site.execute(spoil)

    async with opened(site.sink(), VIEW) as sink:
        with pytest.raises(BusError) as refused:
            await sink.apply(batch_of(VIEW, written))

    assert isinstance(refused.value, EventRefused)
    logged = site.logged()
    said = f"{refused.value!r} {refused.value} {refused.value.__cause__}"
    assert [row["number"] for row in written if str(row["number"]) in logged + said] == []


@SIZES
@pytest.mark.parametrize(
    "settings",
    [AS_IT_COMES, ALL_STATEMENTS, AS_IT_COMES | {"log_error_verbosity": "verbose"}],
    ids=["as PostgreSQL comes", "all statements", "verbose"],
)
async def test_where_the_log_would_have_it_nothing_is_delivered(
    site: Site, count: int, settings: dict[str, str]
) -> None:
    """The lane stops before it has written anything, and says what must be set."""
    site.set(settings)

    with pytest.raises(ConfigurationError) as refused:
        async with opened(site.sink(), VIEW):
            raise AssertionError("it was opened")

    assert "= " in str(refused.value.where["settings"])


@SIZES
@pytest.mark.parametrize("settings", [AS_IT_COMES, ALL_STATEMENTS], ids=["errors", "statements"])
async def test_the_refusal_has_a_reason(
    site: Site,
    people: int,
    count: int,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were it not refused, a number would be in the log: of a refused row, or as a parameter."""
    monkeypatch.setattr("connectors.postgres.serverlog.loud", lambda _: [])
    site.set(settings)
    written = rows(count, people)
    async with opened(site.sink(), VIEW):
        pass
    if "log_statement" not in settings:
        site.execute("ALTER TABLE linkage.individual_number ADD CHECK (number = '')")
    async with opened(site.sink(), VIEW) as sink:
        with suppress(EventRefused):
            await sink.apply(batch_of(VIEW, written))

    in_log = [row["number"] for row in written if str(row["number"]) in site.logged()]
    is_copied = count > SMALL_ROWS and "log_statement" in settings  # COPY has no parameters
    assert bool(in_log) is not is_copied


async def test_other_views_are_opened_anywhere(site: Site) -> None:
    """What shows nothing restricted asks nothing of the server."""
    plain = entitled(load(), "child_allowance", fields=["assigned_on"], number_use=None)
    site.set(AS_IT_COMES)

    async with opened(site.sink(), plain) as sink:
        await sink.apply(batch_of(plain, rows(1, 1)))
