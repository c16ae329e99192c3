"""個人番号 and the line that it would go over: the session is asked when a view is opened.

The server is the real one, and here: the address that it would see stands in the question instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from bus.catalog import load
from bus.conformance.sink_suite import batch_of, opened
from bus.errors import ConfigurationError, SinkUnavailable, Untrusted
from connectors.postgres import line
from connectors.postgres.table import SMALL_ROWS
from tests.integration.connectors.site import Site
from tests.integration.connectors.test_postgres_serverlog import rows
from tests.support.engines import unique
from tests.support.sealed import entitled

pytestmark = pytest.mark.service

VIEW = entitled(load(), "child_allowance")
PLAIN = entitled(load(), "child_allowance", fields=["assigned_on"], number_use=None)
SIZES = pytest.mark.parametrize("count", [1, SMALL_ROWS + 10])
SILENT = {
    "log_min_messages": "warning", "log_error_verbosity": "terse",
    "log_min_error_statement": "error",
}  # fmt: skip


@pytest.fixture
def site(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One whose log is silent, seen by its server from elsewhere and not encrypted."""
    made = Site(database, unique("site"))
    made.set(SILENT)
    elsewhere = line._QUERY.replace("inet_client_addr()", "'10.0.0.5'::inet")
    monkeypatch.setattr(line, "_QUERY", elsewhere)
    yield made
    made.remove()


async def test_a_restricted_view_is_not_opened_over_it(site: Site) -> None:
    """Whatever the URI says; nothing was made in the store."""
    with pytest.raises(Untrusted, match="not encrypted"):
        async with opened(site.sink(), VIEW):
            raise AssertionError("it was opened")

    site.execute("CREATE SCHEMA linkage")  # there was none


async def test_it_is_opened_where_the_session_is_here(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same question: it is the line that was refused, and nothing else."""
    monkeypatch.undo()

    async with opened(site.sink(), VIEW):
        pass


async def test_other_views_are_opened_over_it(site: Site) -> None:
    """What shows nothing restricted asks for no more than its URI says."""
    async with opened(site.sink(), PLAIN):
        pass


@SIZES
@pytest.mark.parametrize("is_heard", [False, True], ids=["read along", "logged"])
async def test_each_new_session_is_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch, count: int, is_heard: bool
) -> None:
    """The line was lost, and comes back by another way, or to a server that logs by now: nothing
    goes over it."""
    elsewhere = line._QUERY
    monkeypatch.undo()
    async with opened(site.sink(), VIEW) as sink:
        await sink.apply(batch_of(VIEW, rows(count, 1)))
        if is_heard:
            site.set({"log_error_verbosity": "verbose"})
        else:
            monkeypatch.setattr(line, "_QUERY", elsewhere)
        site.cut()
        lost = batch_of(VIEW, rows(count, 1_001), start=count)
        with pytest.raises(ConfigurationError) as refused:  # noqa: PT012 - the line is lost first
            with suppress(SinkUnavailable):
                await sink.apply(lost)
            await sink.apply(lost)

    assert isinstance(refused.value, Untrusted) is not is_heard
    assert site.count("linkage.individual_number") == count


async def test_a_second_session_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """That for many rows is opened when it is needed first."""
    elsewhere = line._QUERY
    monkeypatch.undo()
    async with opened(site.sink(), VIEW) as sink:
        monkeypatch.setattr(line, "_QUERY", elsewhere)
        with pytest.raises(Untrusted, match="not encrypted"):
            await sink.apply(batch_of(VIEW, rows(SMALL_ROWS + 10, 1)))

    assert site.count("linkage.individual_number") == 0
