"""Long-lived work is kept by ``bus.observe.tasks``; what else begins tasks or threads ends by
itself and has somebody who waits for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from tests.architecture.source import name_of, tree_of

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

_HOST = "tests/unit/hosting/test_tasks.py"
_EACH = f"{_HOST}::test_what_is_killed_is_seen_and_begun_again"
_PAUSE = f"{_HOST}::test_a_pause_that_is_killed_is_kept_all_the_same"
_PUBLISH = "tests/unit/publish"
KINDS = {
    "again": f"{_HOST}::test_a_lane_that_cannot_be_opened_again_is_opened_later",
    "agreement": f"{_PUBLISH}/test_agreement.py::test_one_that_is_killed_is_seen_and_begun_again",
    "deliverers": "tests/unit/app/test_deliverers.py"
    "::test_one_that_is_killed_is_seen_and_begun_again",
    "delivery": _EACH,
    "follower": _EACH,
    "lane": _EACH,
    "lookout": f"{_PUBLISH}/test_source_watch.py::test_one_that_is_killed_is_seen_and_begun_again",
    "monitor": "tests/integration/monitor/test_monitor.py"
    "::test_a_part_that_is_killed_is_seen_and_begun_again",
    "offsets": _EACH,
    "overdue": _EACH,
    "pages": f"{_HOST}::test_pages_that_are_killed_are_served_again",
    "pause": _PAUSE,
    "progress": f"{_HOST}::test_progress_that_is_killed_is_shown_again",
    "receipts": _EACH,
    "relay": f"{_PUBLISH}/test_runner.py::test_whatever_ends_it_is_said_and_it_is_begun_again",
    "release": _PAUSE,
    "store-watch": _EACH,
    "switch": f"{_HOST}::test_a_switch_that_is_killed_is_done_all_the_same",
    "withdrawal": f"{_HOST}::test_a_withdrawal_that_is_killed_is_done_all_the_same",
    "words": _EACH,
}
"""Every kind of task, a value of the metrics' label: the test that kills it from inside."""


def calls(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Every call, and the function of a module or class that it stands in."""
    for node in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside:
            name = node.name
        if isinstance(node, ast.Call):
            yield inside, node
        yield from calls(node, name)


def files() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("bus", "connectors"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if path != KEEPER and not path.startswith(NO_PROCESS):
                yield path, tree_of(file)


def test_what_begins_tasks_elsewhere_is_short_lived() -> None:
    """A new one is kept by ``Tasks.keep``, or stands in the list with its reason."""
    found = {
        (path, inside)
        for path, tree in files()
        for inside, call in calls(tree)
        if name_of(call.func) in BEGIN
    }
    assert found == set(SHORT_LIVED)


def test_the_kinds_of_tasks_are_known() -> None:
    """Labels of metrics come from a small closed set."""
    found = set()
    for _, tree in files():
        for _, call in calls(tree):
            kept = call.args[1] if name_of(call.func) == "partial" and len(call.args) > 1 else None
            is_kept = name_of(call.func) in ("keep", "keep_until_done", "fell")
            first = call.args[0] if is_kept and call.args else None
            for word in (
                first,
                kept if kept is not None and "keep" in ast.dump(call.args[0]) else None,
            ):
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    found.add(word.value)
    assert found == set(KINDS)


def test_every_kind_is_killed_by_a_test() -> None:
    """The test is there, and sees the kind fall: by its name, or by its table's."""
    unkilled = {kind: test for kind, test in KINDS.items() if kind not in fallen_in(test)}
    assert unkilled == {}


def fallen_in(test: str) -> set[str]:
    """The kinds that a test says to have fallen, itself or by what it is parametrised with."""
    path, _, name = test.partition("::")
    module = tree_of(ROOT / path)
    (found,) = (
        each
        for each in module.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == name
    )
    used = {each.id for mark in found.decorator_list for each in ast.walk(mark) if is_name(each)}
    tables = [
        each.value.keys
        for each in module.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Dict)
        if used & {target.id for target in each.targets if is_name(target)}
    ]
    read = [found, *(key for keys in tables for key in keys if key is not None)]
    texts = (
        each.value for part in read for each in ast.walk(part) if isinstance(each, ast.Constant)
    )
    assert {"ill", "fallen"} & {name_of(each) for each in ast.walk(found)}, f"{test} looks at none"
    return {text.partition(" ")[0] for text in texts if isinstance(text, str)}


def is_name(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name)
