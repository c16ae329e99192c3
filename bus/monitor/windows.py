"""Throughput in tumbling windows of one minute, per system and stream. Pure arithmetic.

A receipt belongs to the minute in which its rows became durable, by the store's clock
(``applied_at``), not to the minute in which it was read: so windows come out the same however
often, and however late, the receipts are read. A receipt that a crash sent twice counts once. One
that belongs before the oldest minute kept is counted as late and otherwise left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MINUTE = 60
KEEP_MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptTimes:
    """The fields of one receipt that the monitor needs. Times are seconds since 1970."""

    system: str
    stream: str
    partition: int
    end: int
    rows: int
    chain: str
    applied_at: float  # by the store's clock
    told_at: float  # when the log took the receipt
    is_replay: bool


@dataclass(slots=True)
class Window:
    """The counts of one minute, system and stream."""

    rows: int = 0
    batches: int = 0
    latest: float = 0.0  # applied_at of the last batch
    delay: float = 0.0  # sum over batches: from applied to told, at least 0
    delay_most: float = 0.0

    @property
    def delay_mean(self) -> float:
        """Mean seconds from applying to when the log took the receipt."""
        return self.delay / self.batches if self.batches else 0.0


Lane = tuple[str, str, int]


@dataclass
class Windows:
    """The last *keep* minutes that had receipts, by system and stream."""

    keep: int = KEEP_MINUTES
    late: int = 0
    _minutes: dict[int, dict[tuple[str, str], Window]] = field(default_factory=dict)
    _last: dict[Lane, str] = field(default_factory=dict)
    _newest: int = 0

    def add(self, seen: ReceiptTimes) -> bool:
        """Count a receipt; False if it was counted before or is too late."""
        lane = (seen.system, seen.stream, seen.partition)
        if self._last.get(lane) == seen.chain:
            return False
        self._last[lane] = seen.chain
        minute = minute_of(seen.applied_at)
        if minute <= self._newest - self.keep * MINUTE:
            self.late += 1
            return False
        if minute > self._newest:
            self._newest = minute
            for old in [m for m in self._minutes if m <= minute - self.keep * MINUTE]:
                del self._minutes[old]
        windows = self._minutes.setdefault(minute, {})
        window = windows.setdefault((seen.system, seen.stream), Window())
        delay = max(seen.told_at - seen.applied_at, 0.0)
        window.rows += seen.rows
        window.batches += 1
        window.latest = max(window.latest, seen.applied_at)
        window.delay += delay
        window.delay_most = max(window.delay_most, delay)
        return True

    def at(self, minute: int) -> dict[tuple[str, str], Window]:
        """The windows of one minute by system and stream; empty if nothing was applied in it."""
        return self._minutes.get(minute, {})

    def last(self, count: int) -> Iterator[tuple[int, str, str, Window]]:
        """The windows of the last *count* minutes up to the newest, in order."""
        for minute in sorted(self._minutes):
            if minute > self._newest - count * MINUTE:
                for (system, stream), window in sorted(self._minutes[minute].items()):
                    yield minute, system, stream, window


def minute_of(seconds: float) -> int:
    """The start of the minute in which a time lies, in seconds since 1970."""
    return int(seconds // MINUTE) * MINUTE
