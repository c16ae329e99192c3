"""What an error says of its place is for people: nobody reads it to decide something."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.architecture.source import name_of, tree_of

ROOT = Path(__file__).parents[2]
TELLERS = {
    "bus/errors.py": 1,  # the error's own text
    "bus/observe/logs.py": 1,  # a log line
    "bus/app/systems.py": 4,  # a log line, of what is not delivered
    "bus/local/supervisor.py": 1,  # the state that `renkei local status` shows
}
OTHERS = {"bus/cli/local.py": 1}
"""Where something else has that name: the addresses of the engines."""
SUITES = "bus/conformance/"
"""A suite looks at what an error says."""


def _reads(file: Path) -> int:
    """How often *file* takes something out of a ``where``, or looks whether it is in there."""
    found = 0
    for node in ast.walk(tree_of(file)):
        match node:
            case ast.Subscript(value=ast.Attribute(attr="where"), ctx=ast.Load()):
                found += 1
            case ast.Attribute(value=ast.Attribute(attr="where")):
                found += 1
            case ast.Compare(comparators=each):
                found += sum(isinstance(e, ast.Attribute) and name_of(e) == "where" for e in each)
    return found


def test_only_who_tells_of_an_error_reads_its_words() -> None:
    """What somebody has to know to act is handed over as a value, with a type."""
    files = [file for part in ("bus", "connectors") for file in (ROOT / part).rglob("*.py")]
    found = Counter({str(file.relative_to(ROOT)): _reads(file) for file in files})
    there = {name: n for name, n in found.items() if n and not name.startswith(SUITES)}
    assert there == TELLERS | OTHERS
