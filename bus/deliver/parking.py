"""Set events of a lane aside, durably, before its position moves past them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bus.control.parked import ParkedIndex
from bus.deliver.context import LaneContext
from bus.deliver.retrier import Retrier
from bus.deliver.rows import Rows
from bus.deliver.waiting import look
from bus.errors import BusError
from bus.failpoints import Point, passed
from bus.log.run import Run, subject_of
from bus.model import ExceptionState, ParkedEvent

_NAMED = 10  # most events of one batch that get a line of their own


class Parking:
    """Sets one lane's events aside, and records it."""

    def __init__(self, context: LaneContext, retrier: Retrier, parked: ParkedIndex) -> None:
        self._context = context
        self._retrier = retrier
        self._parked = parked
        self.set_aside = parked.lane(context.name)

    async def park(self, events: Sequence[ParkedEvent]) -> None:
        """Set these events aside with a reason; those that are set aside already stay so."""
        known = self.set_aside
        fresh = [e for e in events if known.at(e.subject, e.offset) is None]
        if not fresh:
            return
        await self.record(fresh)
        self._context.metrics.parked(*self._context.labels, len(fresh))
        passed(Point.LANE_PARKED)
        for event in fresh[:_NAMED]:
            self._context.log.warning("event-parked", code=event.code, offset=event.offset)
        if len(fresh) > _NAMED:
            self._context.log.warning("events-parked", events=len(fresh))

    async def without_waiting(self, rows: Rows) -> Rows:
        """*rows* without those that wait behind an event of their subject that is set aside."""
        context = self._context
        found = look(rows, context.view, self.set_aside, self._reference, context.now())
        if found is None:
            return rows
        if found.events:
            await self.record(found.events)
        if found.superseded:
            context.log.info("parked-overtaken", events=found.superseded)
        return rows.without(found.is_held) if any(found.is_held) else rows

    async def supersede(self, erasures: Run) -> None:
        """Close what is set aside of these subjects, before their erasure."""
        now = self._context.now()
        superseded = [
            replace(event, state=ExceptionState.SUPERSEDED, at=now)
            for key, offset in zip(erasures.keys, erasures.offsets, strict=True)
            for event in self.set_aside.of(subject_of(key))
            if event.offset < offset
        ]
        if superseded:
            await self.record(superseded)

    async def record(self, events: Sequence[ParkedEvent]) -> None:
        """Make the states of *events* durable; repeated while broker or registry is away."""
        await self._retrier.persist(lambda: self._parked.record(events))

    def refused(
        self, key: bytes | None, offset: int, found: str | None, error: BusError
    ) -> ParkedEvent:
        """The exception of an event that cannot be applied; *found* is its id, if readable."""
        return self._reference(subject_of(key), offset, found, ExceptionState.PARKED, error.code)

    def _reference(
        self, subject: str, offset: int, found: str | None, state: ExceptionState, code: str
    ) -> ParkedEvent:
        now = self._context.now()
        return ParkedEvent(
            system=self._context.view.system,
            stream=self._context.view.stream,
            partition=self._context.place[1],
            offset=offset,
            subject=subject,
            event_id=found,
            state=state,
            code=code,
            attempts=1 if state is ExceptionState.PARKED else 0,
            at=now,
            since=now,
        )
