"""Ctrl-C at any moment, and a second demo while one has yet to clear up: a word, no traceback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from bus.cli.asking import EndedBySignal
from bus.cli.main import build
from bus.demo.show import alone
from bus.errors import DataFolderInUse, LeaseLost
from bus.model.deed import CUT_OFF, Act, Deed
from bus.operate import protections
from bus.operate.protections import CaseRegister, EndsPlan
from bus.operate.session import Session
from bus.policy.cases import PersonCases
from bus.publish.case_ends import CaseEnd, CaseEndChecked
from bus.publish.outcome import Outcome
from tests.support.counted import Counted, counted_site

ENDED_WHILE_IT_IS_BUILT = """
import signal
import bus.cli.main as main
from bus.cli.asking import EndedBySignal
def build():
    raise {}
main.build = build
main.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raised", "status", "word"),
    [
        ("KeyboardInterrupt", 130, "interrupted\n"),
        ("EndedBySignal(signal.SIGTERM)", 143, "terminated\n"),
    ],
)
def test_ctrl_c_is_no_traceback(raised: str, status: int, word: str) -> None:
    """Also before the command itself has begun."""
    done = subprocess.run(
        [sys.executable, "-c", ENDED_WHILE_IT_IS_BUILT.format(raised)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (status, "", word)


DAY = date(2025, 5, 1)
ASKS = """
import bus.cli.main as main
from bus.cli.asking import ask, confirmed
def build():
    return lambda obj: ask(lambda _: confirmed("Sure?"))
main.build = build
main.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted\n"), (signal.SIGTERM, "terminated\n")]
)
@pytest.mark.parametrize("opened", [os.pipe, os.openpty])
def test_a_signal_is_an_answer(
    opened: Callable[[], tuple[int, int]], number: signal.Signals, said: str
) -> None:
    """Where nobody gives another, at a terminal or a pipe that stays open: no Enter is needed."""
    ends = opened()
    stdin = ends[0] if opened is os.pipe else ends[1]
    asked = subprocess.Popen(
        [sys.executable, "-c", ASKS], stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert asked.stderr is not None
        while not (seen := asked.stderr.read(1)).endswith(b":"):
            assert seen, "it ended without a question"
        asked.send_signal(number)
        _, left = asked.communicate(timeout=30)
    finally:
        asked.kill()
        for end in ends:
            os.close(end)

    assert (asked.returncode, left.decode().strip(" ")) == (128 + number, said)


@dataclass
class Site:
    """A site in memory, and what was recorded there."""

    counted: Counted
    recorded: list[Deed]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    made = Site(counted_site(monkeypatch, tmp_path), [])

    async def journal(_: Session) -> Any:
        async def record(deed: Deed) -> None:
            made.recorded.append(deed)

        return SimpleNamespace(record=record)

    monkeypatch.setattr(Session, "journal", journal)
    return made


LONG = {
    "publish": (("publish", "changes.jsonl"), "bus.operate.loading.load"),
    "rebuild": (
        ("rebuild", "child_allowance", "resident"),
        "bus.operate.rebuilding.TableRebuild.run",
    ),
    "prune": (("ledger", "prune"), "bus.operate.auditing.prune"),
}
"""Deeds that take a while: the command, and what takes it."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("act", LONG)
def test_what_takes_a_while_ends_where_it_stands(
    site: Site, monkeypatch: pytest.MonkeyPatch, act: str, number: signal.Signals
) -> None:
    """With a word, a record that it was cut off, everything closed, and the status of a shell."""
    words, where = LONG[act]
    ended = []

    async def takes_a_while(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(act)

    monkeypatch.setattr(where, takes_a_while)
    monkeypatch.setenv("RENKEI_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("bus.operate.auditing.prepare", AsyncMock())
    with pytest.raises(EndedBySignal) as said:
        build()(words)

    assert ended == [act]
    assert [(d.act, d.count) for d in site.recorded[1:]] == [(CUT_OFF[Act(act)], 0)]
    assert site.recorded[0].act == act
    assert said.value.exit_status == 128 + number
    assert said.value.word in ("interrupted", "terminated")
    assert (site.counted.opened, site.counted.closed) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_any_question_ends_in_order(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """A retry of parked events, say, which is one word to whoever owns the lane."""

    async def waits(*_: object) -> None:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    monkeypatch.setattr("bus.control.parked.ParkedIndex.start", waits)
    with pytest.raises(EndedBySignal) as said:
        build()(("parked", "retry", "child_allowance", "--all"))

    assert said.value.number is number
    assert site.recorded == []
    assert site.counted.opened == site.counted.closed == 1


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("fault", [signal.SIGINT, signal.SIGTERM, LeaseLost("another has it")])
def test_a_list_of_ends_says_how_far_it_came(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    fault: signal.Signals | LeaseLost,
    form: tuple[str, ...],
) -> None:
    """Whatever ends it between two turns, or in one: what was sent is said, and recorded."""
    taken = [
        CaseEndChecked(CaseEnd(line, f"131016/{line:015}", DAY, DAY), (), PersonCases())
        for line in range(5)
    ]

    async def plan(*_: object, **__: object) -> EndsPlan:
        return EndsPlan(entries=taken, faults=[])

    class Publishing:
        sent = 0

        async def newest(self, *_: object) -> int:
            return 1

        async def publish(self, changes: Sequence[object]) -> list[Outcome]:
            if self.sent == 3:
                if isinstance(fault, LeaseLost):
                    raise fault
                os.kill(os.getpid(), fault)
                await asyncio.Event().wait()
            self.sent += len(changes)
            return [Outcome(change_id="x")]

    monkeypatch.setattr(protections, "IN_ONE_TURN", 2)
    monkeypatch.setattr(protections, "change_of", lambda *_, **__: object())
    monkeypatch.setattr(CaseRegister, "plan", plan)
    monkeypatch.setattr(Session, "publisher", AsyncMock(return_value=Publishing()))
    file = tmp_path / "ends.csv"
    file.touch()
    with pytest.raises(LeaseLost if isinstance(fault, LeaseLost) else EndedBySignal):
        build()(("protections", "end", str(file), "--reason", "T-1", "--yes", *form))

    assert [(d.act, d.count) for d in site.recorded] == [
        (Act.PROTECTIONS_END, 5),
        (Act.PROTECTIONS_END_CUT_OFF, 3),
    ]
    said = capsys.readouterr().out
    assert json.loads(said)["ended"] == 3 if form else said == "ended 3 cases\n"
    assert (site.counted.opened, site.counted.closed) == (1, 1)


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    """One that ends deletes its folder: another that began meanwhile would lose its own."""
    home = tmp_path / "renkei" / "demo"
    with alone(home):
        with pytest.raises(DataFolderInUse, match="just ending"), alone(home):
            pytest.fail("two demos in one folder")
    with alone(home):
        assert not home.exists()
