"""The process that runs the engines: starts them in order, watches them, stops them.

It holds the data folder's lock for as long as it lives. Its engines are its children, and the
kernel ends them when it ends, however it ends. An engine that ends by itself is started again,
after a growing pause and a bounded number of times; then it stays down, and ``renkei local up``
(SIGUSR1) tries anew. SIGTERM, SIGINT and SIGHUP stop everything within ``STOP_SECONDS``. If it
has an owner (a test run, a demo), it stops when that process is gone.

It sleeps until something happens: engines and owner are watched by their process descriptors.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import psutil
import yaml

from bus.errors import EngineError
from bus.files import write_private
from bus.local import artifacts, engine, ports
from bus.local.engine import Engine
from bus.local.folder import Folder, Lock
from bus.local.kafka import Kafka
from bus.local.postgres import Postgres
from bus.local.progress import Silent, StartProgress, StartStep
from bus.local.registry import Registry
from bus.local.state import EngineState, Phase, State

STOP_SECONDS = 10.0
"""The whole stop, force included."""
REGISTRY_STOP_SECONDS = 3.0
POLL_SECONDS = 0.1
LOOK_AROUND_SECONDS = 60.0
MOST_RESTARTS = 5
FIRST_PAUSE_SECONDS = 0.5
"""Before the first restart; doubles with each."""
HEALTHY_SECONDS = 600.0
"""After so long without a fault, restarts count from zero again."""
LOG_BYTES = 16 * 1024 * 1024


class Stopped(BaseException):
    """Somebody asked the supervisor to stop; nothing catches it on the way."""


class Supervised:
    """One engine and its process."""

    def __init__(self, of: Engine) -> None:
        self.engine = of
        self.state = EngineState(of.name, of.port)
        self.process: subprocess.Popen[bytes] | None = None
        self.descriptor: int | None = None
        self.started = 0.0
        self.due: float | None = None
        """When to start it again."""

    def is_running(self) -> bool:
        """Whether its process runs; collects it if it has ended."""
        return self.process is not None and self.process.poll() is None

    def start(self, log: Path) -> None:
        """Start the process."""
        self.process = self.engine.command().start(log)
        self.descriptor = os.pidfd_open(self.process.pid)
        self.started = time.monotonic()
        self.due = None
        self.state.pid = self.process.pid
        self.state.created = psutil.Process(self.process.pid).create_time()
        self.state.phase = Phase.STARTING

    def ended(self) -> None:
        """Note that the process has ended."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        self.state.pid = self.state.created = None


