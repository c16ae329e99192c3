"""Who left a household lately, together or one after the other: a move in several words.

A household that moves as a whole may be left by all before the other one lists them. In between
somebody who is covered for living with a protected person is in no household, and nothing says
whether they still live together. So those who left the same household stay together until the
next one has them, for as long as a move may be notified: fourteen days (住民基本台帳法 22 to 24),
by the log's own time, from when the last of them left; and whoever left up to fourteen days before
is one of them, if by a word of their own. Who left while the others stayed has left alone; so has
who left again after coming back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Set
from operator import itemgetter

from bus.model.protection import LOOKED_BACK, STAY

_STAY_MS = int(STAY.total_seconds() * 1_000)
_LOOKED_BACK_MS = int(LOOKED_BACK.total_seconds() * 1_000)


class Moves:
    """Those who left together, by person; all are whole numbers."""

    def __init__(self) -> None:
        self._of: dict[int, list[frozenset[int]]] = {}
        self._by_age: list[tuple[int, frozenset[int]]] = []  # oldest first
        self._left: dict[int, dict[int, int]] = {}  # by household: who left it, and when
        self._left_by_age: list[tuple[int, int]] = []  # when, and which household; oldest first
        self._newest = 0

    @property
    def since_ms(self) -> int:
        """From what was said before nothing follows any more."""
        return self._newest - _LOOKED_BACK_MS

    def hear(self, at_ms: int) -> None:
        """Something was appended to one of the logs then."""
        self._newest = max(self._newest, at_ms)

    def back(self, home: int, members: Collection[int]) -> None:
        """These are members of a household now: whoever had left it has come back."""
        if left := self._left.get(home):
            for person in members:
                left.pop(person, None)

    def left(self, home: int, persons: Collection[int], at_ms: int) -> None:
        """These left a household by one word of it, which was appended then."""
        if not persons:
            return
        party = frozenset({*persons, *self._earlier(home, at_ms)})
        self._left.setdefault(home, {}).update(dict.fromkeys(persons, at_ms))
        insort(self._left_by_age, (at_ms, home))
        if len(party) < 2:
            return
        insort(self._by_age, (at_ms, party), key=itemgetter(0))
        for person in party:
            self._of.setdefault(person, []).append(party)

    def _earlier(self, home: int, at_ms: int) -> list[int]:
        """Who left a household by words of its own, lately as seen from then."""
        left = self._left.get(home, {})
        return [person for person, then in left.items() if at_ms - then <= _STAY_MS]

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
        many = bisect_left(self._left_by_age, self.since_ms, key=itemgetter(0))
        old = self._left_by_age[:many]
        del self._left_by_age[:many]
        for home in {home for _, home in old}:
            left = self._left.pop(home, {})
            if lately := {person: at for person, at in left.items() if at >= self.since_ms}:
                self._left[home] = lately
        many = bisect_left(self._by_age, self._newest - _STAY_MS, key=itemgetter(0))
        if not many:
            return gone
        past, self._by_age = self._by_age[:many], self._by_age[many:]
        for _, party in past:
            gone |= party
            for person in party:
                parties = self._of[person]
                parties.remove(party)
                if not parties:
                    del self._of[person]
        return gone
