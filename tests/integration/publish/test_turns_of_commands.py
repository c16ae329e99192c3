"""What commands append is appended in the turn of its systems, where those have several ways in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from bus.app import configured
from bus.cli import protections, publish
from bus.connect.source import Guard
from bus.errors import LeaseLost
from bus.model import PROTECTION, Change
from bus.operate import session as opening
from bus.operate.actor import Actor
from bus.operate.deeds import Order
from bus.operate.erasing import ErasePreview
from bus.publish.terms import MAKE
from tests.integration.publish.conftest import at_home, over_cluster
from tests.support.changes import body, by_cases, case, change, record

pytestmark = pytest.mark.service

SYSTEM, PERSON, DAY = "resident_registry", "000000000000019", "2025-05-01"


class Holder:
    """Another process, which has the turn of the system for as long as it is told to."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._do(MAKE)

    def take(self) -> None:
        """Have it."""
        self._do(
            "INSERT INTO publishing.term VALUES ('resident_registry', 'another', now() + '1 h')"
        )

    def release(self) -> None:
        """Give it back."""
        self._do("DELETE FROM publishing.term WHERE holder = 'another'")

    def _do(self, statement: str) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def other(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Holder:
    """The settings of a site where the system has several ways in, and whoever else publishes."""
    at_home(monkeypatch, tmp_path, erases=True)
    monkeypatch.setenv("RENKEI_INTAKE", f"[{SYSTEM}]")
    monkeypatch.setenv("RENKEI_DATABASE", database)
    monkeypatch.setenv("RENKEI_RELAY_LEASE", "PT1S")  # waited for twice as long
    over_cluster(monkeypatch, cluster)
    return Holder(database)


def run(module: Any, *words: str) -> Result:
    """Run a command of one module."""
    app = typer.Typer()
    module.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def insist_on_the_turn(other: Holder, act: Callable[[], Any], appended: Callable[[], int]) -> Any:
    """Nothing is appended while another process has the turn; then it is."""
    before = appended()
    other.take()
    with pytest.raises(LeaseLost):
        act()
    assert appended() == before
    other.release()
    done = act()
    assert appended() > before
    return done


def events(cluster: Any, stream: str) -> int:
    """How many there are."""
    return len(asyncio.run(cluster.events(stream)))


def test_a_file_of_changes(other: Holder, cluster: Any, tmp_path: Path) -> None:
    """``renkei publish`` beside a relay and an intake."""
    file = tmp_path / "load.jsonl"
    file.write_text(json.dumps(change(record(subject_id=PERSON))) + "\n", encoding="utf-8")

    insist_on_the_turn(
        other, lambda: run(publish, "publish", str(file)), lambda: events(cluster, "resident")
    )


def test_a_list_of_ends(other: Holder, cluster: Any, tmp_path: Path) -> None:
    """``renkei protections end``."""
    started = record(PROTECTION, subject_id=PERSON, body=by_cases(DAY, case(DAY)))

    async def begin() -> None:
        async with cluster.publisher() as publisher:
            beside = record(subject_id=PERSON, body=body("resident", protected=True))
            made = change(beside, started)
            text = json.dumps(made, ensure_ascii=False)
            (outcome,) = await publisher.publish([Change.model_validate_json(text, strict=True)])
            assert outcome.is_published, outcome.faults

    asyncio.run(begin())
    file = tmp_path / "ended.csv"
    file.write_text(
        f"municipality_code,subject_id,started_on,decided_on\n131016,{PERSON},{DAY},2025-06-01\n",
        encoding="utf-8",
    )

    done = insist_on_the_turn(
        other,
        lambda: run(protections, "protections", "end", str(file), "--yes", "--reason", "T-1"),
        lambda: events(cluster, PROTECTION),
    )
    assert "ended 1 cases" in done.stdout


def test_an_erasure(other: Holder, cluster: Any) -> None:
    """``renkei erase``: of whoever publishes any of the streams."""
    erased: list[str] = []

    class Erasing:
        async def erase(self, _: Any, *, operator: str, reason: str, guard: Guard) -> None:
            guard()
            erased.append(operator)

    plan = SimpleNamespace(keys=[(cluster.catalog.stream("resident"), f"131016/{PERSON}")])
    preview = ErasePreview(cast("Any", Erasing()), cast("Any", plan))

    async def erase() -> None:
        async with opening.Session(configured.settings(), patience=timedelta(seconds=5)) as session:
            await preview.perform(session, Order(Actor("clerk", "ops"), "T-1"))

    insist_on_the_turn(other, lambda: asyncio.run(erase()), lambda: len(erased))
