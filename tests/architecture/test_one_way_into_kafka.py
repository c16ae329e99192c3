"""No client of Kafka is made but with the way in that the settings say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import tree_of

WHOLE = {"self._way_in.options", "self._on_a_connection"}
BUS = Path(__file__).parents[2] / "bus"


def calls(beginning: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of what has a name that begins so, in all that runs in production."""
    for path in sorted(BUS.rglob("*.py")):
        if "testing" in path.relative_to(BUS).parts:
            continue
        for node in ast.walk(tree_of(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id.startswith(beginning):
                yield f"{path.relative_to(BUS)}:{node.lineno}", node


def test_the_librarys_clients_take_all_of_it() -> None:
    """Consumer, producer, admin client and bare connection."""
    found = dict(calls("AIOKafka"))
    whole = {
        place
        for place, call in found.items()
        for keyword in call.keywords
        if keyword.arg is None and ast.unparse(keyword.value) in WHOLE
    }

    assert len(found) >= 5
    assert set(found) == whole


def test_our_broker_and_the_monitor_are_given_it() -> None:
    """Plain text is for tests to leave unsaid; whatever is shipped says it."""
    found = [*calls("KafkaBroker"), *calls("WatchedCluster")]

    assert len(found) >= 3
    assert [
        place
        for place, call in found
        if not any("security" in ast.unparse(each) for each in call.args)
    ] == []
