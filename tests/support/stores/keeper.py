"""What the bus keeps for stores, in a value of this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bus.connect import AppliedView, LaneTurn, Retraction, StoredLane
from bus.model import Applied, Checkpoint, Delivery, LaneName, Mark, Reached


@dataclass
class MemoryKeeper:
    """Kept by lane; what persons owe, in the order of its coming."""

    lanes: dict[LaneName, StoredLane] = field(default_factory=dict)
    standings: dict[tuple[str, str], AppliedView] = field(default_factory=dict)
    owed: list[tuple[str, str, Retraction]] = field(default_factory=list)
    held: defaultdict[LaneName, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    async def stand(
        self, system: str, stream: str, standing: AppliedView, lost: Retraction, *, is_owed: bool
    ) -> None:
        self.standings[system, stream] = standing
        if lost.everything:
            self._forget(system, stream)
        if lost and is_owed:
            self.owed.append((system, stream, lost))

    async def kept(self, lane: LaneName) -> StoredLane:
        standing = self.standings.get((lane.system, lane.stream))
        return replace(self.lanes.get(lane, StoredLane()), standing=standing)

    async def marks(self, system: str) -> Mapping[LaneName, Mark]:
        return {
            lane: Mark(kept.checkpoint.position.offset, kept.checkpoint.applied_at)
            for lane, kept in self.lanes.items()
            if lane.system == system and kept.checkpoint is not None
        }

    @asynccontextmanager
    async def turn(self, lane: LaneName) -> AsyncIterator[LaneTurn]:
        async with self.held[lane]:
            turn = _Turn(await self.kept(lane))
            yield turn
            self.lanes[lane] = turn.kept

    async def withdraw(
        self, system: str, granted: Collection[str], edition: int, *, is_owed: bool
    ) -> Sequence[str]:
        gone = [
            stream
            for (owner, stream), held in sorted(self.standings.items())
            if owner == system and stream not in granted
            if held.fingerprint and held.edition <= edition
        ]
        for stream in gone:
            self._forget(system, stream)
            self.standings[system, stream] = AppliedView.nothing(edition)
            if is_owed:
                self.owed.append((system, stream, Retraction(everything=True)))
        return gone

    async def close(self) -> None:
        """It is there for the next one."""

    def _forget(self, system: str, stream: str) -> None:
        for lane in [lane for lane in self.lanes if lane[:2] == (system, stream)]:
            del self.lanes[lane]


@dataclass
class _Turn:
    kept: StoredLane

    async def hand_over(self, send: Callable[[], Awaitable[Applied]]) -> Applied:
        return await send()

    async def move(self, delivery: Delivery, reached: Reached, masked: Collection[str]) -> datetime:
        before, now = self.kept.checkpoint, datetime.now(UTC)
        stays = before is not None and delivery.end.offset == delivery.start
        checkpoint = Checkpoint(
            position=before.position if before is not None and stays else delivery.end,
            receipt=delivery.receipt,
            applied_at=now,
            proof=delivery.proof,
        )
        self.kept = replace(
            self.kept, checkpoint=checkpoint, reached=reached, masked=frozenset(masked)
        )
        return now