class Supervisor:
    """Runs the engines of one data folder; call :meth:`run` from the main thread."""

    def __init__(
        self,
        where: Folder,
        engines: Sequence[Engine],
        addresses: Callable[[], dict[str, str]],
        *,
        owner: int | None = None,
        progress: StartProgress | None = None,
        first_pause: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        me = psutil.Process()
        self._folder = where
        self._all = [Supervised(each) for each in engines]
        self._addresses = addresses
        self._owner = owner
        self._progress = progress or Silent()
        self._first_pause = first_pause
        self._state = State(me.pid, me.create_time(), engines=[each.state for each in self._all])
        self._lock = Lock(where)
        self._watched: list[int] = []
        self._mend = False
        self._stop = False

    def run(self) -> None:
        """Take the folder, start everything, and keep it running until asked to stop.

        Raises:
            DataFolderInUse: Another process holds the folder.
            EngineError: An engine does not start; nothing is left running.
        """
        self._folder.make()
        self._lock.acquire()
        try:
            with self._signals(), self._owner_watched(), contextlib.suppress(Stopped):
                try:
                    self._bring_up(self._all)
                    self._serve()
                finally:
                    self._stop_all()
        except EngineError as error:
            self._note(error)
            self._write(Phase.FAILED)
            raise
        finally:
            self._folder.addresses.unlink(missing_ok=True)
            self._lock.release()

    def _bring_up(self, those: Sequence[Supervised]) -> None:
        """Start engines, in parallel if none needs another."""
        self._state.attempt += 1
        self._state.error = None
        self._state.steps = []
        self._write(Phase.STARTING)
        engine.kill(engine.strays([each.engine for each in those]), STOP_SECONDS / 2)
        for each in those:
            engine.ensure_free(each.engine.ports)
        database = [each for each in those if isinstance(each.engine, Postgres)]
        first = [each for each in those if not isinstance(each.engine, Registry)]
        for each in first:
            self._launch(each)
        self._await(database)
        for each in those:
            if each not in first:
                self._launch(each)
        self._await([each for each in those if each not in database])
        write_private(self._folder.addresses, yaml.safe_dump(self._addresses()))
        self._write(Phase.UP)

    def _launch(self, each: Supervised) -> None:
        name = each.engine.name
        begun = time.monotonic()
        self._step(f"{name}: prepare", None)
        was_new = each.engine.prepare()
        self._step(f"{name}: prepare", time.monotonic() - begun, keep=was_new)
        self._check_stop()
        each.start(self._folder.log(name))
        self._step(f"{name}: start", None)

    def _await(self, those: Sequence[Supervised]) -> None:
        """Wait until all of these answer."""
        waiting = list(those)
        while waiting:
            for each in waiting:
                self._check_start(each)
                if each.engine.is_ready():
                    each.engine.settle()
                    each.state.phase = Phase.UP
                    self._step(f"{each.engine.name}: start", time.monotonic() - each.started)
            waiting = [each for each in waiting if each.state.phase is not Phase.UP]
            if waiting:
                self._wait(POLL_SECONDS)

    def _check_start(self, each: Supervised) -> None:
        name, log = each.engine.name, str(self._folder.log(each.engine.name))
        if not each.is_running():
            status = each.process.returncode if each.process else None
            each.ended()
            raise EngineError(
                f"{name} ended while it was starting; see the log", status=status, log=log
            )
        if time.monotonic() - each.started > each.engine.ready_seconds:
            raise EngineError(f"{name} does not answer; see the log", log=log)

    def _serve(self) -> None:
        """Sleep until something happens, and handle it."""
        while True:
            dues = [each.due for each in self._all if each.due is not None]
            pause = min([due - time.monotonic() for due in dues], default=LOOK_AROUND_SECONDS)
            self._wait(max(pause, 0.0), self._all)
            for each in self._all:
                if each.state.phase is Phase.UP and not each.is_running():
                    self._fell(each)
            if self._mend:
                self._mend = False
                for each in self._all:
                    each.state.restarts = 0
                self._try([each for each in self._all if each.state.phase is not Phase.UP])
            now = time.monotonic()
            self._try([each for each in self._all if each.due is not None and each.due <= now])
            with contextlib.suppress(OSError):
                bound(self._folder.logs)

    def _fell(self, each: Supervised) -> None:
        """Log that an engine has ended by itself, and plan its restart."""
        status = each.process.returncode if each.process else None
        each.ended()
        if time.monotonic() - each.started > HEALTHY_SECONDS:
            each.state.restarts = 0
        self._plan(each, f"{each.engine.name} ended with status {status}")

    def _plan(self, each: Supervised, why: str) -> None:
        if each.state.restarts >= MOST_RESTARTS:
            each.state.phase, each.due = Phase.FAILED, None
            self._say(f"{why}; it stays down after {MOST_RESTARTS} restarts")
        else:
            pause = self._first_pause * 2**each.state.restarts
            each.state.restarts += 1
            each.state.phase, each.due = Phase.DOWN, time.monotonic() + pause
            self._say(f"{why}; it will be started again in {pause} s")
        self._write(self._state.phase)

    def _try(self, those: Sequence[Supervised]) -> None:
        """Start engines that are down; plan another try for those that do not start."""
        if not those:
            if self._state.phase is Phase.UP:
                self._write(Phase.UP)
            return
        try:
            self._bring_up(those)
        except EngineError as error:
            self._note(error)
            for each in those:
                if each.state.phase is not Phase.UP:
                    self._halt([each], 1.0)
                    self._plan(each, str(error))
            self._write(Phase.UP)

    def _stop_all(self) -> None:
        """Stop the registry, then what it needs; by force if it takes too long."""
        self._write(Phase.STOPPING)
        begun = time.monotonic()
        self._halt([s for s in self._all if isinstance(s.engine, Registry)], REGISTRY_STOP_SECONDS)
        left = STOP_SECONDS - 1.0 - (time.monotonic() - begun)
        self._halt([s for s in self._all if not isinstance(s.engine, Registry)], left)
        engine.kill(engine.strays([each.engine for each in self._all]), 1.0)

    def _halt(self, those: Sequence[Supervised], patience_seconds: float) -> None:
        running = [each for each in those if each.is_running()]
        for each in running:
            if each.process:
                each.process.send_signal(each.engine.stop_signal)
        deadline = time.monotonic() + patience_seconds
        for each in running:
            if each.process:
                try:
                    each.process.wait(max(deadline - time.monotonic(), 0.01))
                except subprocess.TimeoutExpired:
                    self._say(f"{each.engine.name} does not stop; it is ended by force")
                    each.process.kill()
                    each.process.wait()
        for each in those:
            each.ended()
            if each.state.phase is not Phase.FAILED:
                each.state.phase = Phase.DOWN

    def _wait(self, seconds: float, engines: Sequence[Supervised] = ()) -> None:
        """Sleep until a signal comes, one of these ends, or the time is over."""
        ends = [each.descriptor for each in engines if each.descriptor is not None]
        select.select([*self._watched, *ends], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(64)
        if self._owner_descriptor is not None:
            gone, _, _ = select.select([self._owner_descriptor], [], [], 0)
            self._stop = self._stop or bool(gone)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop:
            raise Stopped

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Have signals end a sleep; what they mean is decided after it."""
        self._wake, waker = socket.socketpair()
        self._wake.setblocking(False)
        waker.setblocking(False)
        self._watched.append(self._wake.fileno())
        handlers = {
            number: signal.signal(number, self._signalled)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        }
        before = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self._wake.close()
            waker.close()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self._mend = True
        else:
            self._stop = True

    @contextlib.contextmanager
    def _owner_watched(self) -> Iterator[None]:
        self._owner_descriptor: int | None = None
        if self._owner is not None:
            try:
                self._owner_descriptor = os.pidfd_open(self._owner)
            except ProcessLookupError:
                self._stop = True
            else:
                self._watched.append(self._owner_descriptor)
        try:
            yield
        finally:
            if self._owner_descriptor is not None:
                os.close(self._owner_descriptor)

    def _step(self, name: str, seconds: float | None, *, keep: bool = True) -> None:
        self._state.steps = [step for step in self._state.steps if step[0] != name]
        if keep:
            self._state.steps.append((name, seconds))
            self._progress.step(StartStep(name, seconds))
            if seconds is not None:
                self._say(f"{name}: {seconds:.1f} s")
        self._write(self._state.phase)

    def _note(self, error: EngineError) -> None:
        self._state.error = error.message
        self._state.error_where = {name: str(value) for name, value in error.where.items()}

    def _write(self, phase: Phase) -> None:
        self._state.phase = phase
        with contextlib.suppress(OSError):  # a full disk is no reason to end what still runs
            self._state.write(self._folder)

    def _say(self, line: str) -> None:
        """Write a line into the supervisor's own log."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):
            with self._folder.log("supervisor").open("a", encoding="utf-8") as log:
                log.write(f"{stamp} {line}\n")


def bound(logs: Path, limit_bytes: int = LOG_BYTES) -> None:
    """Cut each log that is too long, and keep one before it; engines append to the same file."""
    for log in logs.glob("*.log"):
        if log.stat().st_size > limit_bytes:
            log.with_suffix(".log.1").write_bytes(log.read_bytes()[-limit_bytes:])
            os.truncate(log, 0)


def engines(where: Folder, at: ports.Ports, password: str) -> tuple[Kafka, Postgres, Registry]:
    """The engines of a data folder; nothing is touched yet."""
    kafka_files = artifacts.of("kafka", artifacts.read())
    jars = [where.engines / "maven" / each.path for each in kafka_files]
    return (
        Kafka(where, jars, at.kafka, at.controller),
        Postgres(where, at.postgres, password),
        Registry(where, program_of_registry(where), at.registry, at.postgres, password),
    )


def build(
    where: Folder, at: ports.Ports, owner: int | None, watch: StartProgress | None
) -> Supervisor:
    """The supervisor of a data folder whose engines have been fetched."""
    kafka, postgres, registry = engines(where, at, where.ensure_password())

    def addresses() -> dict[str, str]:
        return {
            "kafka": f"{engine.LOOPBACK}:{kafka.port}",
            "registry": registry.url,
            "database": postgres.uri(),
            "seal_keys_file": str(where.ensure_seal_keys()),
            "receipt_keys_file": str(where.ensure_receipt_keys()),
            "erasure_key_file": str(where.ensure_erasure_key()),
        }

    return Supervisor(where, [kafka, postgres, registry], addresses, owner=owner, progress=watch)


def program_of_registry(where: Folder) -> Path:
    """The folder of the unpacked registry; its name holds the archive's digest."""
    (archive,) = artifacts.of("registry", artifacts.read())
    return where.engines / "registry" / f"{archive.version}-{archive.sha256[:12]}"


def _detached() -> int | None:
    """Continue in a detached child; its id is for the parent, which ends."""
    if (pid := os.fork()) > 0:
        return pid
    os.setsid()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever reads the id waits for the end
    return None


def main(arguments: list[str]) -> int:
    """Run as the detached supervisor; ``bus.local.stack`` starts it, not people."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("engines", type=Path)
    parser.add_argument("--owner", type=int)
    parser.add_argument("--detach", action="store_true")
    given = parser.parse_args(arguments)
    if given.detach and (pid := _detached()) is not None:
        sys.stdout.write(f"{pid}\n")
        return 0
    where = Folder.at(given.home, given.engines)
    chosen = ports.choose(where, {})
    try:
        build(where, chosen, given.owner, None).run()
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
