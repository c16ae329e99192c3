"""The name of a lane, by which positions, receipts and exceptions are kept."""

from __future__ import annotations

from typing import NamedTuple


class LaneName(NamedTuple):
    """A lane's name: (system, stream, partition)."""

    system: str
    stream: str
    partition: int
