"""Commands parse, ask and draw: what is decided is in ``bus.operate``, and cannot be here."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
COMMANDS = sorted((ROOT / "bus" / "cli").glob("*.py"))

MAY_ASK = {
    "bus.operate",  # questions, deeds, documents, jobs
    "bus.app",  # what runs on is composed there; settings and streams of the files
    "bus.cli",
    "bus.errors",
    "bus.model",
    "bus.observe",
    "bus.settings",
    "bus.files",
    "bus.failpoints",
}
"""What any command may import of ours."""

TOOLS = {
    "bench": "bus.bench",  # measures, on engines and a data folder of its own
    "demo": "bus.demo",  # shows the whole, likewise
}
"""Commands that start a tool which is none of an operator's: they ask it one thing."""


def imports(file: Path) -> set[str]:
    """The packages of ours that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(tree_of(file)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            is_bare = node.module == "bus"
            names = [f"bus.{each.name}" for each in node.names] if is_bare else [node.module]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        found |= {".".join(name.split(".")[:2]) for name in names if name.startswith("bus.")}
    return found


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: file.stem)
def test_a_command_asks(file: Path) -> None:
    """It imports what it asks, and nothing beneath, where decisions would be made again."""
    tool = {TOOLS[file.stem]} if file.stem in TOOLS else set()
    assert imports(file) - MAY_ASK == tool


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_is_asked_one_thing(name: str) -> None:
    """One function of it; the rest are values that this takes and gives."""
    taken = [
        getattr(importlib.import_module(node.module or ""), each.name)
        for node in ast.walk(tree_of(ROOT / "bus" / "cli" / f"{name}.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(TOOLS[name])
        for each in node.names
    ]
    assert len([each for each in taken if not isinstance(each, type)]) == 1, taken


def test_questions_know_no_command() -> None:
    """Nor how anything is drawn: a page asks them as well."""
    for file in (ROOT / "bus" / "operate").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "typer" not in text.replace("operated", ""), file
        assert "import rich" not in text, file
        assert "from rich" not in text, file
        assert "bus.cli" not in text, file


OWN = {
    "bench": "figures by name, which gates read",
    "demo": "what bus.demo says of itself",
    "settings": "settings by name",
}
"""Where something else than a document of ``bus.operate`` is printed, and why."""


def test_what_is_printed_for_machines_is_a_document() -> None:
    """Made below commands, with a name and a version; the few that are not are named here."""
    own = set()
    for file in COMMANDS:
        tree = tree_of(file)
        made = {
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and _is_document(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show_json":
                (said,) = node.args
                if not _is_document(said) and getattr(said, "id", "") not in made:
                    own.add(file.stem)
    assert own == set(OWN)


def test_a_status_is_a_value_s_word() -> None:
    """A command ends with another status where a value says so, or a tool was cut off: it compares
    nothing, and counts nothing, to find out."""
    for file in COMMANDS:
        tree = tree_of(file)
        held = {
            id(child): parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and _is_exit(node.exc):
                above = held[id(node)]
                if isinstance(above, ast.If):
                    said = above.test.operand if isinstance(above.test, ast.UnaryOp) else above.test
                    called = said.func if isinstance(said, ast.Call) else said
                    assert isinstance(called, ast.Attribute), f"{file.name}:{node.lineno}"
                else:
                    assert isinstance(above, ast.ExceptHandler), f"{file.name}:{node.lineno}"


def _is_exit(raised: ast.expr | None) -> bool:
    """``typer.Exit`` with a status."""
    return (
        isinstance(raised, ast.Call)
        and isinstance(raised.func, ast.Attribute)
        and raised.func.attr == "Exit"
    )


def _is_document(node: ast.expr) -> bool:
    """A call of what ``documents`` has, but not of what stands inside another."""
    function = getattr(node, "func", None)
    return (
        isinstance(function, ast.Attribute)
        and getattr(function.value, "id", "") == "documents"
        and function.attr != "of"
    )
