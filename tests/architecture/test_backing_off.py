"""What does not answer is asked again by one loop, and one class says how long to wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
ASKS = {
    "bus/retry.py": "the loop",
    "bus/observe/tasks.py": "keeps tasks: one that fell is begun again, whatever it fell by",
}
"""Who may ask a back-off how long to wait next."""
GROWS = {
    "bus/backoff.py": "the waits",
    "bus/model/protection.py": "no wait: how many changes are remembered as one",
    "bus/control/testimony.py": "no wait: how much of a log is read at once",
    "bus/local/supervisor.py": "a planned start of an engine, of which there are a few",
}
"""Where a value is replaced by a multiple of itself, or goes up with a power."""


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("bus", "connectors"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            for node in ast.walk(tree_of(file)):
                yield path, node


def test_one_loop_backs_off() -> None:
    """Whoever waits beside other work drives that loop."""
    found = {
        path
        for path, node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "next"
        and not node.args
    }
    assert found == set(ASKS)


def test_nobody_else_doubles_a_wait() -> None:
    """A name that is given a multiple of itself, or what is taken times a growing power."""
    found = {path for path, node in nodes() if _grows(node)}
    assert found == set(GROWS)


def _grows(node: ast.AST) -> bool:
    match node:
        case ast.AugAssign(op=ast.Mult() | ast.Pow()):
            return True
        case ast.BinOp(op=ast.Mult(), right=ast.BinOp(op=ast.Pow(), right=power)):
            return not isinstance(power, ast.Constant)
        case ast.Assign(targets=[target], value=value):
            pairs = (
                zip(target.elts, value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            return any(_is_multiple(of, given) for of, given in pairs)
        case _:
            return False


def _is_multiple(target: ast.expr, value: ast.expr) -> bool:
    """Whether *value*, or an argument of the call that it is, is *target* times a number."""
    parts = value.args if isinstance(value, ast.Call) else [value]
    return any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.Mult)
        and isinstance(part.right, ast.Constant)
        and ast.unparse(part.left) == ast.unparse(target)
        for part in parts
    )
