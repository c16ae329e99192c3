"""No two files need each other, by whatever way round.

What counts is every import, also one within a function or for types alone: whoever reads one file
of a circle has to read the other. That a package's own ``__init__`` runs before its modules is no
need; where one takes a name from it, it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
TREES = ("bus", "connectors", "schemas")


def modules(root: Path, trees: tuple[str, ...]) -> dict[str, Path]:
    """Every module by name; a package by the name of its ``__init__``."""
    return {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for tree in trees
        for file in sorted((root / tree).rglob("*.py"))
    }


def needs(name: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules that one imports."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in known)
        elif isinstance(node, ast.ImportFrom):
            package = node.module or ""
            if node.level:
                here = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
                here = here[: len(here) - node.level + 1]
                package = ".".join([*here, *filter(None, [node.module])])
            for each in node.names:
                inner = f"{package}.{each.name}"
                found = inner if inner in known else package
                if found in known and found != name:
                    yield found


def circles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Modules that need each other, each group once (Tarjan, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    open_: set[str] = set()
    found: list[list[str]] = []
    for start in graph:
        if start in index:
            continue
        work = [(start, iter(sorted(graph[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        open_.add(start)
        while work:
            node, rest = work[-1]
            for each in rest:
                if each not in index:
                    index[each] = low[each] = len(index)
                    stack.append(each)
                    open_.add(each)
                    work.append((each, iter(sorted(graph[each]))))
                    break
                if each in open_:
                    low[node] = min(low[node], index[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while not group or group[-1] != node:
                        group.append(stack.pop())
                        open_.discard(group[-1])
                    if len(group) > 1:
                        found.append(sorted(group))
    return sorted(found)


def graph_of(root: Path, trees: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """Every module, and those that it imports."""
    known = modules(root, trees)
    return {name: frozenset(needs(name, file, known)) for name, file in known.items()}


def test_no_circle_of_files() -> None:
    """The house has floors down to its files."""
    assert circles(graph_of(ROOT, TREES)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    """By way of a third file, of an import within a function, and of a package's own names."""
    folder = tmp_path / "house"
    (folder / "inner").mkdir(parents=True)
    for name, text in {
        "one": "def f():\n    from house import two",
        "two": "import house.inner.three",
        "inner/three": "from .. import one",
        "inner/four": "from . import three",
        "five": "from house.inner import NAME",
        "inner/__init__": "from house.five import other\nNAME = 1",
        "__init__": "",
    }.items():
        (folder / f"{name}.py").write_text(text)

    assert circles(graph_of(tmp_path, ("house",))) == [
        ["house.five", "house.inner"],
        ["house.inner.three", "house.one", "house.two"],
    ]
