"""Who left which household lately, and with whom: a move may be told by several records.

A family that moves may leave its old household some days before the new one lists it. Until then
none of them is in a household, and no record says whether they still live together. So those who
left the same household count as living together until a household has them again, for as long as
a move may be notified: fourteen days (住民基本台帳法 22 to 24) by the log's own time, from the
record by which the last of them left. Whoever left by another record up to fourteen days before is
one of them. Who leaves while the others stay has left alone; so has whoever comes back and leaves
again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator
from operator import itemgetter

from bus.model.protection import LOOKED_BACK, STAY

_STAY_MS = int(STAY.total_seconds() * 1_000)
_LOOKED_BACK_MS = int(LOOKED_BACK.total_seconds() * 1_000)


class Departures:
    """Who left a household lately, by person. Persons and households are whole numbers."""

    def __init__(self) -> None:
        self._parties_of: dict[int, list[frozenset[int]]] = {}
        self._parties_by_age: list[tuple[int, frozenset[int]]] = []  # oldest first
        self._left: dict[int, dict[int, int]] = {}  # by household: who left it, and when
        self._left_by_age: list[tuple[int, int]] = []  # when, and which household; oldest first
        self._newest = 0

    @property
    def horizon_ms(self) -> int:
        """Records appended before this time (ms since 1970) can no longer be part of a move."""
        return self._newest - _LOOKED_BACK_MS

    @property
    def homes(self) -> list[int]:
        """The households that somebody left lately."""
        return list(self._left)

    def advance(self, at_ms: int) -> None:
        """Tell that a record was appended at *at_ms*: the logs' own time goes on, never back."""
        self._newest = max(self._newest, at_ms)

    def returned(self, home: int, members: Collection[int]) -> None:
        """Forget that any of *members* had left the household *home*: they are in it again."""
        if left := self._left.get(home):
            for person in members:
                left.pop(person, None)

    def left(self, home: int, persons: Collection[int], at_ms: int) -> None:
        """Note that *persons* left *home* by one record, which was appended at *at_ms*."""
        if not persons:
            return
        party = frozenset({*persons, *self._left_before(home, at_ms)})
        self._left.setdefault(home, {}).update(dict.fromkeys(persons, at_ms))
        insort(self._left_by_age, (at_ms, home))
        if len(party) < 2:
            return
        insort(self._parties_by_age, (at_ms, party), key=itemgetter(0))
        for person in party:
            self._parties_of.setdefault(person, []).append(party)

    def _left_before(self, home: int, at_ms: int) -> list[int]:
        """Who left *home* by other records in the fourteen days before *at_ms*."""
        left = self._left.get(home, {})
        return [person for person, then in left.items() if at_ms - then <= _STAY_MS]

    def left_with(self, person: int) -> Iterator[int]:
        """Everybody who left a household together with *person*, who is among them."""
        for party in self._parties_of.get(person, ()):
            yield from party

    def expire(self) -> set[int]:
        """Forget departures that are too long ago, and return whom they concerned."""
        gone: set[int] = set()
        many = bisect_left(self._left_by_age, self.horizon_ms, key=itemgetter(0))
        old = self._left_by_age[:many]
        del self._left_by_age[:many]
        for home in {home for _, home in old}:
            left = self._left.pop(home, {})
            if lately := {person: at for person, at in left.items() if at >= self.horizon_ms}:
                self._left[home] = lately
        many = bisect_left(self._parties_by_age, self._newest - _STAY_MS, key=itemgetter(0))
        if not many:
            return gone
        past, self._parties_by_age = self._parties_by_age[:many], self._parties_by_age[many:]
        for _, party in past:
            gone |= party
            for person in party:
                parties = self._parties_of[person]
                parties.remove(party)
                if not parties:
                    del self._parties_of[person]
        return gone
