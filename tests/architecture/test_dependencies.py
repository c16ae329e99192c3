"""Each library is imported where CONTRIBUTING.md says, and nowhere else."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from tests.architecture.source import name_of, tree_of

ROOT = Path(__file__).parents[2]
CALLED = {"avro-python3": "avro", "faust-streaming": "faust", "pyyaml": "yaml"}
"""Libraries whose modules have another name than they have in a registry."""
NEVER_NAMED = {"cramjam", "tzdata"}
"""Imported by libraries: aiokafka asks for the one, zoneinfo for the other."""


def _homes() -> dict[str, set[str] | None]:
    """Library -> the modules and packages that may import it; None: any."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| (.+) \|$", text, re.MULTILINE)
    return {
        name: None if cell.startswith("everywhere") else set(re.findall(r"`([\w.]+)`", cell))
        for name, cell in rows
    }


def _imports() -> dict[str, set[str]]:
    """Top-level module -> the modules of ours that import it, by name or by a word for it."""
    found: dict[str, set[str]] = {}
    for file in [*ROOT.glob("bus/**/*.py"), *ROOT.glob("connectors/**/*.py")]:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(tree_of(file)):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and name_of(node.func) in (
                "import_module",
                "find_spec",
            ):
                names = [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(module)
    return found


def test_each_library_is_where_the_table_has_it() -> None:
    imports, homes = _imports(), _homes()
    astray = {}
    for library, places in homes.items():
        users = imports.get(CALLED.get(library, library.replace("-", "_")), set())
        assert users, f"nobody imports {library}"
        if places is None:
            continue
        by_place = {p: {u for u in users if u == p or u.startswith(f"{p}.")} for p in places}
        assert all(by_place.values()), f"{library}: {by_place}"
        if others := users - set().union(*by_place.values()):
            astray[library] = sorted(others)
    assert astray == {}


def test_each_dependency_is_in_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k != "all"}
    del extras["conformance"]  # for whoever runs the suites
    said = [*project["dependencies"], *(each for group in extras.values() for each in group)]
    names = {match[0] for each in said if (match := re.match(r"[\w-]+", each))}
    assert names - NEVER_NAMED == set(_homes())
