"""``renkei relay``: what operators see and do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest
import typer
from psycopg import errors
from typer.testing import CliRunner, Result

from bus.cli import relay
from bus.errors import BusError, ConfigurationError, SourceUnavailable
from bus.model.deed import Act, Deed
from tests.support.operating import at_a_desk
from tests.support.outbox import SYSTEM, Outbox, change, until

pytestmark = pytest.mark.service

Command = Callable[..., Result]
RECORDED: list[list[Deed]] = []
"""What the command of the test that runs recorded."""


@pytest.fixture
def command(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Command:
    """Runs ``renkei relay …`` with this test's database as the register's outbox."""
    monkeypatch.setenv("RENKEI_OUTBOXES", json.dumps({SYSTEM: database}))
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path))
    RECORDED[:] = [at_a_desk(monkeypatch, None)]
    app = typer.Typer()
    relay.register(app)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["relay", *words], catch_exceptions=True)

    return run


def error_of(result: Result) -> BusError:
    """The error that a command ended with."""
    assert isinstance(result.exception, BusError), result.output
    return result.exception


def test_installs_twice_and_shows_what_it_would_do(command: Command, database: str) -> None:
    """Install makes the outbox, says how to use it, and with --dry-run prints the SQL alone."""
    dry = command("install", SYSTEM, "--dry-run", "--core", "clerk", "--relay", 'od"d')
    with psycopg.connect(database) as session:
        row = session.execute("SELECT to_regnamespace('renkei')").fetchone()
        assert row == (None,)
    with psycopg.connect(database) as session:  # what is printed can be run
        role = 'CREATE ROLE "renkei_outbox" NOLOGIN;'
        assert role in dry.stdout
        printed = re.sub(r"(?m)^GRANT.*$", "", dry.stdout)
        with suppress(errors.DuplicateObject, errors.UniqueViolation), session.transaction():
            session.execute(role)  # one for all databases; another test may be making it
        session.execute(printed.replace(role, ""))

    first, second = command("install", SYSTEM), command("install", "--uri", database)
    third = json.loads(command("install", SYSTEM, "--json").stdout)

    said = "GRANT EXECUTE ON FUNCTION renkei.publish_change(jsonb) TO"
    assert f'{said} "clerk"' in " ".join(dry.stdout.split())
    assert 'TO "od""d"' in dry.stdout
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "renkei.publish_change('{…}')" in first.stdout
    assert (third["system"], third["is_installed"]) == (SYSTEM, True)


@pytest.mark.parametrize("option", ["--core", "--relay"])
def test_a_role_that_is_not_there_is_named(command: Command, database: str, option: str) -> None:
    """With the option that names it; and nothing was made."""
    error = error_of(command("install", SYSTEM, option, "nobody_at_all"))

    assert isinstance(error, ConfigurationError)
    assert f"the role that {option} names is not there" in str(error)
    assert "role=nobody_at_all" in str(error)
    with psycopg.connect(database) as session:
        assert session.execute("SELECT to_regnamespace('renkei')").fetchone() == (None,)


def test_says_which_outbox_it_does_not_know(command: Command) -> None:
    """A system without an outbox is named."""
    assert "system=tax" in str(error_of(command("status", "--system", "tax")))
    assert isinstance(error_of(command("install")), ConfigurationError)
    assert isinstance(error_of(command("install", SYSTEM, "--uri", "x")), ConfigurationError)


def test_says_that_an_outbox_is_not_installed(command: Command) -> None:
    """The message names the command that helps."""
    assert "renkei relay install" in str(error_of(command("status")))


async def test_shows_what_waits_and_settles_what_was_refused(
    command: Command, outbox: Outbox
) -> None:
    """Status, list, retry and drop, for people and for programs."""
    outbox.publish(change("1", 1), change("2", 2), change("2", 3))
    (before,) = json.loads((await asyncio.to_thread(command, "status", "--json")).stdout)
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
        (during,) = json.loads((await asyncio.to_thread(command, "status", "--json")).stdout)
        table = (await asyncio.to_thread(command, "status")).stdout

    assert before["pending"] == 3
    assert before["oldest_s"] > 0
    assert before["leader"] is None
    assert (during["pending"], during["refused"]) == (0, 2)
    assert during["leader"]
    assert SYSTEM in table
    assert all(len(line) <= 80 for line in table.splitlines())

    await asyncio.to_thread(settle, command, outbox)


def settle(command: Command, outbox: Outbox) -> None:
    """List, retry and drop two refusals, the second behind the first."""
    first, second = json.loads(command("refused", "list", SYSTEM, "--json").stdout)
    assert second["behind"] == first["seq"]
    (looked,) = RECORDED[0]  # they name subjects
    assert (looked.act, looked.system, looked.count) == (Act.REFUSED_LIST, SYSTEM, 2)
    shown = command("refused", "list", SYSTEM).stdout
    assert f"behind {first['seq']}" in shown
    assert "record 0: version-gap: expected the next version" in shown

    assert isinstance(error_of(command("refused", "retry", SYSTEM)), ConfigurationError)
    dry = command("refused", "retry", SYSTEM, "--all", "--dry-run").stdout
    assert dry == f"would put back {first['seq']}, {second['seq']}\n"
    again = command("refused", "retry", SYSTEM, str(first["seq"]), "--json")
    assert json.loads(again.stdout) == {
        "document": "refused-put-back/1",
        "put_back": [first["seq"]],
        "is_dry": False,
    }
    assert outbox.pending() == 1
    dry = command("refused", "drop", SYSTEM, str(second["seq"]), "--dry-run").stdout
    assert dry == f"would drop {second['seq']}\n"
    dry = command("refused", "drop", SYSTEM, str(second["seq"]), "--dry-run", "--json").stdout
    assert json.loads(dry) == {
        "document": "refused-dropped/1",
        "dropped": [second["seq"]],
        "is_dry": True,
    }
    assert command("refused", "drop", SYSTEM, str(second["seq"])).stdout.startswith("dropped")
    assert command("refused", "list", SYSTEM).stdout == "nothing is refused\n"


def test_shows_the_others_when_one_does_not_answer(
    command: Command, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One database that is away hides nothing of the others, and the exit status says it."""
    away = "postgresql://nobody@127.0.0.1:1/none"
    monkeypatch.setenv("RENKEI_OUTBOXES", json.dumps({"a_tax": away, SYSTEM: outbox.uri}))

    result = command("status", "--json")

    assert isinstance(error_of(result), SourceUnavailable)
    assert [one["system"] for one in json.loads(result.stdout)] == [SYSTEM]


async def test_shows_no_word_that_stands_where_a_key_should(
    command: Command, outbox: Outbox
) -> None:
    """Whom a refused change is about was checked by nobody: what is no key is shown as a digest."""
    outbox.publish(change("東京都港区芝公園４丁目", 2), change("2", 2))
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)

    for options in ([], ["--json"]):
        shown = (await asyncio.to_thread(command, "refused", "list", SYSTEM, *options)).stdout
        assert "芝公園" not in shown
        assert "sha256:" in shown
        assert "131130/2" in shown
