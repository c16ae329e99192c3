"""``renkei parked``: what an operator sees and asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from bus import app as composition
from bus.cli import parked
from bus.errors import BrokerUnavailable, BusError, ConfigurationError, NothingChanged, UnknownName
from bus.model import ExceptionState, LaneName, Operation, OperationState, ParkedEvent
from bus.model.deed import LOOK_UPS, Act, Deed
from bus.operate.contracts import StoreShown
from bus.settings import Settings
from tests.support.operating import Desk, at_a_desk

ONE, TWO = "131016/000000012345674", "131016/123456789012340"


def event(offset: int, subject: str, **changes: Any) -> ParkedEvent:
    made = ParkedEvent(
        system="child_allowance",
        stream="resident",
        partition=0,
        offset=offset,
        subject=subject,
        event_id=None,
        state=ExceptionState.PARKED,
        code="RK-202",
        attempts=1,
        at=datetime.now(UTC),
    )
    return replace(made, **changes)


class Index:
    """Open events, and what was asked of them."""

    def __init__(self) -> None:
        self.events = [
            event(3, ONE),
            event(4, ONE, state=ExceptionState.WAITING, attempts=0, code="RK-208"),
            event(9, TWO),
            event(1, TWO, system="electoral_roll"),
        ]
        self.asked: list[tuple[str, list[int], str | None]] = []
        self.referred: list[tuple[object, ...]] = []
        self.stopped: list[Operation] = []
        self.operators: set[str] = set()
        self.recorded: list[Deed] = []

    def standing(self, system: str) -> list[Operation]:
        return self.stopped

    def open_events(self, system: str | None = None) -> list[ParkedEvent]:
        return [e for e in self.events if system in (None, e.system)]

    async def refer_to(
        self,
        lane: LaneName,
        topic: str,
        offset: int,
        note: str,
        operator: str,
        *,
        is_stuck: bool,
        reader: object,
    ) -> ParkedEvent:
        self.referred.append((*lane, topic, is_stuck))
        return event(offset, ONE, code="RK-210", note=note, operator=operator)

    async def record(self, events: list[ParkedEvent]) -> None:
        self.asked.append(("add", [e.offset for e in events], events[0].note))

    async def ask_retry(self, events: list[ParkedEvent], operator: str) -> list[ParkedEvent]:
        self.asked.append(("retry", [e.offset for e in events], None))
        self.operators.add(operator)
        return events

    async def dismiss(
        self, events: list[ParkedEvent], note: str, operator: str
    ) -> list[ParkedEvent]:
        self.asked.append(("dismiss", [e.offset for e in events], note))
        self.operators.add(operator)
        return events


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index()

    made.recorded = at_a_desk(monkeypatch, made)
    kept = {"suppresses": True, "rewrites": True}
    monkeypatch.setattr("bus.operate.parked.store", lambda *_: StoreShown("postgres", kept))
    monkeypatch.setattr(composition.configured, "settings", Settings)
    return made


def run(*arguments: str) -> Result:
    app = typer.Typer()
    parked.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["parked", *arguments])


def test_the_list_has_whole_identifiers(index: Index) -> None:
    """They are what an operator copies into the next command, at 80 columns too."""
    said = run("list").stdout

    assert ONE in said
    assert "resident/0/4" in said
    assert "WAITING" in said
    assert "electoral_roll" in said
    assert max(len(line) for line in said.splitlines()) <= 80


def test_one_system_as_json(index: Index) -> None:
    """A document for programs."""
    said = json.loads(run("list", "--system", "electoral_roll", "--json").stdout)

    assert [(e["offset"], e["state"], e["subject"]) for e in said] == [(1, "PARKED", TWO)]


def test_what_is_set_aside_for_too_long_is_marked(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thirds of the compaction lag, unless the settings say otherwise; tries do not count."""
    now = datetime.now(UTC)
    index.events = [
        event(3, ONE, at=now, since=now - timedelta(days=21)),
        event(9, TWO, at=now - timedelta(days=19)),
    ]
    listed = run("list").stdout
    said = json.loads(run("list", "--json").stdout)

    assert "! resident/0/3" in listed
    assert "  resident/0/9" in listed
    assert "! set aside for more than 20 d" in listed
    assert [e["overdue"] for e in said] == [True, False]
    monkeypatch.setattr(
        composition.configured, "settings", lambda: Settings(parked_alarm=timedelta(days=25))
    )
    assert "!" not in run("list").stdout


def test_an_empty_list_says_so(index: Index) -> None:
    """Nothing is no silence."""
    index.events = []

    assert run("list").stdout == "nothing is set aside\n"
    assert json.loads(run("list", "--json").stdout) == []


def test_retry_asks_for_what_is_parked(index: Index) -> None:
    """What waits behind comes along by itself and is not asked for."""
    run("retry", "child_allowance", "--all")
    run("retry", "child_allowance", "--subject", ONE)

    assert index.asked == [("retry", [3, 9], None), ("retry", [3], None)]


