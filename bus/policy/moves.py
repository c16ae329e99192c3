"""Who left a household together, lately: a move in two words.

A household that moves as a whole may be left by all before the other one lists them. In between
somebody who is covered for living with a protected person is in no household, and nothing says
whether they still live together. So those who left by one word of their household stay together
until the next household has them, for as long as a move may be notified: fourteen days
(住民基本台帳法 22 to 24), by the log's own time. Whoever left alone has left.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Set
from datetime import timedelta
from operator import itemgetter

STAY = timedelta(days=14)
"""How long whoever left together may be in no household. Shorter than what logs keep before they
are compacted, so that a process that starts later finds the same."""
_STAY_MS = int(STAY.total_seconds() * 1_000)


class Moves:
    """Those who left together, by person; all are whole numbers."""

    def __init__(self) -> None:
        self._of: dict[int, list[frozenset[int]]] = {}
        self._by_age: list[tuple[int, frozenset[int]]] = []  # oldest first
        self._newest = 0

    def hear(self, at_ms: int) -> None:
        """Something was appended to one of the logs then."""
        self._newest = max(self._newest, at_ms)

    def left(self, persons: Collection[int], at_ms: int) -> None:
        """These left a household by one word of it, which was appended then."""
        if len(persons) < 2:
            return
        party = frozenset(persons)
        insort(self._by_age, (at_ms, party), key=itemgetter(0))
        for person in party:
            self._of.setdefault(person, []).append(party)

    def beside(self, person: int) -> Iterator[int]:
        """Whoever left a household together with *person*."""
        for party in self._of.get(person, ()):
            yield from party

    def concerns(self, persons: Collection[int], covered: Set[int]) -> bool:
        """Whether one of *persons* left together with somebody *covered*."""
        return any(
            not covered.isdisjoint(party)
            for person in persons
            for party in self._of.get(person, ())
        )

    def forget(self) -> set[int]:
        """Forget what is too long ago; of whom."""
        gone: set[int] = set()
        many = bisect_left(self._by_age, self._newest - _STAY_MS, key=itemgetter(0))
        past, self._by_age = self._by_age[:many], self._by_age[many:]
        for _, party in past:
            gone |= party
            for person in party:
                parties = self._of[person]
                parties.remove(party)
                if not parties:
                    del self._of[person]
        return gone
