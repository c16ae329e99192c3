"""Every log line in the code has an event's name and fields that the list of fields knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from bus.observe.logs import FIELDS
from tests.architecture.source import name_of, tree_of

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
NOT_FIELDS = {"exc_info"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Calls of ``log.warning(…)`` and its like, wherever the logger is kept."""
    for folder in ("bus", "connectors"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(tree_of(path)):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                holder = node.func.value
                made = holder.func if isinstance(holder, ast.Call) else holder
                name = name_of(made)
                is_log = name in ("log", "_log", "get_logger")
                if is_log and node.func.attr in {*LEVELS, "bind"}:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_fields_are_known() -> None:
    """A field that is not in the list would be withheld when it is needed."""
    unknown = [
        f"{place}: {keyword.arg}"
        for place, call in log_calls()
        for keyword in call.keywords
        if keyword.arg is not None and keyword.arg not in FIELDS | NOT_FIELDS
    ]

    assert unknown == []


def test_events_are_names() -> None:
    """An event is a literal name, ``lane-open``: no sentence, and nothing filled in."""
    strange = []
    for place, call in log_calls():
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr == "bind":
            continue
        event = call.args[1 if call.func.attr == "log" else 0]
        if not (
            isinstance(event, ast.Constant)
            and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", str(event.value))
        ):
            strange.append(place)

    assert strange == []


def test_the_check_sees_something() -> None:
    """The walk finds the log lines that there are."""
    assert len(list(log_calls())) > 10
