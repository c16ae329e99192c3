"""The project's Python files, as trees."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def tree_of(file: Path) -> ast.Module:
    """What *file* says, parsed while no garbage is collected.

    Before 3.11.5 CPython counts the depth of all conversions together (gh-106905): a finalizer
    that formats a traceback in the middle of one, which parses a line too, makes it a SystemError.
    """
    text = file.read_text(encoding="utf-8")
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if was_enabled:
            gc.enable()


def name_of(node: ast.AST) -> str:
    """The last word of a name or an attribute; nothing of whatever else it is."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
