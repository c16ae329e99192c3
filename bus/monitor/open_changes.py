"""Changes that not every system that should have them has passed yet. Pure.

Known are, per lane, how far its system has got (``end`` of its newest receipt), and, of the tail
of each stream's log, which change each event belongs to. An event is open while some expected
system's lane has not passed it; a change is open while one of its events is.

What this does not know: an event that was parked in a system counts as passed there, because the
lane goes on; the ledger and ``renkei parked`` tell of those. A lane whose position nobody has told
counts as standing at the beginning. Tails are bounded: where one was cut, counts are lower bounds
and :attr:`OpenChanges.is_at_least` says so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

MOST_TAIL = 20_000  # events remembered of one partition
StreamPartition = tuple[str, int]


@dataclass(slots=True)
class _Tail:
    """The events of one partition that are remembered, ascending; parallel lists, for bisection."""

    offsets: list[int] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    next: int = 0  # the offset after the last event known
    cut: int = 0  # events below this offset are not remembered

    def oldest(self, end: int) -> float | None:
        """When the first remembered event at *end* or later came; None if none is remembered."""
        at = bisect_left(self.offsets, end)
        is_known = at < len(self.offsets) and end >= self.cut
        return self.times[at] if is_known else None


class OpenChanges:
    """Knows which changes are open, from what was appended and how far lanes are.

    Args:
        expected: Stream -> systems that should have all its events.
    """

    def __init__(
        self, expected: Mapping[str, Collection[str]], *, most_tail: int = MOST_TAIL
    ) -> None:
        self._expected = {stream: frozenset(systems) for stream, systems in expected.items()}
        self._most_tail = most_tail
        self._ends: dict[StreamPartition, dict[str, int]] = {}
        self._tails: dict[StreamPartition, _Tail] = {}
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many changes are open."""
        return len(self._open)

    @property
    def is_at_least(self) -> bool:
        """Whether :attr:`count` is only a lower bound."""
        return any(tail.cut > self._passed(place) for place, tail in self._tails.items())

    def moved(self, stream: str, partition: int, system: str, end: int) -> None:
        """Note that a system's lane has passed everything before *end*; may also go back."""
        place = (stream, partition)
        self._ends.setdefault(place, {})[system] = end
        self._settle(place)

    def appended(
        self, stream: str, partition: int, events: Iterable[tuple[int, str, float]], next_: int
    ) -> None:
        """Note events of a log, ascending (offset, change, time), and its next offset."""
        place = (stream, partition)
        tail = self._tails.setdefault(place, _Tail())
        for event in events:
            if event[0] >= tail.next:
                tail.offsets.append(event[0])
                tail.changes.append(event[1])
                tail.times.append(event[2])
                self._open[event[1]] += 1
        tail.next = max(tail.next, next_)
        self._settle(place)
        self._forget(tail, len(tail.offsets) - self._most_tail)

    def skipped(self, stream: str, partition: int, before: int) -> None:
        """Note that the log before that offset will not be read."""
        tail = self._tails.setdefault((stream, partition), _Tail())
        tail.cut = max(tail.cut, before)
        tail.next = max(tail.next, before)

    def behind(self) -> dict[tuple[str, str], tuple[int, float | None]]:
        """By system and stream: how many offsets are not passed, and when the oldest came.

        The time is None where nothing is open, or the oldest open event was forgotten.
        """
        found: dict[tuple[str, str], tuple[int, float | None]] = {}
        for stream, systems in self._expected.items():
            for system in sorted(systems):
                offsets, oldest = 0, None
                for place, tail in self._tails.items():
                    if place[0] != stream:
                        continue
                    end = self._ends.get(place, {}).get(system, 0)
                    if end >= tail.next:
                        continue
                    offsets += tail.next - end
                    first = tail.oldest(end)
                    if first is not None:
                        oldest = first if oldest is None else min(oldest, first)
                found[system, stream] = (offsets, oldest)
        return found

    def _passed(self, place: StreamPartition) -> int:
        """The offset before which every system that should have the stream has passed."""
        systems = self._expected.get(place[0], frozenset())
        ends = self._ends.get(place, {})
        if not systems:
            tail = self._tails.get(place)
            return tail.next if tail is not None else 0
        return min(ends.get(system, 0) for system in systems)

    def _settle(self, place: StreamPartition) -> None:
        tail = self._tails.get(place)
        if tail is None:
            return
        self._forget(tail, bisect_left(tail.offsets, self._passed(place)))

    def _forget(self, tail: _Tail, count: int) -> None:
        """Drop the *count* oldest events of a tail; none if it is not positive."""
        if count <= 0:
            return
        tail.cut = tail.offsets[count - 1] + 1
        for change in tail.changes[:count]:
            self._open[change] -= 1
            if not self._open[change]:
                del self._open[change]
        del tail.offsets[:count], tail.changes[:count], tail.times[:count]
