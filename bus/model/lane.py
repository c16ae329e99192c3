"""Which lane: what positions, receipts and what is set aside are kept by."""

from __future__ import annotations

from typing import NamedTuple


class LaneName(NamedTuple):
    """Which lane: (system, stream, partition)."""

    system: str
    stream: str
    partition: int
