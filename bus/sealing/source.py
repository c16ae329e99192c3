"""The sources of keys: a file that only its owner may read, or a command that prints them.

A source says the text of :mod:`bus.sealing.ring`, and whether it is worth asking again. A file is
compared by what the file system says of it; a command, which may be a dear question to a machine
elsewhere, is trusted for some minutes.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Protocol

from bus.errors import KeysUnavailable, KeysUnusable
from bus.files import objection

PATIENCE = timedelta(seconds=5)
"""How long a command may take."""
TRUSTED_FOR = timedelta(minutes=5)
"""How long what a command said is not asked for again."""
MOST_BYTES = 1024 * 1024
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""All that a command is told besides its words; nothing of ours, where other secrets may be."""


class KeySource(Protocol):
    """Gives the text of a ring of keys.

    What was asked for and could not be had is not worth asking for again at once either.
    """

    def has_changed(self) -> bool:
        """Whether the keys may differ from those read last; True before the first reading."""

    async def read(self) -> str:
        """The text as it is now.

        Raises:
            KeysUnusable: It cannot be had, and will not be by itself.
            KeysUnavailable: Whoever has it does not answer.
        """


class FileSource:
    """A file that only its owner may read. It is to be replaced, not written into."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, ...] | None = None

    def has_changed(self) -> bool:
        try:
            there = _looks(self._path.stat())
        except OSError:
            there = ()
        return self._read != there

    async def read(self) -> str:
        return await asyncio.to_thread(self.content)

    def content(self) -> str:
        """As :meth:`read`, but blocking."""
        try:
            # what is opened is what is judged; a pipe in its place must not hold us up
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                there = os.fstat(file.fileno())
                self._read = _looks(there)
                found = objection(there, is_secret=True)
                if found is not None:
                    code, expected = found
                    raise KeysUnusable(
                        f"the file of keys is to be {expected}",
                        file=str(self._path),
                        fault=code,
                    )
                text = file.read(MOST_BYTES).decode("ascii")
        except OSError as error:
            self._read = ()
            raise KeysUnusable(
                "the file of keys cannot be read", file=str(self._path), reason=error.strerror
            ) from None
        except UnicodeDecodeError:  # it would quote the bytes
            raise KeysUnusable("the file of keys is no text", file=str(self._path)) from None
        return text


class CommandSource:
    """A program that prints the keys: the client of a key service, or of a vault.

    It is run as it is, by its absolute path, without a shell and without our environment: that
    may hold other secrets, and whoever may change it could choose another program. Nobody but its
    owner (we or root) may be able to write it. What it says on stderr is not looked at.
    """

    def __init__(
        self,
        command: str,
        *,
        patience: timedelta = PATIENCE,
        trusted_for: timedelta = TRUSTED_FOR,
        now: Callable[[], float] = monotonic,
    ) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError:  # it would quote the command
            self._words = []
        self._patience = patience.total_seconds()
        self._trusted_for = trusted_for.total_seconds()
        self._now = now
        self._read_at: float | None = None

    def has_changed(self) -> bool:
        return self._read_at is None or self._now() - self._read_at > self._trusted_for

    async def read(self) -> str:
        self._read_at = self._now()  # also where it fails: it is not asked again at each batch
        try:
            return (await self._run()).decode("ascii")
        except UnicodeDecodeError:
            raise KeysUnusable("the command for keys prints no text") from None

    async def _run(self) -> bytes:
        self._insist_on_program()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # what it starts ends with it
                env=_ENVIRONMENT,
                cwd="/",
            )
        except OSError as error:
            raise KeysUnusable(
                "the command for keys cannot be run", reason=error.strerror
            ) from None
        try:
            async with asyncio.timeout(self._patience):
                said, _ = await process.communicate()
        except TimeoutError:
            raise KeysUnavailable("the command for keys does not end") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
        if process.returncode:
            raise KeysUnavailable("the command for keys has failed", status=process.returncode)
        return said

    def _insist_on_program(self) -> None:
        if not self._words:
            raise KeysUnusable("the command for keys is no command")
        program = Path(self._words[0])
        if not program.is_absolute():
            raise KeysUnusable("the command for keys is to be named by its absolute path")
        try:
            found = objection(program.stat(), is_secret=False)
        except OSError as error:
            raise KeysUnusable(
                "the command for keys cannot be run", reason=error.strerror
            ) from None
        if found is not None:
            code, expected = found
            raise KeysUnusable(f"the command for keys is to be {expected}", fault=code)


def _looks(there: os.stat_result) -> tuple[int, ...]:
    return there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_mode
