"""The list of crash points is the code's: each is passed at exactly one place."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from bus.failpoints import Point
from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]


def passings(folder: Path) -> Counter[str]:
    """How often each ``passed(Point.X)`` stands in the Python files below *folder*."""
    found: Counter[str] = Counter()
    for file in folder.rglob("*.py"):
        for node in ast.walk(tree_of(file)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id != "passed":
                continue
            (point,) = node.args
            assert isinstance(point, ast.Attribute), f"{file}: name the point where it is passed"
            found[point.attr] += 1
    return found


def test_each_point_is_passed_at_one_place() -> None:
    """A step added without its point, or a point without its step, is noticed."""
    found = passings(ROOT / "bus") + passings(ROOT / "connectors")

    assert dict(found) == {point.name: 1 for point in Point}
