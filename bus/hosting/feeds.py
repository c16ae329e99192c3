"""What a system may have: streams, each with view, reader and store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, timezone

from bus.catalog.decoding import BatchReader
from bus.connect import Sink
from bus.model import View

JAPAN = timezone(timedelta(hours=9))  # where a subscription's day begins and ends


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream for one system: its view, topic, reader and the maker of its sink."""

    view: View
    topic: str
    reader: BatchReader
    sink: Callable[[], Sink]
    expires_on: date | None = None
    """The last day on which the subscription lets this stream out."""


Withdraw = Callable[[], Awaitable[Sequence[str]]]
"""Takes away what a system's store holds of streams that it may no longer have; which they were."""
