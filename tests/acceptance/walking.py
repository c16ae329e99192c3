"""Walks a page of ``docs/howto``: its shell blocks are run in order, word by word.

A walk says which words of the page are others here (a ticket, a file, a database), and which
commands are not run and why: a reason that fits no command is a fault, as a command is that fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
SHELL = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """A command of a page, and what it printed."""

    command: str
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How a page is walked here."""

    page: str
    words: Mapping[str, str] = field(default_factory=dict)
    """What stands in the page, and what it is here."""
    left: Mapping[str, str] = field(default_factory=dict)
    """How commands begin that are not run, and why."""
    ends: Mapping[str, int] = field(default_factory=dict)
    """How commands begin that do not exit 0 here, and with what."""


def commands(page: str, heading: str = "") -> list[str]:
    """The commands of a page's shell blocks, in order, without their remarks; of one section, if
    its *heading*'s beginning is given."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"\n{heading}")[2].partition("\n## ")[0]
    found: list[str] = []
    for _, block in SHELL.findall(text):
        whole = textwrap.dedent(block).replace("\\\n", " ")
        found += [re.sub(r"\s+# .*$", "", line).strip() for line in whole.splitlines()]
    return [command for command in found if command and not command.startswith("#")]


@dataclass(slots=True)
class Walker:
    """A shell at an installation."""

    folder: Path
    environment: dict[str, str]
    programs: Sequence[Path]

    def walk(self, walk: Walk) -> list[Said]:
        """Run the page; what each command said."""
        said, left = [], set()
        for command in commands(walk.page):
            if reason := next((b for b in walk.left if command.startswith(b)), None):
                left.add(reason)
                continue
            own = command
            for word, here in walk.words.items():
                own = own.replace(word, here)
            assert "…" not in own, f"{walk.page}: {own}"
            ends = next((e for b, e in walk.ends.items() if command.startswith(b)), 0)
            said.append(self.run(own, ends))
        assert left == {*walk.left}, f"{walk.page}: no such command any more"
        assert said, f"{walk.page}: nothing was run"
        return said

    def run(self, command: str, ends: int = 0) -> Said:
        """Run one command as its reader would, who says yes to whatever is asked."""
        path = ":".join([*map(str, self.programs), os.environ["PATH"]])
        inherited = {name: v for name, v in os.environ.items() if not name.startswith("RENKEI_")}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={**inherited, **self.environment, "PATH": path, "COLUMNS": "200"},
            input="y\n",
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == ends, f"{command}\n{done.stdout}{done.stderr}"
        if found := re.fullmatch(r"export (\w+)=(\S+)", command):
            self.environment[found[1]] = found[2]
        return Said(command, done.stdout, done.stderr)
