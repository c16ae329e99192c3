"""Compare the versions of a stream."""

from __future__ import annotations

from collections.abc import Iterator

from bus.model import SchemaVersion, Stream
from bus.reference.leaves import leaves_of


def added_and_taken(stream: Stream) -> Iterator[tuple[SchemaVersion, list[str], list[str]]]:
    """Each version, oldest first, with the items that it added and those that it removed."""
    before: dict[str, object] = {}
    for version in stream.versions:
        now = leaves_of(version.schema)
        added = [path for path in now if path not in before]
        taken = [path for path in before if path not in now]
        yield version, added, taken
        before = dict(now)
