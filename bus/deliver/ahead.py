"""Whether a store says of coverage more than the logs have that it rests on.

A store refuses rows that were masked under less than it was told (RK-408), and they are masked
anew. Where it says more than there is to know, that would go on for ever, and whoever asks
whether it was told would be content for ever. So its word is held against the logs' ends, which
are asked for after it was heard: what lies beyond them was forged, or is of a time that the logs
do not have. A broker that has just taken over may say less for a moment than was there, so it is
looked for a while.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bus.deliver.kit import Kit
from bus.errors import StoreForged
from bus.model import Reached

WAIT = timedelta(seconds=30)
"""How long a store may be ahead of the logs."""


class Ahead:
    """One lane's; since when its store has been ahead."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._since: datetime | None = None

    async def insist(self, reached: Reached) -> None:
        """*reached* is no further than the logs, or has not been for long.

        Raises:
            StoreForged: It has been further for too long.
            Unavailable: Broker or registry does not answer.
        """
        kit = self._kit
        beyond = await kit.shared.fence.beyond(reached)
        if not beyond:
            self._since = None
            return
        now = kit.now()
        self._since = self._since or now
        kit.log.warning("store-ahead", count=len(beyond))
        if now - self._since >= WAIT:
            raise StoreForged(
                "the store says of coverage more than the logs have that it rests on",
                **kit.where,
                table="renkei_fence",
            )
