"""The matrix of systems and streams: who provides, who receives, and how."""

from __future__ import annotations

from collections.abc import Mapping

from bus.model import Stream, System, SystemKind
from bus.reference.sources import Sources
from bus.reference.visibility import PROVIDES, Sign, mark


def taking_part(sources: Sources) -> tuple[System, ...]:
    """The matrix's columns: the 17 standardised systems, and others that provide or receive."""
    return tuple(
        each
        for each in sources.systems.values()
        if each.kind is SystemKind.STANDARD
        or sources.provided(each.name)
        or sources.granted(each.name)
    )


def signs(stream: Stream, sources: Sources) -> Mapping[str, tuple[Sign, ...]]:
    """System -> the marks in its cell of the row of *stream*."""
    found: dict[str, tuple[Sign, ...]] = dict.fromkeys(stream.providers, (PROVIDES,))
    for name, grant in sources.receivers(stream.name).items():
        found[name] = (*found.get(name, ()), mark(stream, grant))
    return found
