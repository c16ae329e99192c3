"""``python -m tests.mutants [name …]``: take each piece out, and see whether a test misses it."""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.mutants.judge import Judged, Verdict, judge, passing
from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS
from tests.mutants.tree import TooLong, Tree, copied

HERE = Path(__file__).parents[2]
PER_TEST = 60
"""Seconds that a test may take on the tree as it is, on the average."""


def main() -> int:
    """Exits 1 where a piece is not missed, and 64 where a name is not in the table."""
    asked = _arguments()
    unknown = set(asked.name) - {mutant.name for mutant in MUTANTS}
    if unknown:
        print(f"not in the table: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 64
    chosen = [mutant for mutant in MUTANTS if not asked.name or mutant.name in asked.name]
    if asked.without_engines:
        chosen = [mutant for mutant in chosen if not mutant.on_engines]
    if asked.list:
        for mutant in chosen:
            engines = "  (engines)" if mutant.on_engines else ""
            print(f"{mutant.name}{engines}\n    {mutant.promise} [{mutant.where}]")
        return 0
    found = []
    for number, judged in enumerate(_judged(chosen, asked.jobs), 1):
        found.append(judged)
        print(
            f"[{number}/{len(chosen)}] {judged.verdict:<14} {judged.mutant.name}"
            f"  {judged.seconds:.0f} s  {judged.said}",
            file=sys.stderr if asked.json else sys.stdout, flush=True,
        )  # fmt: skip
    missed = [each for each in found if each.verdict is not Verdict.CAUGHT]
    if asked.json:
        print(json.dumps([_document(each) for each in found], indent=2))
    else:
        print(f"{len(found) - len(missed)} of {len(found)} are caught.")
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__)
    parser.add_argument("name", nargs="*", help="entries of the table; all of them by default")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the tree at work at once")
    parser.add_argument("--json", action="store_true", help="what became of each, as JSON")
    parser.add_argument("--list", action="store_true", help="only show what is in the table")
    parser.add_argument("--without-engines", action="store_true", help="leave out what needs them")
    return parser.parse_args()


def _document(judged: Judged) -> dict[str, object]:
    return {
        "name": judged.mutant.name,
        "promise": judged.mutant.promise,
        "where": judged.mutant.where,
        "verdict": str(judged.verdict),
        "said": judged.said,
        "seconds": round(judged.seconds, 1),
    }


def _judged(chosen: Sequence[Mutant], jobs: int) -> Iterator[Judged]:
    """Each as soon as it is judged."""
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    if not tests:
        return
    with ExitStack() as stack:
        trees = [stack.enter_context(copied(HERE)) for _ in range(max(1, jobs))]
        if not all(tree.imports_itself() for tree in trees):
            raise SystemExit("what would be imported is not the copy of the tree")
        print(f"{len(tests)} tests on the tree as it is …", file=sys.stderr, flush=True)
        try:
            green, printed = passing(trees[0], tests, PER_TEST * (2 + len(tests)))
        except TooLong:
            raise SystemExit("the tests do not end on the tree as it is") from None
        if len(green) < len(tests):
            print(printed, file=sys.stderr)
        yield from _in_turn(chosen, trees, green)


def _in_turn(chosen: Sequence[Mutant], trees: Sequence[Tree], green: set[str]) -> Iterator[Judged]:
    """Each copy takes the next that nobody has taken."""
    todo: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    done: queue.SimpleQueue[Judged | BaseException] = queue.SimpleQueue()
    for mutant in chosen:
        todo.put(mutant)

    def work(tree: Tree) -> None:
        while True:
            try:
                done.put(judge(tree, todo.get_nowait(), green))
            except queue.Empty:
                return
            except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
                done.put(error)
                return

    threads = [threading.Thread(target=work, args=(tree,), daemon=True) for tree in trees]
    for thread in threads:
        thread.start()
    for _ in chosen:
        judged = done.get()
        if isinstance(judged, BaseException):
            raise judged
        yield judged


def _ended(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.umask(0o077)
    signal.signal(signal.SIGTERM, _ended)  # what runs in the copies ends as well
    sys.exit(main())
