"""Commands that fork from one warm process end with whoever called them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until
from tests.support.warm import FIRST, warm

pytestmark = pytest.mark.slow  # a program of its own
PIPE = "import os; open(os.environ['TOLD'], 'w').write(str(os.getpid()))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with warm(tmp_path_factory.mktemp("warm")) as made:
        yield made


def test_a_caller_that_is_killed_leaves_no_command(folder: Path, tmp_path: Path) -> None:
    """Its own time limit kills the caller, and the command behind it goes too."""
    told = tmp_path / "pid"
    hang = f"{PIPE}; import time; time.sleep(600)"
    caller = subprocess.Popen(
        [folder / "renkei", "--version"],
        env={**os.environ, FIRST: hang, "TOLD": str(told)},
    )
    wait_until(lambda: told.exists() and told.read_text(), 30)
    command = int(told.read_text())
    caller.kill()
    caller.wait()
    wait_until(lambda: not psutil.pid_exists(command), 10)

    ended = subprocess.run([folder / "renkei", "--version"], capture_output=True, check=True)
    assert ended.stdout.startswith(b"renkei")


def test_a_command_that_a_signal_ends_is_told_so(folder: Path) -> None:
    """As if it had been started itself."""
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    ended = subprocess.run(
        [folder / "renkei", "--version"], env={**os.environ, FIRST: killed}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
