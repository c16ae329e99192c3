"""Documents: the JSON of each value that is shown, with a name and a version.

The same shape stands behind ``--json`` and behind any page. Keys are added within a version; one
that goes, or means something else, is the next version (``tests/unit/operate/test_documents.py``).

What is shown by itself says which it is: ``"document": "anchor/1"``, its first key. A list is a
list of such documents, and what stands inside another says nothing, for the outer one does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import singledispatch, wraps
from typing import Any, ParamSpec, TypeVar, cast

V = TypeVar("V")
P = ParamSpec("P")
Document = dict[str, Any]
D = TypeVar("D", bound=Document | list[Document])

KEY = "document"
"""The key under which a document says which it is."""
_OF_KINDS = ("lanes", "ledger", "owed", "parked", "persons", "policy", "provisions")
"""The modules that have documents of kinds of values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The name of a document's form, and the version of its keys."""

    name: str
    version: int = 1

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


SHAPES: dict[type, Shape] = {}
"""Of every kind of value that has a document; all of them once :func:`known` was asked."""


@singledispatch
def of(value: object) -> Document:
    """The document of *value*, as a part of another document.

    Raises:
        TypeError: Its kind has none.
    """
    known()
    make = of.dispatch(type(value))
    if make is of.dispatch(object):
        raise TypeError(f"there is no document of a {type(value).__name__}")
    return make(value)


def known() -> dict[type, Shape]:
    """The shapes of all documents."""
    for name in _OF_KINDS:
        importlib.import_module(f"bus.operate.documents.{name}")
    return SHAPES


def shown(value: object) -> Document:
    """The document of *value*, as a whole.

    Raises:
        TypeError: Its kind has none.
    """
    document = of(value)
    return _said(SHAPES[next(kind for kind in type(value).mro() if kind in SHAPES)], document)


def listed(values: Iterable[object]) -> list[Document]:
    """The documents of *values*, as a whole."""
    return [shown(value) for value in values]


def shaped(
    kind: type[V], name: str, version: int = 1
) -> Callable[[Callable[[V], Document]], Callable[[V], Document]]:
    """Decorate the function that makes the document of *kind*."""

    def register(make: Callable[[V], Document]) -> Callable[[V], Document]:
        SHAPES[kind] = Shape(name, version)
        of.register(kind, make)
        return make

    return register


def named(name: str, version: int = 1) -> Callable[[Callable[P, D]], Callable[P, D]]:
    """Decorate a function that makes a document, or a list of them, of this name."""
    shape = Shape(name, version)

    def register(make: Callable[P, D]) -> Callable[P, D]:
        @wraps(make)
        def say(*args: P.args, **more: P.kwargs) -> D:
            made: Any = make(*args, **more)
            if isinstance(made, list):
                made = [_said(shape, each) for each in made]
            else:
                made = _said(shape, made)
            return cast("D", made)

        return say

    return register


def _said(shape: Shape, document: Document) -> Document:
    return {KEY: str(shape), **document}
