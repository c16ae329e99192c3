"""Documents of what persons have to remove from stores by hand."""

from __future__ import annotations

from bus.ledger.keeper import Owed
from bus.operate.documents.shape import Document, named, of, shaped


@shaped(Owed, "owed")
def owed(value: Owed) -> Document:
    """Something that has to be removed from a store by hand."""
    lost = value.lost
    return {
        "number": value.number,
        "system": value.system,
        "stream": value.stream,
        "edition": value.edition,
        "everything": lost.everything,
        "columns": list(lost.columns),
        "event_types": sorted(lost.event_types),
        "since": value.since.isoformat(),
    }


@named("owed-settled")
def settled(value: Owed, *, is_dry: bool) -> Document:
    """Something that a person says was removed."""
    return {"settled": of(value), "is_dry": is_dry}
