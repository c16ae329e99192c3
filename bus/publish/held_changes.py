"""Hold back changes that cannot be published now, and those that must not overtake them.

A change with an item that is sealed (個人番号) cannot go while there are no keys to seal with. That
is no change's fault and ends only when somebody sets the keys, so such a change is neither refused
nor does it hold up the others: it stays where it is, and with it whatever comes behind it of the
same subjects. Everything else goes on. Once the keys can be had, all is taken again, in order.

Protection is the exception, both ways. A change that is nothing but protection waits behind no
number of the same person: it goes on, as long as its versions allow. Where a protection itself has
to wait, because it is part of such a change, nothing behind it goes: who lives with that person
must not be shown meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import monotonic
from typing import Protocol

from bus.connect.source import Holds, Refusal
from bus.errors import BusError, KeysUnavailable, KeysUnusable
from bus.model import PROTECTION, Change, event_key
from bus.sealing import Seals

MOST_HELD = 10_000
"""Above so many nothing more is taken: what is held is remembered."""


class Gate(Protocol):
    """Says which changes need something that may be lacking, such as keys."""

    def needs(self, change: Change) -> bool:
        """Whether the change cannot be published without it."""

    async def lacking(self) -> BusError | None:
        """The error for which it cannot be had; None if it can."""

    async def spoils_refusals(self) -> BusError | None:
        """The error for which refused changes cannot be settled either; None if they can."""


class KeyGate:
    """Holds back changes with sealed items while the keys that seal cannot be had.

    Args:
        sealed: The streams that have an item which is sealed.
    """

    def __init__(self, seals: Seals, sealed: Collection[str]) -> None:
        self._seals = seals
        self._sealed = frozenset(sealed)

    def needs(self, change: Change) -> bool:
        """Whether any stream of the change has an item that is sealed."""
        return any(record.stream in self._sealed for record in change.records)

    async def lacking(self) -> BusError | None:
        """The error for which there are no keys; None if there are."""
        try:
            await self._seals.ring()
        except (KeysUnusable, KeysUnavailable) as error:
            return error
        return None

    async def spoils_refusals(self) -> BusError | None:
        """Where there should be keys, a refused change is sealed with them; where there are none,
        its content is taken out."""
        return await self.lacking() if self._seals.has_source else None


class HeldChanges:
    """The changes of one source that are held back in this term.

    Args:
        again_after: Seconds after which what is lacking is asked for again.
    """

    def __init__(self, source: Holds, gate: Gate, again_after: float) -> None:
        self._source = source
        self._gate = gate
        self._again_after = again_after
        self._ask_at = 0.0
        self._places: set[int] = set()
        self._subjects: set[str] = set()
        self._keys: set[tuple[str, str]] = set()  # stream and subject of each record
        self._is_shut = False  # a protection waits
        self.error: BusError | None = None
        """Why; None while nothing is held."""

    def __len__(self) -> int:
        return len(self._places)

    @property
    def is_full(self) -> bool:
        """Whether so many are held that no more may be taken."""
        return self._is_shut or len(self._places) >= MOST_HELD

    async def ask_again(self) -> None:
        """Release all held changes if what was lacking can be had by now."""
        if self.error is None or monotonic() < self._ask_at:
            return
        self._ask_at = monotonic() + self._again_after
        error = await self._gate.lacking()
        if error is None:
            self._places, self._subjects, self._keys = set(), set(), set()
            self._is_shut = False
            self._source.hold(())
        self.error = error

    async def without(self, changes: Sequence[tuple[int, Change]]) -> list[tuple[int, Change]]:
        """The changes that can be published; the others are held from now on."""
        if self.error is None:
            if not any(self._gate.needs(change) for _, change in changes):
                return list(changes)
            self.error = await self._gate.lacking()
            self._ask_at = monotonic() + self._again_after
            if self.error is None:
                return list(changes)
        going = []
        for place, change in changes:
            if self._is_shut or self._gate.needs(change) or self._is_behind(change):
                self._hold(place, change)
            else:
                going.append((place, change))
        self._source.hold(self._places)
        return going

    async def without_refusals(
        self, refused: Sequence[Refusal], changes: Sequence[tuple[int, Change]]
    ) -> list[Refusal]:
        """The refusals that can be settled; the changes of the others are held from now on."""
        error = await self._gate.spoils_refusals() if refused else None
        if error is None:
            return list(refused)
        self.error, self._ask_at = error, monotonic() + self._again_after
        by_place = dict(changes)
        for refusal in refused:
            if refusal.place in by_place:
                self._hold(refusal.place, by_place[refusal.place])
            else:
                self._places.add(refusal.place)
        self._source.hold(self._places)
        return []

    def _is_behind(self, change: Change) -> bool:
        """Whether the change would overtake a held one that it must not overtake."""
        keys = _keys_of(change)
        if all(stream == PROTECTION for stream, _ in keys):
            return not keys.isdisjoint(self._keys)
        return not {subject for _, subject in keys}.isdisjoint(self._subjects)

    def _hold(self, place: int, change: Change) -> None:
        keys = _keys_of(change)
        self._places.add(place)
        self._keys |= keys
        self._subjects |= {subject for _, subject in keys}
        self._is_shut |= any(stream == PROTECTION for stream, _ in keys)


def _keys_of(change: Change) -> set[tuple[str, str]]:
    """Stream and subject of each record."""
    return {
        (record.stream, event_key(change.municipality_code, record.subject_id))
        for record in change.records
    }
