"""The data folder of the one-machine stack: its paths, and the lock of who uses it.

::

    engines/    fetched files and unpacked archives; no data
    data/       kafka/ and postgres/
    logs/       one file per engine and one of the supervisor
    run/        what holds while the stack runs: ports, state, addresses, the password,
                the keys that seal
    lock        held by the supervisor for as long as it lives
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil

from bus.errors import DataFolderInUse, EngineError
from bus.files import OWNER_ONLY, write_private
from bus.sealing.ring import new_key

ATTEMPTS = 20
UNUSABLE = ",:\n\r"


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths within one data folder. ``engines`` may lie elsewhere and be shared."""

    home: Path
    engines: Path

    @classmethod
    def at(cls, home: Path, engines: Path | None = None) -> Self:
        """The folder at *home*, as an absolute path; nothing is made yet."""
        home = home.expanduser().absolute()
        return cls(home, engines.expanduser().absolute() if engines else home / "engines")

    @property
    def data(self) -> Path:
        """The engines' data."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One log file per engine."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Ports, state, addresses and the password."""
        return self.home / "run"

    @property
    def lock(self) -> Path:
        """The lock file, which the supervisor holds."""
        return self.home / "lock"

    @property
    def state(self) -> Path:
        """The file of the supervisor's state."""
        return self.run / "state.json"

    @property
    def addresses(self) -> Path:
        """The file of the engines' addresses, which ``bus.app`` merges into the settings."""
        return self.run / "engines.yaml"

    @property
    def password(self) -> Path:
        """The generated password of PostgreSQL's superuser."""
        return self.run / "postgres.password"

    def make(self) -> None:
        """Make the folders, readable by the owner only.

        Raises:
            EngineError: The folder cannot be made or written, or its name cannot be used.
        """
        if any(mark in f"{self.home}{self.engines}" for mark in UNUSABLE):
            raise EngineError(
                "Kafka cannot use a folder with a comma, a colon or a line break in its name",
                folder=str(self.home),
            )
        try:
            for path in (self.home, self.data, self.logs, self.run):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError("cannot make the data folder", folder=str(self.home)) from error

    def share_engines(self) -> None:
        """Link the engines' files into this folder, if they are elsewhere, so that it is complete
        by itself."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = self.home / "engines"
        if not own.exists():
            own.unlink(missing_ok=True)
            own.symlink_to(self.engines)

    def log(self, name: str) -> Path:
        """The log file of an engine, or of the supervisor."""
        return self.logs / f"{name}.log"

    def ensure_seal_keys(self) -> Path:
        """The file of keys that seal 個人番号; made with a new key if missing."""
        return self._ensure_keys("seal-keys")

    def ensure_receipt_keys(self) -> Path:
        """The file of keys that prove receipts; made with a new key if missing."""
        return self._ensure_keys("receipt-keys")

    def _ensure_keys(self, name: str) -> Path:
        path = self.run / name
        if not path.exists():
            key = new_key(None, datetime.now(UTC).replace(microsecond=0))
            write_private(path, key.line + "\n")
        return path

    def ensure_erasure_key(self) -> Path:
        """The file of the key by which erasures are known; made if missing."""
        path = self.run / "erasure-key"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32) + "\n")
        return path

    def ensure_password(self) -> str:
        """The password of PostgreSQL's superuser; generated if missing."""
        if not self.password.exists():
            write_private(self.password, secrets.token_urlsafe(24) + "\n")
        return self.password.read_text(encoding="utf-8").strip()


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a data folder."""

    pid: int
    since: datetime
    created: float
    """Start of the process in seconds since the epoch: tells it from a later one of this pid."""

    def process(self) -> psutil.Process | None:
        """The process itself, if it still runs."""
        return process(self.pid, self.created)


class Lock:
    """The lock of the data folder.

    The kernel releases it when the process ends, however it ends.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = folder.lock
        self._home = folder.home
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DataFolderInUse: Somebody else has it; says who, and since when.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        for attempt in range(ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                named = read_holder(self._path)
                if attempt + 1 == ATTEMPTS or (named and named.process()):
                    os.close(file)
                    raise in_use(self._home, named) from None
                time.sleep(0.02)  # somebody only looks whether it is held, or has just got it
        me = psutil.Process()
        note = {
            "pid": me.pid,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "created": me.create_time(),
        }
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(note).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Release the lock; safe to call twice."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def in_use(home: Path, holder: Holder | None) -> DataFolderInUse:
    """The error for a folder that another process holds."""
    return DataFolderInUse(
        "another process holds this data folder; stop it with: renkei local down",
        folder=str(home),
        pid=holder.pid if holder else None,
        since=holder.since.isoformat() if holder else None,
    )


def is_held(folder: Folder) -> bool:
    """Whether any process holds the folder now."""
    try:
        file = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def holder(folder: Folder) -> Holder | None:
    """The process that holds the folder now."""
    return read_holder(folder.lock) if is_held(folder) else None


def read_holder(lock: Path) -> Holder | None:
    """The holder that a lock file names; None while it is being written."""
    try:
        note = json.loads(lock.read_text(encoding="utf-8"))
        return Holder(note["pid"], datetime.fromisoformat(note["since"]), note["created"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def process(pid: int, created: float) -> psutil.Process | None:
    """The process with this id and start time; None if the id is another process's by now."""
    try:
        found = psutil.Process(pid)
        same = abs(found.create_time() - created) < 1.0
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def read_json(path: Path) -> Mapping[str, Any] | None:
    """A JSON object from a file; None if there is no file, or half of one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
