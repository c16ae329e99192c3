"""A command that was started to end with whoever started it ends so, also where nobody can act."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until

STARTS = """
import signal, sys
from pathlib import Path
from bus.sample.processes import Process
given = {"RENKEI_HOME": sys.argv[1], "RENKEI_KAFKA": sys.argv[2]}
log = Path(sys.argv[1]) / "log"
print(Process(["topics", "list"], given, log, ends_with_starter=True).pid, flush=True)
signal.pause()
"""


def _is_there(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_starter(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever is killed ends nothing; the command, waiting for a broker, is gone all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        kafka = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-c", STARTS, str(tmp_path), kafka]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
            assert starter.stdout is not None
            started = int(starter.stdout.readline())
            asked, _ = silent.accept()  # it runs, and is given no answer
            with asked:
                assert _is_there(started)
                starter.send_signal(number)
                starter.wait(10)
                wait_until(lambda: not _is_there(started), 10)
