"""Long-lived work is kept by ``bus.observe.tasks``; what else begins tasks or threads ends by
itself and has somebody who waits for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEGIN = {
    "create_task", "ensure_future", "TaskGroup", "run_in_executor", "run_coroutine_threadsafe",
    "Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor",
}  # fmt: skip
KEEPER = "bus/observe/tasks.py"
NO_PROCESS = ("bus/sample/", "bus/conformance/", "bus/bench/", "bus/demo/")  # shown and tested

SHORT_LIVED = {
    ("bus/broker/kafka/consumer.py", "on_partitions_revoked"): "awaited there: a rebalance's end",
    ("bus/broker/kafka/producer.py", "_queue"): "a pump ends with its queue; senders wait for it",
    ("bus/broker/kafka/producer.py", "_abandon"): "lets go of a producer; awaited by close",
    ("bus/broker/memory.py", "_revoke"): "for tests",
    ("bus/broker/memory.py", "join"): "for tests",
    ("bus/broker/memory.py", "leave"): "for tests",
    ("bus/cli/asking.py", "confirmed"): "somebody's answer; a signal ends the process without it",
    ("bus/cli/deliver.py", "_leave_within"): "ends the process",
    ("bus/hosting/system_delivery.py", "run"): "the fetching of a delivery, which run awaits",
    ("bus/hosting/fleet.py", "_open"): "a lane: its end is told to Tasks by _lane_ended",
    ("bus/hosting/stopping.py", "closed"): "awaited there",
    ("bus/deliver/pulse.py", "rest"): "two waits, the longer of which is cancelled there",
    ("bus/deliver/shared_sink.py", "_alone"): "one call of a store, which a lane awaits",
    ("bus/operate/deeds.py", "_to_its_end"): "one record, awaited there",
    ("bus/operate/jobs.py", "__init__"): "a job, whose end its caller waits for or brings about",
    ("bus/log/tail.py", "ask"): "one round trip, which whoever asked awaits",
    ("bus/local/fetch.py", "fetch"): "a download, which the command waits for",
    ("bus/monitor/watch.py", "_watch"): "the parts of the monitor, awaited there: one ends all",
    (
        "bus/connect/together.py",
        "until_one_ends",
    ): "the parts of a job, awaited there: one ends all",
    ("bus/publish/runner.py", "run"): "the runner's work, awaited there",
    ("bus/publish/runner.py", "_unless_stopped"): "one step of it, awaited there",
    ("bus/publish/publisher.py", "publish_batches"): "the next piece of one call, awaited there",
    (
        "connectors/postgres/table.py",
        "_start_thread",
    ): "a store's own thread: its calls are awaited",
    ("connectors/postgres/table.py", "close"): "one call of a store, awaited there",
    ("connectors/postgres/table.py", "_run"): "one call of a store, which a lane awaits",
}
"""By file and function: why no keeper is needed."""

KINDS = {
    "again", "agreement", "delivery", "follower", "lane", "lookout", "monitor", "offsets",
    "overdue", "pages", "pause", "progress", "receipts", "relay", "release", "store-watch",
    "switch", "withdrawal", "words",
}  # fmt: skip
"""Every kind of task: the values of the metrics' label, and what the tests kill."""


def calls(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Every call, and the function of a module or class that it stands in."""
    for node in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside:
            name = node.name
        if isinstance(node, ast.Call):
            yield inside, node
        yield from calls(node, name)


def name_of(call: ast.Call) -> str:
    found = call.func
    return found.attr if isinstance(found, ast.Attribute) else getattr(found, "id", "")


def files() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("bus", "connectors"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if path != KEEPER and not path.startswith(NO_PROCESS):
                yield path, ast.parse(file.read_text(encoding="utf-8"))


def test_what_begins_tasks_elsewhere_is_short_lived() -> None:
    """A new one is kept by ``Tasks.keep``, or stands in the list with its reason."""
    found = {
        (path, inside)
        for path, tree in files()
        for inside, call in calls(tree)
        if name_of(call) in BEGIN
    }
    assert found == set(SHORT_LIVED)


def test_the_kinds_of_tasks_are_known() -> None:
    """Labels of metrics come from a small closed set."""
    found = set()
    for _, tree in files():
        for _, call in calls(tree):
            kept = call.args[1] if name_of(call) == "partial" and len(call.args) > 1 else None
            is_kept = name_of(call) in ("keep", "keep_until_done", "fell")
            first = call.args[0] if is_kept and call.args else None
            for word in (
                first,
                kept if kept is not None and "keep" in ast.dump(call.args[0]) else None,
            ):
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    found.add(word.value)
    assert found == KINDS
