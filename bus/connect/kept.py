"""Wrap the sink of a store that keeps no positions, so that lanes can deliver to it.

Where a lane stands, its receipt and how far its rows are masked the bus keeps in its own database
(:mod:`bus.connect.keeping`). A delivery is handed over while its lane is held there, and only from
where that stands: a second owner waits, and is turned away. Then the position moves. A process
that dies between the two hands the delivery over again: *at least once*. ``delivery.token`` tells
a receiver that has it already; if what comes first in the log was cut otherwise after the crash,
the same events come under another token, and their versions tell.

What a view loses the store cannot give up by itself: it is noted as a task for a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from bus.connect.applied_view import AppliedView, insist_on_view, is_behind, retraction
from bus.connect.keeping import Keeper, LaneTurn, StoredLane
from bus.connect.port import Capabilities, Sink
from bus.connect.position import insist_on_position
from bus.errors import FenceBehind, SinkUnavailable
from bus.failpoints import Point, passed
from bus.model import (
    Applied,
    Checkpoint,
    Delivery,
    Erasures,
    LaneName,
    Mark,
    ProtectionChange,
    Reached,
    Rewrites,
    View,
    content_of,
    knows,
)


class BusKept:
    """One store's sink, together with the state that the bus keeps for it."""

    def __init__(self, sink: Sink, system: str, keeper: Keeper) -> None:
        self._sink = sink
        self._system = system
        self._keeper = keeper
        self._view: View | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The sink's own deliveries; the bus keeps positions and notes what persons must remove."""
        own = self._sink.capabilities
        return Capabilities(
            accepts=own.accepts, kept_by_bus=self, reshapes=self, readable=own.readable
        )

    async def open(self, view: View) -> None:
        kept = await self._keeper.kept(self._lane(view, 0))
        if is_behind(kept.standing, view):
            lost = retraction(kept.standing, view)
            is_owed = self._sink.capabilities.reshapes is None
            stream, standing = view.stream, AppliedView.of(view)
            await self._keeper.stand(self._system, stream, standing, lost, is_owed=is_owed)
        await self._sink.open(view)
        self._view = view

    async def apply(self, delivery: Delivery) -> Applied:
        view, content = self._need_open(), content_of(delivery)
        async with self._keeper.turn(self._lane(view, delivery.partition)) as turn:
            kept = turn.kept
            insist_on_view(kept.standing, delivery.view)
            insist_on_position(kept.checkpoint, delivery)
            _insist_on_fence(kept.reached, delivery)
            has_effect = isinstance(content, Erasures) or content.records.num_rows > 0
            rows = 0
            if has_effect:
                rows = (await turn.hand_over(lambda: self._sink.apply(content))).rows
            passed(Point.LANE_HANDED)
            applied_at = await self._moved(turn, delivery)
        return Applied(rows, applied_at)

    async def close(self) -> None:
        self._view = None
        try:
            await self._sink.close()
        finally:
            await self._keeper.close()

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        return (await self.kept(partition)).checkpoint

    async def kept(self, partition: int) -> StoredLane:
        """The state of one partition of the open stream."""
        return await self._keeper.kept(self._lane(self._need_open(), partition))

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        marks = await self._keeper.marks(self._system)
        return {(lane.stream, lane.partition): mark for lane, mark in marks.items()}

    async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
        """Forget the lanes, and note what a person has to remove from the store."""
        own = self._sink.capabilities.reshapes
        if own is not None:
            await own.withdraw(granted, edition)
        return await self._keeper.withdraw(self._system, granted, edition, is_owed=own is None)

    async def _moved(self, turn: LaneTurn, delivery: Delivery) -> datetime:
        reached = turn.kept.reached
        if isinstance(delivery, ProtectionChange):
            reached = {**reached, **delivery.protected.as_of}
        return await turn.move(delivery, reached, _masked(turn.kept.masked, delivery))

    def _need_open(self) -> View:
        if self._view is None:
            raise SinkUnavailable("the store is not open")
        return self._view

    def _lane(self, view: View, partition: int) -> LaneName:
        return LaneName(self._system, view.stream, partition)


def _insist_on_fence(reached: Reached, delivery: Delivery) -> None:
    """Refuse rows masked under older coverage than the lane's, and older coverage than its own."""
    content = content_of(delivery)
    is_old = isinstance(delivery, ProtectionChange) and not knows(delivery.protected.as_of, reached)
    if delivery.view.is_fenced and not isinstance(content, Erasures) and content.records.num_rows:
        is_old = is_old or not knows(content.masked_under or {}, reached)
    if is_old:
        raise FenceBehind(
            "the lane's rows are masked under newer coverage than these",
            stream=delivery.view.stream,
            partition=delivery.partition,
        )


def _masked(before: frozenset[str], delivery: Delivery) -> frozenset[str]:
    """The keys of the rows that are flagged as protected after *delivery*."""
    content, flag = content_of(delivery), delivery.view.flag_column
    if not delivery.view.is_fenced or flag is None:
        return before
    if isinstance(content, Erasures):
        return before - set(content.keys)
    records = content.records
    gone = set(content.keys) if isinstance(content, Rewrites) else set[str]()
    if before:
        gone |= set(_keys(records))
    flagged = records.filter(pc.equal(records.column(flag), pa.scalar(value=True)))
    return before - gone | set(_keys(flagged))


def _keys(records: pa.RecordBatch) -> list[str]:
    codes = records.column("municipality_code").to_pylist()
    subjects = records.column("subject_id").to_pylist()
    return [f"{code}/{subject}" for code, subject in zip(codes, subjects, strict=True)]
