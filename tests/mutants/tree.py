"""A copy of the tree, in which pieces are taken out and put back."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.outcomes import VARIABLE, without_case

CODE = ("bus", "connectors", "tests")


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

    @contextmanager
    def without(self, mutant: Mutant) -> Iterator[None]:
        """With one piece taken out."""
        file = self.folder / mutant.file
        whole = file.read_text(encoding="utf-8")
        file.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
        self._forget(file)
        try:
            yield
        finally:
            file.write_text(whole, encoding="utf-8")
            self._forget(file)

    def run(self, tests: Sequence[str], seconds: float) -> tuple[list[Outcome], str]:
        """Run tests; how each case ended, and what pytest printed.

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
        try:
            printed, _ = process.communicate(timeout=seconds + 30)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise TooLong from None
            raise
        return [Outcome(**json.loads(line)) for line in lines.read_text().splitlines()], printed

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
            "PYTHONDONTWRITEBYTECODE": "1",  # what is compiled with a piece taken out is not kept
            VARIABLE: str(lines),
        }

    @staticmethod
    def _forget(file: Path) -> None:
        if file.suffix == ".py":
            Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)


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
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", *(c for c in CODE if (folder / c).exists())],
            cwd=folder, check=False, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        yield Tree(folder)


def of_test(outcomes: Sequence[Outcome], test: str) -> list[Outcome]:
    """How the cases of one test ended; the test may be named with a case or without."""
    if "[" in test:
        return [each for each in outcomes if each.test == test]
    return [each for each in outcomes if without_case(each.test) == test]
