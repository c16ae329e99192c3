"""The supervisor's decisions, with engines that are nothing but a sleeping process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from bus.errors import EngineError
from bus.local import state
from bus.local.engine import Command, strays
from bus.local.folder import Folder
from bus.local.state import EngineState, Phase
from bus.local.supervisor import MOST_RESTARTS, Supervisor, bound

_SLEEP = """
import os, time
while not os.path.exists({up!r}):
    time.sleep(0.005)
time.sleep({seconds})
"""


class Sleeper:
    """An engine that is ready at once, and ends a while after that was seen for the first time."""

    stop_signal = signal.SIGTERM
    ready_seconds = 5.0

    def __init__(self, where: Folder, name: str, seconds: float = 600.0) -> None:
        self.name = name
        self.port = 0
        self.is_well = True
        self.starts = 0
        self.settled = 0
        self._where = where
        self._seconds = seconds

    @property
    def ports(self) -> Mapping[str, int]:
        """None."""
        return {}

    def prepare(self) -> bool:
        """Nothing to make."""
        return False

    def command(self) -> Command:
        """Sleep."""
        self.starts += 1
        sleep = _SLEEP.format(up=str(self._up), seconds=self._seconds) if self.is_well else ""
        return Command([sys.executable, "-I", "-S", "-c", sleep, self._mark], self._where.home)

    def is_ready(self) -> bool:
        """At once, if it is well."""
        return self.is_well

    def settle(self) -> None:
        """Count, and let it end."""
        self.settled += 1
        self._up.touch()

    def owns(self, process: psutil.Process) -> bool:
        """Known by its mark."""
        return self._mark in process.cmdline()

    @property
    def _up(self) -> Path:
        return self._where.home / f"{self.name}.up"

    @property
    def _mark(self) -> str:
        return f"{self.name}@{self._where.home}"


@pytest.fixture
def where(tmp_path: Path) -> Folder:
    """A data folder."""
    it = Folder.at(tmp_path / "home")
    it.make()
    return it


def seen(where: Folder, name: str) -> EngineState:
    """An engine as the supervisor last wrote it."""
    note = state.read(where)
    engines = note.engines if note else []
    return next((e for e in engines if e.name == name), EngineState(name, 0))


def nothing() -> None:
    """Do nothing."""


def supervise(
    where: Folder,
    *engines: Sleeper,
    until: Callable[[], bool],
    then: Callable[[], None] = nothing,
) -> None:
    """Run a supervisor in this process; stop it when *until* holds again after *then*."""
    me, has_ended = os.getpid(), threading.Event()

    def drive() -> None:
        for act in (then, lambda: os.kill(me, signal.SIGTERM)):
            deadline = time.monotonic() + 20
            while not until() and time.monotonic() < deadline:
                if has_ended.wait(0.01):
                    return  # it failed: a signal now would end the run of tests
            act()

    driver = threading.Thread(target=drive)
    supervisor = Supervisor(where, engines, lambda: {"kafka": "here"}, first_pause=0.01)
    driver.start()
    try:
        supervisor.run()
    finally:
        has_ended.set()
        driver.join()


def test_an_engine_that_keeps_dying_stays_down_until_asked(where: Folder) -> None:
    """A bounded number of restarts; ``renkei local up`` sends the signal that tries again."""
    short, long = Sleeper(where, "short", 0.01), Sleeper(where, "long")
    rounds: list[int] = []

    def given_up() -> bool:
        enough = (len(rounds) + 1) * (MOST_RESTARTS + 1)
        return seen(where, "short").phase is Phase.FAILED and short.starts >= enough

    def ask() -> None:
        rounds.append(short.starts)
        os.kill(os.getpid(), signal.SIGUSR1)

    supervise(where, short, long, until=given_up, then=ask)

    assert rounds == [MOST_RESTARTS + 1]
    assert short.starts == 2 * (MOST_RESTARTS + 1)
    assert long.starts == 1
    log = where.log("supervisor").read_text(encoding="utf-8")
    assert "short ended with status 0; it stays down after 5 restarts" in log


def test_an_engine_that_does_not_start_takes_the_others_along(where: Folder) -> None:
    """Half a stack is no stack; the reason is written where ``up`` reads it."""
    ill, well = Sleeper(where, "ill"), Sleeper(where, "well")
    ill.is_well = False

    with pytest.raises(EngineError, match="ill ended while it was starting"):
        Supervisor(where, [well, ill], dict).run()

    note = state.read(where)
    assert note is not None
    assert (note.phase, note.error) == (
        Phase.FAILED,
        "ill ended while it was starting; see the log",
    )
    assert strays([well, ill]) == []
    assert not where.addresses.exists()


def test_a_stop_while_starting_is_heard(where: Folder) -> None:
    """Ctrl-C does not wait for an engine that takes its time."""
    slow = Sleeper(where, "slow")
    slow.is_ready = lambda: False  # type: ignore[method-assign]

    supervise(where, slow, until=lambda: seen(where, "slow").pid is not None)

    assert strays([slow]) == []


def test_signals_are_as_before_afterwards(where: Folder) -> None:
    """A command that ran the engines in the foreground goes on as any other."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    sleeper = Sleeper(where, "sleeper")

    supervise(where, sleeper, until=lambda: seen(where, "sleeper").phase is Phase.UP)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert sleeper.settled == 1


def test_logs_are_bounded(where: Folder) -> None:
    """The newest part of a log that grew too long is kept beside it."""
    where.log("kafka").write_bytes(b"a" * 100 + b"b" * 50)
    where.log("postgres").write_bytes(b"c" * 50)

    bound(where.logs, 50)

    assert where.log("kafka").read_bytes() == b""
    assert (where.logs / "kafka.log.1").read_bytes() == b"b" * 50
    assert where.log("postgres").read_bytes() == b"c" * 50
