"""A copy of the tree, in which pieces are taken out and put back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.outcomes import VARIABLE, without_case

_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s@]+@")
"""Of an address with a user, such as that of the engines' database."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test, or one of its cases, ended."""

    test: str
    outcome: str
    error: str
    said: str


class TooLong(Exception):
    """The tests did not end in their time."""


class Tree:
    """One copy. What is imported in it is the copy's own.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tried = 0
        self._running: subprocess.Popen[str] | None = None

    @contextmanager
    def without(self, mutant: Mutant) -> Iterator[None]:
        """With one piece taken out."""
        file = self.folder / mutant.file
        whole, stamped = file.read_text(encoding="utf-8"), file.stat().st_mtime_ns
        file.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
        self._tried += 1  # what is compiled is known by its time, in seconds
        os.utime(file, ns=(stamped, stamped + self._tried * 1_000_000_000))
        try:
            yield
        finally:
            file.write_text(whole, encoding="utf-8")
            os.utime(file, ns=(stamped, stamped))

    def run(self, tests: Sequence[str], seconds: float) -> tuple[list[Outcome], str]:
        """Run tests; how each case ended, and what pytest printed, without passwords.

        Raises:
            TooLong: They did not end in time; they were killed.
        """
        lines = self.folder / ".outcomes"
        lines.write_text("")
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.outcomes",
            "-p", "no:cacheprovider", f"--timeout={seconds:.0f}", *tests,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=self.folder, env=self._environment(lines), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self._running = process
        try:
            printed, _ = process.communicate(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            raise TooLong from None
        finally:
            self.stop()
        ended = _PASSWORD.sub(r"\1:…@", lines.read_text()).splitlines()
        return [Outcome(**json.loads(line)) for line in ended], _PASSWORD.sub(r"\1:…@", printed)

    def stop(self) -> None:
        """End what runs in it, whoever waits for that."""
        process, self._running = self._running, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def imports_itself(self) -> bool:
        """Whether ``import bus`` in the copy finds the copy."""
        found = subprocess.run(
            [sys.executable, "-c", "import bus, connectors; print(bus.__file__)"],
            cwd=self.folder, env=self._environment(Path(os.devnull)),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return Path(found.stdout.strip()).is_relative_to(self.folder)

    def _environment(self, lines: Path) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(self.folder),
            VARIABLE: str(lines),
        }


@contextmanager
def copied(source: Path) -> Iterator[Tree]:
    """A copy of what git knows of a tree, and of what is new in it; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name).resolve()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=source, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        for each in listed:
            if each and (source / each).is_file():
                (folder / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / each, folder / each)
        tree = Tree(folder)
        try:
            yield tree
        finally:
            tree.stop()


def of_test(outcomes: Sequence[Outcome], test: str) -> list[Outcome]:
    """How the cases of one test ended; the test may be named with a case or without."""
    if "[" in test:
        return [each for each in outcomes if each.test == test]
    return [each for each in outcomes if without_case(each.test) == test]
