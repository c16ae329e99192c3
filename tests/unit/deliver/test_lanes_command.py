"""``renkei lanes``: what an operator sees and asks for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from bus import app as composition
from bus.cli import lanes
from bus.errors import ConfigurationError
from bus.model import Operation, OperationState
from bus.model.deed import Act, Deed
from bus.operate import naming
from bus.settings import Settings
from tests.support.lanes import SUBSCRIPTIONS
from tests.support.operating import at_a_desk

RECEIVED = set(SUBSCRIPTIONS["child_allowance"].streams)
AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
PAUSE = Operation(
    system="child_allowance",
    stream="household",
    state=OperationState.PAUSED,
    at=AT,
    operator="ops",
    note="T-1 [/bold]",
)
STOP = replace(
    PAUSE,
    stream="resident",
    partition=3,
    state=OperationState.STOPPED,
    operator=None,
    note=None,
    code="RK-205",
    offset=17,
)


class Operated:
    """What stands, and what was asked for."""

    def __init__(self) -> None:
        self.now = [PAUSE, STOP]
        self.asked: list[Operation] = []
        self.recorded: list[Deed] = []

    def standing(self, system: str | None = None) -> list[Operation]:
        return [o for o in self.now if system in (None, o.system)]

    def pause_of(self, system: str, stream: str) -> Operation | None:
        is_it = [o for o in self.standing(system) if (o.stream, o.partition) == (stream, None)]
        return is_it[0] if is_it else None

    async def instruct(self, operations: list[Operation]) -> None:
        self.asked += operations


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch) -> Operated:
    made = Operated()

    made.recorded = at_a_desk(monkeypatch, made)
    monkeypatch.setattr(composition.configured, "settings", Settings)
    return made


async def _known(*_: object) -> bool:
    return True


def run(*arguments: str) -> Result:
    app = typer.Typer()
    lanes.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["lanes", *arguments])


def test_what_stands_is_shown(operated: Operated) -> None:
    """Who paused it and why, in their own words; where a lane stopped and on what."""
    said = run("show").stdout

    assert "child_allowance/household  paused since" in said
    assert "by ops: T-1 [/bold]" in said
    assert "child_allowance/resident/3  stopped RK-205 at offset 17" in said


def test_a_store_that_went_back_waits_for_nobody(operated: Operated) -> None:
    """It is no lane that has stopped, though the lane's word is of that kind."""
    (stopped,) = [o for o in operated.now if o.state is OperationState.STOPPED]
    operated.now = [replace(stopped, code="RK-508")]

    said = run("show").stdout
    assert "child_allowance/resident/3  its store went back to offset 17" in said
    assert "stopped" not in said
    (document,) = json.loads(run("show", "--json").stdout)
    assert (document["state"], document["code"]) == ("gone back", "RK-508")


def test_as_json(operated: Operated) -> None:
    """A document for programs."""
    said = json.loads(run("show", "--system", "child_allowance", "--json").stdout)

    assert [(o["state"], o["stream"], o["partition"], o["offset"]) for o in said] == [
        ("paused", "household", None, None),
        ("stopped", "resident", 3, 17),
    ]


def test_nothing_stands(operated: Operated) -> None:
    """Nothing is no silence."""
    operated.now = []

    assert run("show").stdout == "nothing is paused, and no lane has stopped\n"
    assert json.loads(run("show", "--json").stdout) == []


def test_a_system_is_paused_stream_by_stream(operated: Operated) -> None:
    """What is paused already keeps the word of who paused it."""
    assert run("pause", "child_allowance", "--reason", " T-2 ").exit_code == 0
    operated.asked, said = [], operated.asked

    assert {o.stream for o in said} == RECEIVED - {"household"}
    assert {(o.state, o.operator, o.note) for o in said} == {(OperationState.PAUSED, "me", "T-2")}
    run("pause", "child_allowance", "household", "--reason", "T-2", "--by", "you")
    assert operated.asked == []
    run("pause", "child_allowance", "resident", "--reason", "T-2", "--by", "you")
    assert [(o.stream, o.operator) for o in operated.asked] == [("resident", "you")]


def test_the_ledger_can_be_paused(operated: Operated) -> None:
    """It is one more system, and has every stream."""
    run("pause", "ledger", "operation", "--reason", "T-1")

    assert [(o.system, o.stream) for o in operated.asked] == [("ledger", "operation")]