def test_what_was_asked_for_as_json(index: Index) -> None:
    """The same events as in words."""
    tried = json.loads(run("retry", "child_allowance", "--all", "--json").stdout)
    reason = ("--reason", "T-1", "--dry-run", "--json")
    closed = json.loads(run("dismiss", "child_allowance", "--all", *reason).stdout)

    assert [event["offset"] for event in tried["asked_to_try"]] == [3, 9]
    assert [event["offset"] for event in closed["dismissed"]] == [3, 9]
    assert (tried["is_dry"], closed["is_dry"]) == (False, True)


def test_dismissing_needs_a_reason(index: Index) -> None:
    """It is kept with the event."""
    assert run("dismiss", "child_allowance", "--all").exit_code != 0
    assert run("dismiss", "child_allowance", "--all", "--reason", " ").exit_code != 0
    run("dismiss", "child_allowance", "--subject", TWO, "--reason", "T-1")

    assert index.asked == [("dismiss", [9], "T-1")]


def test_one_event_is_set_aside_unread(index: Index) -> None:
    """By its place; a lane that says that it is stuck there is believed."""
    place = ("child_allowance", "resident", "3", "17")
    first = run("add", *place, "--reason", "T-1")
    index.stopped = [
        Operation(
            system="child_allowance",
            stream="resident",
            partition=3,
            offset=17,
            state=OperationState.STOPPED,
            at=datetime(2026, 11, 24, 9, tzinfo=UTC),
        )
    ]
    (second,) = json.loads(run("add", *place, "--reason", "T-1", "--dry-run", "--json").stdout)

    assert "set aside 1 parked event" in first.stdout
    assert index.asked == [("add", [17], "T-1")]
    lane = ("child_allowance", "resident", 3, "linkage.resident")
    assert index.referred == [(*lane, False), (*lane, True)]
    assert (second["offset"], second["code"], second["reason"]) == (17, "RK-210", "T-1")


@pytest.mark.parametrize(
    "shown",
    [None, StoreShown("none", None), StoreShown("hook", {"suppresses": False, "rewrites": True})],
    ids=["not known", "unusable", "a store that is given rows again"],
)
def test_what_has_to_be_read_again_is_not_set_aside(
    index: Index, monkeypatch: pytest.MonkeyPatch, shown: StoreShown | None
) -> None:
    """It would be passed over when rows are masked, and the address in its row stay."""
    told = {("linkage.resident", 3): 18}

    async def committed(group: str) -> dict[tuple[str, int], int]:
        assert group == "renkei.child_allowance"
        return told

    async def broker(_: Desk) -> object:
        return SimpleNamespace(committed=committed)

    monkeypatch.setattr(Desk, "broker", broker)
    monkeypatch.setattr("bus.operate.parked.store", lambda *_: shown)
    place = ("child_allowance", "resident", "3", "17")
    error = run("add", *place, "--reason", "T-1").exception

    assert isinstance(error, ConfigurationError)
    assert "have its schema in the registry again" in error.message
    assert index.asked == []
    told["linkage.resident", 3] = 17
    assert run("add", *place, "--reason", "T-1").exit_code == 0
    assert index.asked == [("add", [17], "T-1")]


@pytest.mark.parametrize(
    "place",
    [
        ("nosuch", "resident", "0", "1"),
        ("child_allowance", "nosuch", "0", "1"),
        ("child_allowance", "receipt", "0", "1"),
    ],
)
def test_only_what_a_system_receives_is_set_aside(index: Index, place: tuple[str, ...]) -> None:
    """A slip of the pen sets nothing aside."""
    assert isinstance(run("add", *place, "--reason", "T-1").exception, BusError)
    assert index.referred == index.asked == []


@pytest.mark.parametrize("command", ["retry", "dismiss"])
def test_a_dry_run_changes_nothing(index: Index, command: str) -> None:
    """It says what would be done."""
    reason = ["--reason", "T-1"] if command == "dismiss" else []
    said = run(command, "child_allowance", "--all", "--dry-run", *reason)

    assert "would" in said.stdout
    assert "resident/0/3" in said.stdout
    assert index.asked == []


def test_all_systems_at_once(index: Index) -> None:
    """The same subject may be set aside in many; who wants it is kept."""
    said = run("dismiss", "--all-systems", "--subject", TWO, "--reason", "T-1", "--by", "ops1")
    run("retry", "--all-systems", "--all")

    assert index.asked == [("dismiss", [9, 1], "T-1"), ("retry", [3, 9, 1], None)]
    assert index.operators == {"ops1", "me"}
    assert "electoral_roll/resident/0/1" in said.stdout


@pytest.mark.parametrize("arguments", [[], ["child_allowance", "--all-systems"]])
def test_one_system_or_all(index: Index, arguments: list[str]) -> None:
    """Neither nothing nor both."""
    result = run("retry", *arguments, "--all")

    assert isinstance(result.exception, ConfigurationError)
    assert index.asked == []


