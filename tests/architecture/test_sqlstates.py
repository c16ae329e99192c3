"""What a database's driver raises becomes an error of the bus at one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
DRIVERS = ("psycopg", "asyncpg", "adbc_driver_manager", "adbc_driver_postgresql")
JUDGES = {
    "bus/connect/libpq.py",  # a URI that is none: no database was asked
    "connectors/outbox/installing.py",  # which right is lacking only the statement says
    "bus/demo/stores.py",  # one machine's own engine has ended
    "connectors/postgres/believing.py",  # what cannot be read was never written by the bus
}
"""Who makes another error of it for a reason that no SQLSTATE tells."""


def test_nobody_else_makes_an_error_of_a_drivers() -> None:
    """Whoever catches one has an answer of his own to it, or lets it go on."""
    assert set(translations()) == JUDGES


def translations() -> Iterator[str]:
    """Each module that catches what a driver raises, and raises something else."""
    for folder in ("bus", "connectors"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = tree_of(file)
            names = set(drivers_of(tree))
            for node in ast.walk(tree):
                if not isinstance(node, ast.ExceptHandler) or node.type is None:
                    continue
                caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
                makes = [r for r in ast.walk(node) if isinstance(r, ast.Raise) and r.exc]
                if caught & names and makes:
                    yield str(file.relative_to(ROOT))


def drivers_of(tree: ast.AST) -> Iterator[str]:
    """The names by which a module knows drivers, and what of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.asname or a.name for a in node.names if a.name in DRIVERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in DRIVERS:
            yield from (a.asname or a.name for a in node.names)
