"""個人番号 and the line that it would go over: the session is asked when a view is opened.

The server is the real one, and here: the address that it would see stands in the question instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bus.catalog import load
from bus.conformance.sink_suite import opened
from bus.errors import Untrusted
from connectors.postgres import line
from tests.integration.connectors.site import Site
from tests.support.engines import unique
from tests.support.sealed import entitled

pytestmark = pytest.mark.service

VIEW = entitled(load(), "child_allowance")
PLAIN = entitled(load(), "child_allowance", fields=["assigned_on"], number_use=None)
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
