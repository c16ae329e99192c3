"""The table of ``python -m tests.mutants`` holds of the tree as it is: it cannot rot unseen."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import tree_of
from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]
SUITES = ROOT / "bus" / "conformance"
"""Where tests that a class of ``tests/conformance`` inherits are written."""


@cache
def _tests_of(file: Path) -> frozenset[str]:
    """The tests that a file has, those of a class as ``Class::test``, and its classes."""
    found = set()
    for node in tree_of(file).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            found |= {f"{node.name}::{n.name}" for n in node.body if isinstance(n, functions)}
    return frozenset(found)


@cache
def _inherited() -> frozenset[str]:
    found = {test for file in SUITES.rglob("*.py") for test in _tests_of(file)}
    return frozenset(test.rpartition("::")[2] for test in found)


@cache
def _promises() -> frozenset[str]:
    """The numbers under "Promised"."""
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    promised = page.partition("## Promised")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^(\d+)\. \*\*", promised, flags=re.MULTILINE))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_an_entry_holds(mutant: Mutant) -> None:
    """What it takes out is there once; its tests, and the place of the promise, are there."""
    assert mutant.applies(ROOT), f"{mutant.file} has not once: {mutant.old}"
    assert mutant.old != mutant.new
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("[")[0].partition("::")
        assert (ROOT / file).is_file(), file
        is_inherited = name.partition("::")[2] in _inherited() and name.partition("::")[0] in (
            _tests_of(ROOT / file)
        )
        assert name in _tests_of(ROOT / file) or is_inherited, test
    document, _, place = mutant.where.partition(" ")
    text = (ROOT / document).read_text(encoding="utf-8")
    if document == "docs/delivery.md" and place[0].isdecimal():
        assert place in _promises()
    else:
        assert f"# {place}\n" in text, f"{document} has no heading {place}"


def test_names_are_unlike() -> None:
    """By which an entry is asked for."""
    names = [mutant.name for mutant in MUTANTS]

    assert len(set(names)) == len(names)


def test_every_promise_has_an_entry() -> None:
    """Whoever makes another promise says what keeps it, and which test would miss that."""
    named = {mutant.where.rpartition(" ")[2] for mutant in MUTANTS}

    assert not _promises() - named
