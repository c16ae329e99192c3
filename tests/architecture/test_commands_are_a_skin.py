"""Commands parse, ask and draw: what is decided is in ``bus.operate``, and cannot be here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

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

AND = {
    "bench": {"bus.bench", "bus.local"},
    "deliver": {"bus.deliver"},  # the line of progress while it runs
    "demo": {"bus.demo"},
    "local": {"bus.local"},
    "policydiff": {"bus.policy"},
    "reach": {"bus.policy"},
}
"""And what some may beside it: what they show is there. The list grows shorter, not longer."""

NEVER = {"bus.broker", "bus.control", "bus.deliver", "bus.ledger", "bus.log", "bus.rebuild"}
"""Where operators' decisions would be made again."""


def imports(file: Path) -> set[str]:
    """The packages of ours that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
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
    """It imports what it asks, and what it shows."""
    assert imports(file) - MAY_ASK <= AND.get(file.stem, set())


def test_the_exceptions_are_used() -> None:
    """One that is needed no more goes; none of them grows into a decision."""
    for name, packages in AND.items():
        file = ROOT / "bus" / "cli" / f"{name}.py"
        assert packages <= imports(file), name
    forbidden = {name: packages & NEVER for name, packages in AND.items() if packages & NEVER}
    assert forbidden == {"deliver": {"bus.deliver"}}


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
        tree = ast.parse(file.read_text(encoding="utf-8"))
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


def _is_document(node: ast.expr) -> bool:
    """A call of what ``documents`` has, but not of what stands inside another."""
    function = getattr(node, "func", None)
    return (
        isinstance(function, ast.Attribute)
        and getattr(function.value, "id", "") == "documents"
        and function.attr != "of"
    )
