"""A PostgreSQL of a test's own: to be killed, copied, and replaced by a standby."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Self

import psutil

from bus.local.engine import Command, environment
from bus.local.folder import Folder
from bus.local.ports import free_port
from bus.local.postgres import Postgres, identity, programs
from tests.support.waiting import until

WITHIN_S = 60


class OwnPostgres:
    """One server in a folder of its own. Whoever starts it ends it."""

    def __init__(self, home: Path, port: int, password: str | None = None) -> None:
        self.folder = Folder.at(home)
        self.folder.make()
        self.port = port
        self.password = password or self.folder.ensure_password()
        self.engine = Postgres(self.folder, port, self.password)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def at(cls, home: Path) -> Self:
        """A new one, on a port that is free."""
        return cls(home, free_port())

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder.data / "postgres"

    async def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        self.engine.prepare()
        self._process = self.engine.command().start(self.folder.log("postgres"))
        await until(self.engine.is_ready, WITHIN_S, every=0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cleanly, SIGKILL with all its children, as a machine that loses power.
        Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        if how is signal.SIGKILL:
            for each in family:
                each.kill()
        process.wait(WITHIN_S)

    def standby(self, home: Path, port: int) -> OwnPostgres:
        """A physical standby of this one, not started, that will have another port."""
        other = OwnPostgres(home, port, self.password)
        run(
            other.folder,
            "pg_basebackup",
            *("--dbname", self.engine.uri("postgres"), "--pgdata", str(other.data)),
            *("--write-recovery-conf", "--checkpoint", "fast", "--wal-method", "stream"),
        )
        return other


def run(folder: Folder, program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, as whoever may run its server; its log is the folder's.

    Raises:
        EngineError: It failed.
    """
    Command(
        [str(programs() / program), *arguments],
        folder=folder.run,
        environment=environment(folder.home),
        identity=identity(folder),
    ).run(folder.log(program))
