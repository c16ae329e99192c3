"""``python -m tests.mutants`` tells a piece that is missed from one that is not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.judge import Verdict, judge, passing
from tests.mutants.mutant import Mutant
from tests.mutants.tree import Tree, copied

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
TESTS = """
import time, pytest
from bus.adding import add, wait

@pytest.mark.parametrize("one", [0, 1])
def test_sum(one):
    assert add(one, 2) == one + 2

def test_nothing():
    assert add(0, 0) == 0

def test_end():
    wait()

def test_red():
    assert add(1, 1) == 3

def test_told():
    assert "postgresql://renkei:tr0ub4dor@127.0.0.1:5432/renkei" == add("", "")
"""
ADDING = "def add(one, two):\n    return one + two\n\ndef wait():\n    return\n"
SUM, NOTHING, END, RED, TOLD = (
    f"tests/test_adding.py::test_{name}" for name in ("sum", "nothing", "end", "red", "told")
)
TAKEN = Mutant(
    name="sum", promise="", where="", file="bus/adding.py", old="one + two", new="one - two",
    tests=(SUM,), seconds=60,
)  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A copy of a small tree, with the product in one file and its tests in another."""
    folder = tmp_path_factory.mktemp("small")
    for package in ("bus", "connectors", "tests"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("")
    (folder / "bus" / "adding.py").write_text(ADDING)
    (folder / "tests" / "test_adding.py").write_text(TESTS)
    shutil.copytree(ROOT / "tests" / "mutants", folder / "tests" / "mutants")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    with copied(folder) as copy:
        yield copy
    assert (folder / "bus" / "adding.py").read_text() == ADDING


@pytest.fixture(scope="module")
def green(tree: Tree) -> set[str]:
    """The tests that pass on it as it is."""
    found, _ = passing(tree, [SUM, NOTHING, END, RED], 60)
    return found


def test_it_is_the_copy_that_is_tried(tree: Tree, green: set[str]) -> None:
    """And the tests pass on it before anything is taken out."""
    assert tree.imports_itself()
    assert green == {SUM, NOTHING, END}


def test_no_password_is_told(tree: Tree) -> None:
    """Of the engines' address, neither by what a failing test prints nor by the line about it."""
    outcomes, printed = tree.run([TOLD], 60)

    assert "postgresql://renkei:…@127.0.0.1" in printed
    assert "tr0ub4dor" not in printed + "".join(each.said for each in outcomes)


@pytest.mark.parametrize(
    ("mutant", "verdict"),
    [
        (TAKEN, Verdict.CAUGHT),
        (replace(TAKEN, tests=(SUM, NOTHING)), Verdict.SURVIVED),
        (replace(TAKEN, old="one * two"), Verdict.NOT_APPLIED),
        (replace(TAKEN, old="one"), Verdict.NOT_APPLIED),
        (replace(TAKEN, tests=(RED,)), Verdict.RED),
        (replace(TAKEN, new="one - too"), Verdict.BROKEN),
        (
            replace(
                TAKEN,
                old="    return\n",
                new="    while True: pass\n",
                tests=(END,),
                seconds=2,
            ),
            Verdict.TOO_LONG,
        ),
    ],
)
def test_what_becomes_of_it(tree: Tree, green: set[str], mutant: Mutant, verdict: Verdict) -> None:
    """What cannot be imported is not caught, and what does not end is not either."""
    judged = judge(tree, mutant, green)

    assert judged.verdict is verdict, judged.said
    assert (tree.folder / "bus" / "adding.py").read_text() == ADDING
