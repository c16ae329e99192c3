"""What takes more than seven things to be made does more than one thing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
MOST = 7


def constructors() -> Iterator[tuple[str, int]]:
    """Every constructor that is written out, and how many things it takes."""
    for folder in ("bus", "connectors"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for found in ast.walk(tree_of(file)):
                if isinstance(found, ast.ClassDef):
                    for method in found.body:
                        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                            takes = method.args
                            named = [*takes.posonlyargs, *takes.args, *takes.kwonlyargs]
                            yield f"{file.relative_to(ROOT)} {found.name}", len(named) - 1


def test_no_constructor_takes_more_than_seven_things() -> None:
    """Settings that belong together are one value; a part gets what it needs, not all there is."""
    assert {name: count for name, count in constructors() if count > MOST} == {}
