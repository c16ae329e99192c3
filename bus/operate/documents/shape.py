"""Documents: for each value that is shown, one shape for machines, with a name and a version.

The same shape stands behind ``--json`` and behind any page. Keys are added within a version; one
that goes, or means something else, is the next version (``tests/unit/operate/test_documents.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeVar

V = TypeVar("V")
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a kind of value looks like: a name, and the version of its keys."""

    name: str
    version: int = 1


SHAPES: dict[type, Shape] = {}
"""Of every kind of value that has a document."""


@singledispatch
def of(value: object) -> Document:
    """The document of *value*.

    Raises:
        TypeError: Its kind has none.
    """
    raise TypeError(f"there is no document of a {type(value).__name__}")


def shaped(
    kind: type[V], name: str, version: int = 1
) -> Callable[[Callable[[V], Document]], Callable[[V], Document]]:
    """Say that what follows makes the document of *kind*."""

    def register(make: Callable[[V], Document]) -> Callable[[V], Document]:
        SHAPES[kind] = Shape(name, version)
        of.register(kind, make)
        return make

    return register
