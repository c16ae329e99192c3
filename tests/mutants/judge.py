"""Whether a piece that is taken out is missed."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.mutants.mutant import Mutant
from tests.mutants.tree import Outcome, TooLong, Tree, of_test

BROKEN = {
    "ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "NameError",
    "UnboundLocalError",
}  # fmt: skip
"""Errors of a text that is no program: nothing was taken out, something was broken."""


class Verdict(StrEnum):
    CAUGHT = "caught"  # each named test failed, and passes with the piece
    SURVIVED = "survived"  # a named test passed without the piece
    NOT_APPLIED = "does not apply"  # the text is not there, or more than once
    RED = "red without"  # a named test does not pass on the tree as it is
    BROKEN = "broken"  # what is left cannot be imported, or a test did not run
    TOO_LONG = "too long"  # tests did not end in their time


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one entry."""

    mutant: Mutant
    verdict: Verdict
    said: str = ""
    """Which test, or by which error it was caught."""
    seconds: float = 0.0


def passing(tree: Tree, tests: Sequence[str], seconds: float) -> tuple[set[str], str]:
    """Those of the tests that pass on the tree as it is, and what pytest printed."""
    outcomes, printed = tree.run(tests, seconds)
    found = set()
    for test in tests:
        ended = of_test(outcomes, test)
        if any(each.outcome == "passed" for each in ended) and not any(
            each.outcome == "failed" for each in ended
        ):
            found.add(test)
    return found, printed


def judge(tree: Tree, mutant: Mutant, green: Collection[str]) -> Judged:
    """Take one piece out of the tree and run what is named for it."""
    begun = time.monotonic()
    if not mutant.applies(tree.folder):
        return Judged(mutant, Verdict.NOT_APPLIED, mutant.file)
    if red := [test for test in mutant.tests if test not in green]:
        return Judged(mutant, Verdict.RED, ", ".join(red))
    try:
        with tree.without(mutant):
            outcomes, _ = tree.run(mutant.tests, mutant.seconds)
    except TooLong:
        verdict, said = Verdict.TOO_LONG, f"{mutant.seconds} s"
    else:
        verdict, said = _verdict(mutant.tests, outcomes)
    return Judged(mutant, verdict, said, time.monotonic() - begun)


def _verdict(tests: Sequence[str], outcomes: Sequence[Outcome]) -> tuple[Verdict, str]:
    said = ""
    for test in tests:
        ended = of_test(outcomes, test)
        failed = [each for each in ended if each.outcome == "failed"]
        if not failed:
            if any(each.outcome == "passed" for each in ended):
                return Verdict.SURVIVED, test
            return Verdict.BROKEN, f"{test} did not run"
        first = failed[0]
        if first.error in BROKEN:
            return Verdict.BROKEN, f"{first.error}: {first.said}"
        if first.said.startswith("Timeout"):
            return Verdict.TOO_LONG, test
        said = said or f"{first.error}: {first.said}"
    return Verdict.CAUGHT, said
