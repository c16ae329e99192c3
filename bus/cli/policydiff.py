"""``renkei subscriptions diff``: in words, which system gains or loses what, and on what ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bus.app import configured
from bus.cli.output import Json, out, show_json
from bus.model import MaskKind, in_header
from bus.operate import applying, documents
from bus.operate.applying import AccessChange, ColumnShown, Difference

Old = Annotated[Path, typer.Argument(help="A folder of subscriptions, or one file, as it was.")]
New = Annotated[Path, typer.Argument(help="The same as it is to be.")]
_KIND = {
    AccessChange.GAINED: "gains the stream",
    AccessChange.LOST: "loses the stream",
    AccessChange.CHANGED: "goes on receiving",
}


def diff(old: Old, new: New, as_json: Json = False) -> None:
    """Say what changes from OLD to NEW: which system gains or loses which items of which stream.

    Of two folders a system that the second does not have loses everything; if one of them is a
    file, only its system is compared. Both must be without faults. Streams and names are those of
    the schemas in use.
    """
    catalog = configured.catalog(configured.settings())
    found = applying.difference(old, new, catalog)
    if as_json:
        show_json(documents.listed(found))
        return
    if not found:
        out().print("nothing changes")
    for line in (line for each in found for line in words(each)):
        out().print(line, markup=False)


def words(difference: Difference) -> Iterator[str]:
    """A difference in lines of words, for whoever approves it."""
    system = f"{difference.system} ({difference.system_ja})"
    stream = f"{difference.stream} ({difference.stream_ja})"
    yield f"{system} {_KIND[difference.kind]} {stream}"
    yield f"  ground   {difference.ground}"
    yield f"  purpose  {difference.purpose}"
    yield from _columns("gains", difference.gained)
    yield from _columns("loses", difference.lost)
    for change in difference.masks:
        before, after = _mask(change.before), _mask(change.after)
        yield f"  mask     {change.path} ({change.ja}): {before} -> {after}"
    for verb, names in (
        ("gains", difference.event_types_gained),
        ("loses", difference.event_types_lost),
    ):
        if names:
            yield f"  {verb}    events {', '.join(names)}"
    for condition in difference.conditions_gone:
        yield f"  rows     no longer only where {condition}"
    for condition in difference.conditions_new:
        yield f"  rows     only where {condition}"
    for name, pair in (("suppression", difference.suppression), ("mode", difference.mode)):
        if pair is not None:
            yield f"  {name}: {pair[0].value} -> {pair[1].value}"
    for term in difference.terms:
        yield f"  {term.name}: {term.before or '–'} -> {term.after or '–'}"
    if difference.needs_rebuild:
        yield "  needs a rebuild: what the system holds is to be filled anew"
    if difference.removes:
        yield f"  leaves what the system holds: {', '.join(difference.removes)}"


def _columns(verb: str, columns: Sequence[ColumnShown]) -> Iterator[str]:
    for column in columns:
        if not in_header(column.path):
            mask = "" if column.mask is None else f", masked: {column.mask.value}"
            yield f"  {verb}    {column.path} ({column.ja}), {column.sensitivity.value}{mask}"


def _mask(kind: MaskKind | None) -> str:
    return "none" if kind is None else kind.value
