"""Every error that the bus has."""

from __future__ import annotations

from collections.abc import Iterator

from bus.errors import BusError


def classes(root: type[BusError] = BusError) -> Iterator[type[BusError]]:
    """The root and everything below it."""
    yield root
    for child in root.__subclasses__():
        yield from classes(child)
