"""The files are read whatever garbage the tests before have left."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import tree_of


class Litter:
    """Garbage whose finalizer parses, as one does that formats a traceback."""

    made = 0

    def __init__(self) -> None:
        self._itself = self

    def __del__(self) -> None:
        Litter.made += 1
        ast.parse("left + behind")


@pytest.fixture
def eager() -> Iterator[None]:
    """A collector that runs all the time."""
    before = gc.get_threshold()
    gc.set_threshold(20)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("eager")
def test_garbage_of_others_does_not_disturb() -> None:
    """On a Python before 3.11.5 the same without :func:`tree_of` is a SystemError."""
    for _ in range(10):
        litter = [Litter() for _ in range(10)]
        del litter
        tree = tree_of(Path(__file__))
        assert any(isinstance(node, ast.ClassDef) for node in tree.body)

    gc.collect()
    assert Litter.made
