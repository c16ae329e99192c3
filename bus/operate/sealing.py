"""Count what is sealed in the log, by stream and key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus.app.keys import seals
from bus.operate.key_usage import KeyUsage, sealed_in
from bus.operate.session import Session


async def sealed(session: Session) -> list[KeyUsage]:
    """The sealed values in every topic, by stream and key.

    Raises:
        KeysUnusable, Unavailable: There are no keys, or something does not answer.
    """
    keys, found = seals(session.settings), list[KeyUsage]()
    cluster = await session.broker()
    for stream in session.catalog.streams.values():
        if stream.sealed:
            reader = await session.reader(stream.name)
            found += await sealed_in(cluster, stream, reader, keys)
    return found


@dataclass(frozen=True, slots=True)
class SealKeyUse:
    """The sealed values of a stream under one key, and whether the key is still needed."""

    sealed: KeyUsage
    is_there: bool  # the key is known here
    is_current: bool

    @property
    def opens(self) -> bool:
        """Whether all of it can be opened."""
        return self.sealed.opened >= self.sealed.values

    @property
    def may_be_retired(self) -> bool:
        """Whether nothing needs the key any more."""
        return self.is_there and not self.is_current and not self.sealed.values


@dataclass(frozen=True, slots=True)
class KeyUses:
    """The sealed values in the log, by stream and key."""

    uses: Sequence[SealKeyUse]

    @property
    def all_open(self) -> bool:
        """Whether there is nothing that cannot be opened."""
        return all(use.opens for use in self.uses)


async def key_uses(session: Session) -> KeyUses:
    """The sealed values in the log, by stream and key.

    Raises:
        KeysUnusable, Unavailable: There are no keys, or something does not answer.
    """
    ring = await seals(session.settings).ring()
    return KeyUses(
        [
            SealKeyUse(each, each.key in ring.keys, each.key == ring.current.id)
            for each in await sealed(session)
        ]
    )
