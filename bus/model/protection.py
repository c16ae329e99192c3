"""Who is under protection (支援措置), as values for masking rows and for stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeAlias

PROTECTION = "protection"
"""The stream that says who is under protection."""
FLAG = "protected"
"""The item that says that a record's subject is under protection."""
HOUSEHOLD = "household_number"
"""The item by which whoever shares a protected person's household is found."""
STAY = timedelta(days=14)
"""How long whoever left a household together may be in none, and how far apart they may have left:
as long as a move may be notified (住民基本台帳法 22 to 24)."""
LOOKED_BACK = 2 * STAY
"""How old a record may be that somebody left by, and of which something may still follow. Logs keep
what is no older, and what it replaced, so that a process that starts later finds the same."""
Reached: TypeAlias = Mapping[str, int]
"""How far the logs are known that coverage rests on: ``<stream>/<partition>`` -> offset."""


def knows(known: Reached, as_of: Reached) -> bool:
    """Whether the offsets *known* are at or past those of *as_of*, in every log."""
    return all(known.get(log, 0) >= offset for log, offset in as_of.items())


@dataclass(frozen=True, slots=True)
class Protected:
    """The persons and households whose location may not be shown, as keys.

    Keys are ``<municipality_code>/<id>``: ``persons`` those under protection, those who share
    their address and whom they lead to, ``households`` the households that these live in.
    ``history`` says what that is known from and what was new when; it decides nothing about who
    is covered.
    """

    persons: frozenset[str] = frozenset()
    households: frozenset[str] = frozenset()
    as_of: Reached = field(default_factory=dict, compare=False)
    history: History | None = field(default=None, compare=False)
    seal: str = field(default="", compare=False)
    """Of who is covered, by a key of the site's: equal if the same are. Empty if not made."""

    def __bool__(self) -> bool:
        return bool(self.persons or self.households)

    def newly(self, known: Reached | None) -> Protected:
        """Whom a store has to look for that was told of coverage as of *known*.

        Everybody, if that is not known; perhaps some that are not new, but nobody new is left out.
        """
        history = self.history
        if known is None or history is None or not knows(known, history.begin):
            return self
        new = [change for change in history.changes if not knows(known, change.as_of)]
        return Protected(
            self.persons & frozenset().union(*(change.persons for change in new)),
            self.households & frozenset().union(*(change.households for change in new)),
            self.as_of,
        )

    def since(self, known: Reached, seal: str) -> Reached:
        """As of when a store knows coverage that was told *known*, with *seal*.

        Later than *known*, if the same persons were covered at the beginning of what is remembered,
        and all the time since for whoever knew as much as the store was told.
        """
        history = self.history
        if history is None or not seal or seal != history.seal or knows(known, history.begin):
            return known
        if history.rests_on is None or not knows(known, history.rests_on):
            return known
        return history.begin

    def may_release(self, known: Reached | None) -> bool:
        """Whether somebody who was covered as of *known*, or later, may be covered no longer."""
        return known is None or self.history is None or not knows(known, self.history.released)


@dataclass(frozen=True, slots=True)
class CoverageChange:
    """One change of who is covered: the persons and households that were added by it.

    ``as_of`` is how far all logs were known then, not only the one that brought it: whoever knows
    less of another may not have come to the same.
    """

    as_of: Reached
    persons: frozenset[str]
    households: frozenset[str]
    count: int = 1
    """How many it is, if several are remembered as one."""

    def and_then(self, later: CoverageChange) -> CoverageChange:
        """This and the next change as one, for stores that know less than the later one."""
        return CoverageChange(
            later.as_of,
            self.persons | later.persons,
            self.households | later.households,
            self.count + later.count,
        )


def fewer(changes: Sequence[CoverageChange], alike: int) -> list[CoverageChange]:
    """*changes*, oldest first, the oldest two of each size as one where more than *alike* have it.

    Called after each change, this forgets nothing: sizes double, so that a million changes are
    a dozen times *alike*, and whoever asks for those since some time is given a part in *alike*
    too many.
    """
    kept, size, end = list(changes), 1, len(changes)
    while True:
        first = end
        while first and kept[first - 1].count == size:
            first -= 1
        if end - first <= alike:
            return kept
        kept[first : first + 2] = [kept[first].and_then(kept[first + 1])]
        size, end = size * 2, first + 1


@dataclass(frozen=True, slots=True)
class History:
    """The past changes of who is covered, as far as they are remembered."""

    begin: Reached  # before that nothing is remembered of what was new
    changes: tuple[CoverageChange, ...]  # since, oldest first
    released: Reached  # as of which somebody was covered no longer, for the last time
    seal: str = ""  # of who was covered at the begin; empty if it was not made
    rests_on: Reached | None = None
    """How far the records go that say who was covered at the begin: whoever knew as much, and
    perhaps more, covered at least these. None if that is not known."""


ENDED = "ENDED"
"""The state of a case, and of a person whose last case has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One protection (申出) of a person: known by the person and the day that it began."""

    started_on: date
    status: str
    kind: str | None = None
    ends_on: date | None = None
    suppresses: frozenset[str] = frozenset()
    from_other_municipality: bool = False
    shared_with: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether it protects: until an event ends it, whatever the date."""
        return self.status != ENDED


@dataclass(frozen=True, slots=True)
class ToRestore:
    """The rows of a store that lost their locations and may have them again."""

    reached: Reached  # what the coverage was known from that the store applied last
    rows: Mapping[str, int]  # key of a row -> the version of it that the store holds
