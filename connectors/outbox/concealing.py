"""Hide 個人番号 in an outbox once a change was sent or refused.

A change that was sent has left, and nobody needs its content any more: where a record of it is of a
stream that is sealed, its records are taken out when it is marked. What stays is the journal: that
it was sent, when, and whom it was about.

A change that was refused may hold a number where none belongs: in another stream's item, under a
name that is none, in another script. So the whole change is sealed, with the keys that seal the
stream, if a record of it is of a sealed stream or of none that is known, or if anything in it
reads as a 個人番号 (twelve digits with their check digit, whatever stands between them). It is
opened when it was put back and a relay takes it. Where the site has no keys the content is taken
out, and the reasons say so: such a change cannot be put back, and has to be handed in again.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bus.model import Change, Fault
from bus.model.number import is_individual_number
from bus.sealing import Seals
from bus.sealing.texts import belongings, key_id_of, seal, unseal

_NUMBER = re.compile(r"(?<!\d)\d(?:[\s\-‐-―−ー・.,]?\d){11}(?!\d)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACE = "renkei.outbox_refused"

TAKEN_OUT = Fault(
    code="taken-out",
    expected="the change again, handed in anew: what must be sealed was taken out, as the relay has"
    " no keys",
)


class ContentState(StrEnum):
    """The ways to keep the content of a refused change."""

    PLAIN = "plain"  # as it is: nothing in it need be sealed
    SEALED = "sealed"
    LACKING = "lacking"  # taken out: there are no keys
    UNREAD = "unread"  # as it is: too large to be looked into


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept of a refused change."""

    kept: ContentState
    sealed: str | None = None


class Concealer:
    """Knows which items are restricted, and seals them. One for all outboxes of a process.

    Args:
        sealed: The streams that have an item which is sealed.
        known: All streams that may be published; none: whatever is named is taken for one.
    """

    def __init__(
        self,
        seals: Seals | None = None,
        sealed: Collection[str] = (),
        known: Collection[str] = (),
    ) -> None:
        self._seals = seals or Seals()
        self._sealed = frozenset(sealed)
        self._known = frozenset(known)

    def is_restricted(self, change: Change) -> bool:
        """Whether a change that was sent has items that may not stay in the outbox."""
        return any(record.stream in self._sealed for record in change.records)

    def must_hide(self, text: str) -> bool:
        """Whether a refused change may hold a 個人番号; one that cannot be read may."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return True
        return self._is_of_a_sealed_stream(value) or any(map(_is_number, _words(value)))

    async def content(self, text: str, change_id: str) -> Content:
        """What is kept of a refused change.

        Raises:
            KeysUnusable, KeysUnavailable: There should be keys, and they cannot be had.
        """
        if not self.must_hide(text):
            return Content(ContentState.PLAIN)
        if not self._seals.has_source:
            return Content(ContentState.LACKING)
        ring = await self._seals.ring()
        return Content(ContentState.SEALED, seal([text], _belongs(change_id), ring.current)[0])

    async def opened(self, sealed: str, change_id: str) -> str:
        """The text of a change that was sealed.

        Raises:
            SealKeyUnknown, SealBroken: It does not open.
            KeysUnusable, KeysUnavailable: There are no keys, or they cannot be had.
        """
        named = key_id_of(sealed)
        ring = await self._seals.ring(() if named is None else (named,))
        return unseal([sealed], _belongs(change_id), ring)[0] or ""

    def _is_of_a_sealed_stream(self, value: Any) -> bool:
        records = value.get("records") if isinstance(value, dict) else None
        for record in records if isinstance(records, list) else ():
            stream = record.get("stream") if isinstance(record, dict) else None
            is_known = isinstance(stream, str) and (not self._known or stream in self._known)
            if not is_known or stream in self._sealed:
                return True
        return False


def _words(value: Any) -> Iterator[str]:
    """Every name, text and number in a JSON value."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
        elif isinstance(found, str):
            yield found
        elif isinstance(found, int) and 10**10 <= abs(found) < 10**12:
            yield f"{abs(found):012d}"


def _is_number(word: str) -> bool:
    if len(word) < 12 or _UUID.fullmatch(word):
        return False
    plain = unicodedata.normalize("NFKC", word)
    return any(
        is_individual_number("".join(str(int(sign)) for sign in found[0] if sign.isdecimal()))
        for found in _NUMBER.finditer(plain)
    )


def _belongs(change_id: str) -> list[bytes]:
    return belongings(_PLACE, "change", [change_id], [""])
