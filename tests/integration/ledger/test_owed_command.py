"""What a store cannot give up by itself: listed, and settled by somebody, on the real database."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from bus.cli.main import build
from bus.conformance.sink_suite import view_of
from bus.connect import AppliedView, Retraction
from bus.errors import ConfigurationError, NothingChanged, UnknownName
from bus.ledger.keeper import LedgerKeeper
from tests.support.operating import at_a_desk

pytestmark = pytest.mark.service

STANDING = AppliedView.of(view_of())
RESIDENT, HOUSEHOLD = ("child_allowance", "resident"), ("child_allowance", "household")


@pytest.fixture
def recorded(database: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What operators did, over a database of the test's own."""
    monkeypatch.setenv("RENKEI_DATABASE", database)
    return at_a_desk(monkeypatch, None)


async def owe(database: str) -> None:
    """Two stores have lost something that they cannot give up."""
    keeper = LedgerKeeper(database)
    lost = Retraction(columns=("name", "address"), event_types=frozenset({"resident.moved_in"}))
    await keeper.stand(*RESIDENT, STANDING, lost, is_owed=True)
    await keeper.stand(*HOUSEHOLD, STANDING, Retraction(everything=True), is_owed=True)
    await keeper.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["owed", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    found = run("list", "--json", *arguments)
    assert found.exit_code == 0, found
    return list(json.loads(found.stdout))


def test_where_nothing_is_kept_nothing_is_owed(recorded: Any, database: str) -> None:
    """And asking makes nothing: whoever asks may not have the right to."""
    assert "nothing is owed" in run("list").stdout
    assert isinstance(run("settle", "1", "--reason", "T-1").exception, UnknownName)
    with psycopg.connect(database) as session:
        schemas = session.execute("SELECT to_regnamespace('renkei_kept')").fetchone()
    assert schemas == (None,)


def test_it_is_listed_until_somebody_settles_it(recorded: Any, database: str) -> None:
    """What, of which store, since when; who settles it is recorded before, with the reason."""
    asyncio.run(owe(database))
    first, second = listed()
    assert (first["system"], first["stream"]) == RESIDENT
    assert (first["columns"], first["everything"]) == (["name", "address"], False)
    assert (second["everything"], second["stream"]) == (True, "household")
    told = run("list").stdout
    assert "items name, address; rows of resident.moved_in" in told
    assert "everything that is there" in told

    tried = run("settle", str(first["number"]), "--reason", "T-1", "--dry-run", "--json")
    said = json.loads(tried.stdout)
    assert (said["document"], said["is_dry"]) == ("owed-settled/1", True)
    assert said["settled"]["number"] == first["number"]
    assert (listed(), recorded) == ([first, second], [])

    done = run("settle", str(first["number"]), "--reason", "T-1", "--by", "officer")
    assert "settled" in done.stdout
    assert listed() == [second]
    assert listed("--system", "ledger") == []
    (deed,) = recorded
    assert (deed.act, deed.actor, deed.account) == ("owed-settle", "officer", "me")
    assert (deed.system, deed.stream, deed.count, deed.reason) == (*RESIDENT, 1, "T-1")
    with psycopg.connect(database) as session:
        kept = session.execute(
            "SELECT done_by, reason FROM renkei_kept.owed WHERE done_at IS NOT NULL"
        ).fetchall()
    assert kept == [("officer", "T-1")]


def test_what_is_settled_already_changes_nothing(
    recorded: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second hears it, in between as well."""
    asyncio.run(owe(database))
    first, _ = listed()
    settle = LedgerKeeper.settle

    async def twice(keeper: LedgerKeeper, number: int, by: str, reason: str) -> bool:
        assert await settle(keeper, number, "another", reason)
        return await settle(keeper, number, by, reason)

    with monkeypatch.context() as patch:
        patch.setattr(LedgerKeeper, "settle", twice)
        error = run("settle", str(first["number"]), "--reason", "T-1").exception
    assert isinstance(error, NothingChanged)
    assert isinstance(run("settle", str(first["number"]), "--reason", "T-1").exception, UnknownName)


def test_without_a_database_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """By which setting."""
    monkeypatch.delenv("RENKEI_DATABASE", raising=False)
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path))
    error = run("list").exception

    assert isinstance(error, ConfigurationError)
    assert "RENKEI_DATABASE" in str(error)
