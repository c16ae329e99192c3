"""The walk in CONTRIBUTING.md, followed word by word in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ROSTERS = {"connectors/__init__.py", "bus/cli/main.py"}
STEP = re.compile(
    r"(?:`(?P<file>[\w./]+)`(?:, (?:in|under) `(?P<place>[^`]+)`|, [^\n]*)?:\n\n)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)```\n",
    re.DOTALL,
)


class Step(NamedTuple):
    """One block: a file to write, lines to add below a place in one, or what to run."""

    file: str | None
    place: str | None
    language: str
    text: str


def steps() -> Iterator[Step]:
    """The walk's blocks, in order."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = page.partition("## A walk: ")[2].partition("\n## ")[0]
    for found in STEP.finditer(walk):
        yield Step(**found.groupdict())


def add(file: Path, place: str, text: str) -> None:
    """Put lines below the line that has *place*, or begins the collection of that name."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    begins = re.compile(rf"(?:{re.escape(place)}|{re.escape(place)}\b.* = [({{\[])\n")
    (at,) = [number for number, line in enumerate(lines) if begins.fullmatch(line)]
    file.write_text("".join([*lines[: at + 1], text, *lines[at + 1 :]]), encoding="utf-8")


def run(script: str, tree: Path) -> str:
    """Run a block in *tree*, as whoever walks does; what it prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = {name: value for name, value in os.environ.items() if not name.startswith("RENKEI_")}
    environment = told | {
        "PATH": path, "PYTHONPATH": str(tree), "RENKEI_HOME": str(tree / "home"),
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }  # fmt: skip
    shell = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        shell, cwd=tree, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what is here, as far as the walk goes."""
    copy = tmp_path / "renkei"
    leave = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("bus", "connectors", "schemas", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    return copy


def test_the_walk(tree: Path) -> None:
    """A sink, a source and a command: new files and lines of rosters, and everything holds."""
    said = []
    for step in steps():
        if step.file is None:
            assert step.language == "sh", step
            said.append(run(step.text, tree))
        elif step.place is None:
            file = tree / step.file
            assert not file.exists(), step.file
            assert step.text.count("\n") <= 200, step.file
            file.parent.mkdir(exist_ok=True)
            file.write_text(step.text, encoding="utf-8")
        else:
            is_ours = step.file.startswith(("bus/", "connectors/"))
            assert not is_ours or step.file in ROSTERS
            add(tree / step.file, step.place, step.text)

    sink, source, command, at_last = said
    assert "sqlite: lacks transactional, reshapes, suppresses, stages, readable" in sink
    assert re.search(r"^\d+ passed", sink, re.MULTILINE)
    assert re.search(r"^\d+ passed", source, re.MULTILINE)  # and it is one that a relay may have
    assert "household.changed" in command
    assert "2 passed" in at_last
    assert "0 broken" in at_last
