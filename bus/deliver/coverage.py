"""What one lane tells its store of who is covered, and whether the store claims to know more.

A store refuses rows that were masked under less than it was told (RK-408), and they are masked
anew. Where it says more than there is to know, that would go on for ever, and whoever asks
whether it was told would be content for ever. So its word is held against the logs' ends, which
are asked for after it was heard: what lies beyond them was forged, or is of a time that the logs
do not have. A broker that has just taken over may say less for a moment than was there, so it is
looked for a while.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bus.control.fence import Fence
from bus.deliver.context import LaneContext
from bus.deliver.retrier import Retrier
from bus.errors import StoreForged
from bus.model import Protected, Reached
from bus.sealing import Proofs

WAIT = timedelta(seconds=30)
"""How long a store may be ahead of the logs."""


class Coverage:
    """What one lane tells its store of who is covered; *goes_along*: with every delivery."""

    def __init__(
        self,
        context: LaneContext,
        retrier: Retrier,
        fence: Fence,
        proofs: Proofs,
        *,
        goes_along: bool,
    ) -> None:
        self._context = context
        self._retrier = retrier
        self._fence = fence
        self._proofs = proofs
        self._goes_along = goes_along

    async def by_now(self) -> Protected:
        """Who is covered now, sealed for a store."""
        key = (await self._retrier.persist(self._proofs.ring)).current
        return await self._retrier.persist(lambda: self._fence.sealed_by_now(key))

    async def along(self) -> Protected | None:
        """Who is covered, for every delivery; None except for lanes of the protection stream."""
        return await self.by_now() if self._goes_along else None

    def ahead_check(self) -> AheadCheck:
        """A new check of whether the store is ahead of the logs."""
        return AheadCheck(self._context, self._fence)


class AheadCheck:
    """Since when one lane's store has claimed to be ahead of the logs."""

    def __init__(self, context: LaneContext, fence: Fence) -> None:
        self._context = context
        self._fence = fence
        self._since: datetime | None = None

    async def insist(self, reached: Reached) -> None:
        """Check that *reached* is not beyond the logs' ends, or has not been for long.

        Raises:
            StoreForged: It has been further for too long.
            Unavailable: Broker or registry does not answer.
        """
        beyond = await self._fence.beyond(reached)
        if not beyond:
            self._since = None
            return
        now = self._context.now()
        self._since = self._since or now
        self._context.log.warning("store-ahead", count=len(beyond))
        if now - self._since >= WAIT:
            raise StoreForged(
                "the store says of coverage more than the logs have that it rests on",
                **self._context.where,
                table="renkei_fence",
            )
