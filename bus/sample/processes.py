"""Run ``renkei`` as separate processes, and end those that were started, by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bus.local.engine import Command

STOP_SECONDS = 15.0


class Process:
    """One ``renkei`` command under way; its output goes to a file.

    If asked, it ends with the thread that starts it, however that ends: the kernel kills it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        ends_with_starter: bool = False,
    ) -> None:
        self.log = log
        command = [sys.executable, "-m", "bus.cli", *arguments]
        if ends_with_starter:
            command = Command(command, Path.cwd()).launched()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={**_inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL if that is ignored; the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode


@contextmanager
def running(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[Process]:
    """A command that is stopped when the block ends, however it ends."""
    process = Process(arguments, environment, log)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.stop()


def _inherited() -> dict[str, str]:
    """This process's environment without the bus's own variables: those are given by name."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RENKEI_")}
