"""The port of an engine of the stack, and what all engines share."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from bus.errors import EngineError
from bus.local import launch

LOOPBACK = "127.0.0.1"
SAME = "same"
PREPARE_SECONDS = 120.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    Args:
        arguments: The program by absolute path, and what it is given.
        environment: All of it; nothing of ours is handed on.
        folder: Where it runs.
        identity: Who it is, in the words of :mod:`bus.local.launch`.
        death_signal: What the kernel sends it when the supervisor ends, however that ends.
    """

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    identity: str = SAME
    death_signal: signal.Signals = signal.SIGKILL

    def launched(self) -> list[str]:
        """The command line that starts it through the launcher."""
        script = str(Path(launch.__file__))
        prefix = [sys.executable, "-I", "-S", script, str(os.getpid())]
        return [*prefix, str(int(self.death_signal)), self.identity, *self.arguments]

    def run(self, log: Path) -> None:
        """Run it and wait for its end.

        Raises:
            EngineError: It failed or did not end; its output is in *log*.
        """
        with log.open("ab") as output:
            try:
                subprocess.run(
                    self.launched(),
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    env=self.environment,
                    timeout=PREPARE_SECONDS,
                )
            except (subprocess.SubprocessError, OSError) as error:
                program = Path(self.arguments[0]).name
                raise EngineError(f"{program} failed; see the log", log=str(log)) from error

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start it. Only from the main thread: the kernel watches the thread, not the process."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.launched(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops in order
            )


class Engine(Protocol):
    """One engine of the stack."""

    name: str
    port: int
    stop_signal: signal.Signals
    ready_seconds: float
    """How long a start may take on a slow machine."""

    @property
    def ports(self) -> Mapping[str, int]:
        """Every port that it listens on, by the name of the option that chooses it."""

    def prepare(self) -> bool:
        """Make its data folder if there is none; whether it did. Safe to call twice."""

    def command(self) -> Command:
        """The command that starts it."""

    def is_ready(self) -> bool:
        """Whether it answers as it should now."""

    def settle(self) -> None:
        """Do what is left once it answers; safe to call twice."""

    def owns(self, process: psutil.Process) -> bool:
        """Whether a process is this engine's, on this data folder."""


def environment(home: Path) -> dict[str, str]:
    """The environment of an engine, without variables that could change how it works."""
    return {"HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath}


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def ensure_free(ports: Mapping[str, int]) -> None:
    """Fail if another process listens on an engine's port.

    Raises:
        EngineError: A port is taken; names it and the option that chooses another.
    """
    for name, port in ports.items():
        if not is_free(port):
            raise EngineError(
                f"port {port} is taken; free it, or choose another with --{name}-port", port=port
            )


def strays(engines: Sequence[Engine]) -> list[psutil.Process]:
    """Processes of these engines on this machine, whoever started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if lives(process) and any(each.owns(process) for each in engines):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def lives(process: psutil.Process) -> bool:
    """Whether a process runs. One that has ended but is not collected does not count."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(processes: Sequence[psutil.Process], patience_seconds: float) -> None:
    """End processes, by force after a while; never a later process with the same id."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        alive = [process for process in processes if lives(process)]
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + patience_seconds
        while any(lives(process) for process in alive) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
