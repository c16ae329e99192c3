"""Tests wait for what happens, not for a length of time."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.architecture.source import tree_of

TESTS = Path(__file__).parents[1]
HOMES = {"support/waiting.py": 3, "support/madeup.py": 1}
LEFT = 28
"""How often one still waits by the clock: to see that nothing happens, to let load flow beside a
trouble, or inside of what it plays. It becomes fewer, not more."""


def _sleeps(file: Path) -> int:
    """How often a file calls something's ``sleep`` for longer than nothing."""
    return sum(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and [ast.unparse(each) for each in node.args] != ["0"]
        for node in ast.walk(tree_of(file))
    )


def test_no_test_waits_by_the_clock() -> None:
    """Waiting for what tells nobody has one home, with a deadline; letting made-up time pass has
    another."""
    found = Counter({str(file.relative_to(TESTS)): _sleeps(file) for file in TESTS.rglob("*.py")})
    assert {home: found.pop(home) for home in HOMES} == HOMES
    assert found.total() <= LEFT, {name: count for name, count in found.items() if count}
