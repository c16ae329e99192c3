"""Start, stop and look at the one-machine stack, for the command line, the demo and tests.

The engines are run by a supervisor, a process of its own (:mod:`bus.local.supervisor`), so that
they outlive the command that started them. Everything here may be called twice.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bus.errors import EngineError
from bus.local import artifacts, engine, folder, ports, state, supervisor
from bus.local.endpoints import ENGINES, Endpoints
from bus.local.fetch import differing, fetch, unpack
from bus.local.folder import Folder
from bus.local.maven import repository
from bus.local.progress import Silent, StartProgress, StartStep
from bus.local.state import Phase, State
from bus.yamltext import load_yaml

__all__ = ["Endpoints", "EngineStatus", "LocalStack", "Status"]

LOOK_SECONDS = 0.05
START_SECONDS = 180.0
DOWN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine now. ``memory_bytes`` counts shared pages once."""

    name: str
    phase: Phase
    port: int | None = None
    pid: int | None = None
    memory_bytes: int | None = None
    since: datetime | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """The stack now; ``pid`` and ``since`` are of the supervisor, if it runs."""

    home: Path
    engines: tuple[EngineStatus, ...]
    pid: int | None = None
    since: datetime | None = None
    error: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether every engine is running."""
        return all(each.phase is Phase.UP for each in self.engines)

    @property
    def memory_bytes(self) -> int:
        """What all of them have."""
        return sum(each.memory_bytes or 0 for each in self.engines)


class LocalStack:
    """The stack on one data folder.

    Args:
        home: The data folder.
        engines: Where fetched files lie, if not within *home*.
        chosen: Ports by engine (``kafka``, ``controller``, ``postgres``, ``registry``); free ones
            are found for the rest.
        maven: The setting of that name: the repository to fetch from.
        environment: Certificates for the fetch, and names in the user's Maven settings.
    """

    def __init__(
        self,
        home: Path,
        *,
        engines: Path | None = None,
        chosen: Mapping[str, int] | None = None,
        maven: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Folder.at(home, engines)
        self._chosen = dict(chosen or {})
        self._maven = maven
        self._environment = os.environ if environment is None else environment

    def fetch(self, progress: StartProgress | None = None) -> int:
        """Fetch the engines' files that are missing or differ from what is pinned.

        Every file is read and its digest compared: 150 MB, some tenths of a second.

        Returns:
            How many files were brought.

        Raises:
            FetchFailed: A file cannot be had.
        """
        pinned = artifacts.read()
        store = self.folder.engines / "maven"
        for wrong in differing(store, pinned):
            (store / wrong.path).unlink()
        m2 = Path.home() / ".m2"
        brought = fetch(
            store,
            pinned,
            lambda: repository(self._maven, m2, self._environment),
            cache=m2 / "repository",
            environment=self._environment,
            progress=progress or Silent(),
        )
        (archive,) = artifacts.of("registry", pinned)
        unpack(store / archive.path, supervisor.program_of_registry(self.folder))
        return brought

    def up(self, progress: StartProgress | None = None, *, owner: int | None = None) -> Endpoints:
        """Start what does not run, and wait until everything answers.

        Args:
            progress: Told of the fetch and of each step.
            owner: A process with which the stack shall end.

        Raises:
            EngineError: An engine cannot be fetched or started; nothing new is left running.
        """
        progress = progress or Silent()
        kept = ports.kept(self.folder)
        if folder.is_held(self.folder) and kept and replace(kept, **self._chosen) != kept:
            raise EngineError("the engines are up on other ports; first: renkei local down")
        if not folder.is_held(self.folder):
            self.folder.make()
            self.fetch(progress)
            ports.choose(self.folder, self._chosen)
            self._spawn(owner, progress)
        elif (endpoints := self.endpoints()) is None or not self.status().is_up:
            self._mend(progress)
        else:
            return endpoints
        endpoints = self.endpoints()
        if endpoints is None:
            raise EngineError("the engines stopped as soon as they were up")
        return endpoints

    def run(self, progress: StartProgress | None = None) -> None:
        """Run the engines in this process until SIGINT or SIGTERM; from the main thread only.

        Raises:
            DataFolderInUse: Another process holds the folder.
        """
        progress = progress or Silent()
        if folder.is_held(self.folder):
            raise folder.in_use(self.folder.home, folder.holder(self.folder))
        self.folder.make()
        self.fetch(progress)
        chosen = ports.choose(self.folder, self._chosen)
        supervisor.build(self.folder, chosen, None, progress).run()

    def down(self) -> bool:
        """Stop everything within ``DOWN_SECONDS``; whether anything was running.

        Raises:
            EngineError: Something does not stop.
        """
        holder = folder.holder(self.folder)
        process = holder.process() if holder else None
        if process is not None:
            engine.kill([process], DOWN_SECONDS)  # its engines end with it, even by force
        left = self.leftovers()
        engine.kill(left, 2.0)
        if folder.is_held(self.folder):
            raise folder.in_use(self.folder.home, folder.holder(self.folder))
        return process is not None or bool(left)

    def reset(self) -> None:
        """Delete data, logs and addresses; the fetched engines stay.

        Raises:
            DataFolderInUse: The engines are running.
        """
        if folder.is_held(self.folder):
            raise folder.in_use(self.folder.home, folder.holder(self.folder))
        engine.kill(self.leftovers(), 5.0)
        for path in (self.folder.data, self.folder.logs, self.folder.run):
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():
                raise EngineError("cannot delete the folder", folder=str(path))

    @contextmanager
    def running(self, progress: StartProgress | None = None) -> Iterator[Endpoints]:
        """Have the stack up inside the block; afterwards only if it was up before.

        It also ends if this process does, however it ends.
        """
        if folder.is_held(self.folder):
            yield self.up(progress)
            return
        try:
            yield self.up(progress, owner=os.getpid())
        finally:
            self.down()

    def endpoints(self) -> Endpoints | None:
        """The addresses of the engines, if they are up."""
        if not folder.is_held(self.folder):
            return None
        try:
            text = self.folder.addresses.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return Endpoints.of(load_yaml(text))

    def status(self) -> Status:
        """Every engine with its process, now."""
        holder = folder.holder(self.folder)
        note = state.read(self.folder)
        kept = ports.kept(self.folder)
        if holder is None or note is None or note.pid != holder.pid:
            down = tuple(
                EngineStatus(name, Phase.DOWN, getattr(kept, name, None)) for name in ENGINES
            )
            error = note.error if note and holder is None else None
            return Status(self.folder.home, down, error=error)
        return Status(
            self.folder.home,
            tuple(_engine_status(each) for each in note.engines),
            holder.pid,
            holder.since,
            note.error,
        )

    def leftovers(self) -> list[psutil.Process]:
        """Engines of this data folder that run without a supervisor."""
        if folder.is_held(self.folder) or not self.folder.run.is_dir():
            return []
        return engine.strays(supervisor.engines(self.folder, ports.NONE, ""))

    def _spawn(self, owner: int | None, progress: StartProgress) -> None:
        command = [sys.executable, "-m", "bus.local.supervisor", "--detach"]
        command += [str(self.folder.home), str(self.folder.engines)]
        command += ["--owner", str(owner)] if owner is not None else []
        log = self.folder.log("supervisor")
        with log.open("ab") as output:
            begun = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd="/",
                check=False,
                timeout=START_SECONDS,
            )
        try:
            process = psutil.Process(int(begun.stdout))
        except (ValueError, psutil.NoSuchProcess) as error:
            raise EngineError("the supervisor did not start", log=str(log)) from error
        try:
            self._follow(process, 1, progress)
        except BaseException:
            engine.kill([process], DOWN_SECONDS)
            raise

    def _mend(self, progress: StartProgress) -> None:
        """Wait for a supervisor that is starting, or have it start again what is down."""
        holder = folder.holder(self.folder)
        process = holder.process() if holder else None
        note = state.read(self.folder)
        if process is None or note is None:
            raise folder.in_use(self.folder.home, holder)
        attempt = note.attempt
        if note.phase is Phase.UP:
            process.send_signal(signal.SIGUSR1)
            attempt += 1
        self._follow(process, attempt, progress)

    def _follow(self, process: psutil.Process, attempt: int, progress: StartProgress) -> None:
        """Pass on what the supervisor writes, until the stack is up.

        Raises:
            EngineError: It gave up, or takes too long.
        """
        passed_on: list[tuple[str, float | None]] = []
        deadline = time.monotonic() + START_SECONDS
        while True:
            ended = not engine.lives(process)
            note = state.read(self.folder)
            if note is not None and note.pid == process.pid and note.attempt >= attempt:
                for name, seconds in note.steps:
                    if (name, seconds) not in passed_on:
                        passed_on.append((name, seconds))
                        progress.step(StartStep(name, seconds))
                if note.phase is Phase.UP and note.error is None:
                    return
                self._raise(note)
            if ended:
                held = folder.holder(self.folder)
                if held is not None:
                    raise folder.in_use(self.folder.home, held)
                raise EngineError(
                    "the supervisor ended; see its log", log=str(self.folder.log("supervisor"))
                )
            if time.monotonic() > deadline:
                raise EngineError("the engines are not up in time", folder=str(self.folder.home))
            time.sleep(LOOK_SECONDS)

    @staticmethod
    def _raise(note: State) -> None:
        if note.error is not None and note.phase in (Phase.FAILED, Phase.UP):
            raise EngineError(note.error, **note.error_where)


def _engine_status(note: state.EngineState) -> EngineStatus:
    process = (
        folder.process(note.pid, note.created)
        if note.pid is not None and note.created is not None
        else None
    )
    if process is not None:
        with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            return EngineStatus(
                note.name,
                note.phase,
                note.port,
                process.pid,
                memory(process),
                datetime.fromtimestamp(process.create_time(), UTC),
                note.restarts,
            )
    phase = note.phase if note.phase is Phase.FAILED else Phase.DOWN
    return EngineStatus(note.name, phase, note.port, restarts=note.restarts)


def memory(process: psutil.Process) -> int:
    """Memory of a process and its children in bytes, pages that they share counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return total