@pytest.mark.parametrize("command", ["retry", "dismiss"])
@pytest.mark.parametrize("is_everywhere", [False, True])
def test_a_subject_of_which_nothing_is_set_aside(
    index: Index, command: str, is_everywhere: bool
) -> None:
    """It is said, the number is not, and of the others nothing is done either."""
    where = "--all-systems" if is_everywhere else "child_allowance"
    reason = ["--reason", "T-1"] if command == "dismiss" else []
    missing = ["--subject", "131016/000000000000009"]
    error = run(command, where, "--subject", ONE, *missing, *reason).exception

    assert isinstance(error, UnknownName)
    assert "000009" not in str(error)
    assert index.asked == []


@pytest.mark.parametrize("command", ["retry", "dismiss"])
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_that_nothing_is_set_aside_is_an_answer_too(
    index: Index, monkeypatch: pytest.MonkeyPatch, command: str, more: list[str]
) -> None:
    """Who asks it of a subject is recorded before it is told."""
    asked = [command, "--all-systems", "--subject", "131016/000000000000009", "--reason", "T-1"]

    assert isinstance(run(*asked, *more).exception, UnknownName)
    assert [(d.act, d.count) for d in index.recorded] == [(Act.PARKED_LIST, 0)]

    async def away(_: Desk) -> None:
        raise BrokerUnavailable("the broker does not answer")

    monkeypatch.setattr(Desk, "journal", away)
    assert isinstance(run(*asked, *more).exception, BrokerUnavailable)


def test_which_events_must_be_said(index: Index) -> None:
    """Neither nothing nor both."""
    for arguments in ([], ["--all", "--subject", ONE]):
        result = run("retry", "child_allowance", *arguments)
        assert isinstance(result.exception, ConfigurationError)
    assert index.asked == []


def test_a_system_that_nobody_knows_is_said(index: Index) -> None:
    """A slip of the pen is no empty list; a system without anything set aside is one."""
    for arguments in (["list", "--system", "nosuch"], ["retry", "nosuch", "--all"]):
        result = run(*arguments)
        assert isinstance(result.exception, ConfigurationError)
        assert result.exception.where == {"system": "nosuch"}
    assert run("list", "--system", "national_pension").stdout == "nothing is set aside\n"
    nothing = run("retry", "ledger", "--all").exception  # known, and told to change something
    assert isinstance(nothing, NothingChanged)
    assert run("retry", "ledger", "--all", "--dry-run").exit_code == 0


def test_who_looks_is_recorded(index: Index) -> None:
    """The list names subjects, and so does a dry run; a slip of the pen shows nobody."""
    run("list", "--by", "clerk", "--reason", "T-1")
    run("list", "--system", "electoral_roll", "--json")
    run("dismiss", "--all-systems", "--all", "--reason", "T-2", "--dry-run")
    run("add", "child_allowance", "resident", "3", "17", "--reason", "T-3", "--dry-run")
    run("list", "--system", "nosuch")

    assert [(d.act, d.actor, d.account, d.system, d.count, d.reason) for d in index.recorded] == [
        (Act.PARKED_LIST, "clerk", "me", None, 4, "T-1"),
        (Act.PARKED_LIST, "me", "me", "electoral_roll", 1, None),
        (Act.PARKED_LIST, "me", "me", None, 3, "T-2"),
        (Act.PARKED_LIST, "me", "me", "child_allowance", 1, "T-3"),
    ]
    assert Act.PARKED_LIST in LOOK_UPS
    assert ONE not in str(index.recorded)


def test_nobody_is_shown_unrecorded(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is away: there is no answer, of a list and of a dry run."""

    async def away(_: Desk) -> None:
        raise BrokerUnavailable("the broker does not answer")

    monkeypatch.setattr(Desk, "journal", away)
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["retry", "child_allowance", "--all", "--dry-run"],
    ):
        said = run(*arguments)
        assert isinstance(said.exception, BrokerUnavailable)
        assert said.stdout == ""


def test_who_did_it_is_recorded(index: Index) -> None:
    """By account and by who wants it, with how many events; a dry run is a look, a slip nothing."""
    run("retry", "child_allowance", "--all", "--by", "ops1")
    run("dismiss", "--all-systems", "--subject", TWO, "--reason", "T-1")
    run("add", "child_allowance", "resident", "3", "17", "--reason", "T-2")
    run("retry", "child_allowance", "--all", "--dry-run")
    run("retry", "ledger", "--all")

    assert [(d.act, d.actor, d.account, d.system, d.count, d.reason) for d in index.recorded] == [
        (Act.PARKED_RETRY, "ops1", "me", "child_allowance", 2, None),
        (Act.PARKED_DISMISS, "me", "me", None, 2, "T-1"),
        (Act.PARKED_ADD, "me", "me", "child_allowance", 1, "T-2"),
        (Act.PARKED_LIST, "me", "me", "child_allowance", 2, None),
    ]