def test_a_system_goes_on(operated: Operated) -> None:
    """All its streams: also one that stopped unheard, and one whose grant has ended."""
    ended = replace(PAUSE, stream="land.parcel")
    operated.now.append(ended)
    said = json.loads(run("resume", "child_allowance", "--json").stdout)

    assert [o["stream"] for o in said] == sorted(RECEIVED | {"land.parcel"})
    assert {o.state for o in operated.asked} == {OperationState.RUNNING}
    assert {o.partition for o in operated.asked} == {None}


def test_a_system_that_is_gone_can_be_taken_off_its_pause(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not there any more, its pause is."""
    monkeypatch.setattr(naming, "is_known_elsewhere", _known)
    operated.now.append(replace(PAUSE, system="closed_down"))
    run("resume", "closed_down")

    assert [(o.system, o.stream) for o in operated.asked] == [("closed_down", "household")]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_dry_run_changes_nothing(operated: Operated, command: str) -> None:
    """It says what would be done."""
    reason = ["--reason", "T-1"] if command == "pause" else []
    said = run(command, "child_allowance", "--dry-run", *reason)

    assert "would" in said.stdout
    assert "child_allowance/resident" in said.stdout
    assert operated.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["pause", "nosuch", "--reason", "T-1"],
        ["pause", "child_allowance", "nosuch", "--reason", "T-1"],
        ["pause", "child_allowance", "operation", "--reason", "T-1"],
        ["resume", "nosuch"],
        ["show", "--system", "nosuch"],
        ["pause", "child_allowance", "--reason", " "],
        ["pause", "child_allowance", "--reason", "x" * 301],
        ["pause", "child_allowance", "--reason", "one\ntwo"],
        ["pause", "child_allowance", "--reason", "T-1", "--by", ""],
    ],
)
def test_a_slip_of_the_pen_is_said(operated: Operated, arguments: list[str]) -> None:
    """A name that nobody knows, or a reason that cannot be kept: nothing is done."""
    assert isinstance(run(*arguments).exception, ConfigurationError)
    assert operated.asked == []


def test_a_pause_needs_a_reason(operated: Operated) -> None:
    """Somebody will ask."""
    assert run("pause", "child_allowance").exit_code != 0


def test_all_that_stands_goes_on(operated: Operated) -> None:
    """In every system, and nothing that does not stand."""
    operated.now.append(replace(STOP, system="electoral_roll"))
    said = run("resume", "--all", "--by", "ops1").stdout

    assert [(o.system, o.stream, o.operator) for o in operated.asked] == [
        ("child_allowance", "household", "ops1"),
        ("child_allowance", "resident", "ops1"),
        ("electoral_roll", "resident", "ops1"),
    ]
    assert "3 streams" in said


@pytest.mark.parametrize("arguments", [[], ["child_allowance", "--all"]])
def test_one_system_or_all_that_stands(operated: Operated, arguments: list[str]) -> None:
    """Neither nothing nor both."""
    assert isinstance(run("resume", *arguments).exception, ConfigurationError)
    assert operated.asked == []


def test_who_did_it_is_recorded(operated: Operated) -> None:
    """Before it is heard; what changed nothing is no deed."""
    run("pause", "child_allowance", "resident", "--reason", "T-2", "--by", "you")
    run("pause", "child_allowance", "household", "--reason", "T-2")  # is paused already
    run("resume", "--all")

    assert [
        (d.act, d.actor, d.account, d.stream, d.count, d.reason) for d in operated.recorded
    ] == [
        (Act.LANES_PAUSE, "you", "me", "resident", 1, "T-2"),
        (Act.LANES_RESUME, "me", "me", None, 2, None),
    ]


def test_the_page_shows_a_stop_as_the_command_does() -> None:
    """An operator compares the two."""
    page = Path(__file__).parents[3] / "docs" / "howto" / "set-one-event-aside.md"
    shown = f"{STOP.name}  {lanes.sentence(replace(STOP, offset=1234))}"

    (line,) = re.findall(r"`(\S+  stopped [^`]+)`", page.read_text(encoding="utf-8"))
    clock = r"\d\d-\d\d \d\d:\d\d"
    assert re.sub(clock, "", line) == re.sub(clock, "", shown)
    assert re.search(clock, line)
