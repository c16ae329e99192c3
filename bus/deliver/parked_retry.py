"""Try events again that were set aside, between two batches of their lane; the position stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus.broker import Broker
from bus.catalog.decoding import DecodedBatch
from bus.deliver.pipeline import Pipeline
from bus.deliver.retry_attempt import RetryAttempt
from bus.deliver.rows import Rows, event_id
from bus.errors import (
    BusError,
    PositionForeign,
    Reaction,
    Remedy,
    SchemaMismatch,
)
from bus.halving import Halves
from bus.log.readback import read_back
from bus.log.run import Run
from bus.model import ParkedEvent


class ParkedRetry:
    """Retries the events of one lane that were set aside."""

    def __init__(self, pipeline: Pipeline, broker: Broker) -> None:
        self._context = pipeline.context
        self._broker = broker
        self._set_aside = pipeline.set_aside
        self._retrier = pipeline.retrier
        self._projector = pipeline.projector
        self._applier = pipeline.applier
        self._parking = pipeline.parking
        self.is_postponed = False
        """Whether something is due that the lane has not come to yet."""

    async def try_due(self) -> None:
        """Try what is due again; events that the lane has not come to become due then."""
        set_aside, here = self._set_aside, self._applier.position.offset
        if contradicted := list(set_aside.contradicted.values()):
            await self._parking.record(contradicted)
        due = set_aside.due()
        ready = [s for s in due if (set_aside.first(s) or 0) < here]
        self.is_postponed = len(ready) < len(due)
        if ready:
            await self._try(ready)

    async def _try(self, subjects: Sequence[str]) -> None:
        """Try what is set aside of *subjects* again, in log order.

        What fails is parked again, and what waits behind it goes on waiting. An event that is
        gone from the log is superseded by its subject's newest one: by applying that here, or
        because the lane has yet to come to it.
        """
        context = self._context
        events = {event.offset: event for s in subjects for event in self._set_aside.of(s)}
        wanted = {offset: event.subject for offset, event in events.items()}
        back = await self._retrier.persist(lambda: read_back(self._broker, context.place, wanted))
        attempt = RetryAttempt(events, back, self._applier.position.offset)
        run = attempt.run()
        while run.offsets:
            seen = await self._projector.see(run, refuse=(SchemaMismatch,))
            if seen.stop is not None:
                offset, error = seen.stop
                if error.remedy is not Remedy.LEAVE_PARKED:
                    raise context.stuck(offset, error)
                at = run.offsets.index(offset)  # of one that was set aside already
                attempt.fail(run.keys[at], offset, error)
                run = run.picked([n for n in range(len(run)) if n != at])
                continue
            self._check_same(run, seen.readable, events)
            for index, refused in seen.readable.refused:
                attempt.fail(run.keys[index], run.offsets[index], refused)
            attempt.left_out(set(run.offsets) - set(seen.rows.offsets))
            if len(seen.leaving):
                await self._applier.erase(
                    context.no_rows, self._applier.position, seen.leaving.keys
                )
            await self._apply(seen.rows, attempt)
            break
        await self._applier.settle()
        await self._parking.record(self._said(attempt))
        context.log.info("parked-tried-again", events=len(events), failed=len(attempt.failed))

    def _said(self, attempt: RetryAttempt) -> list[ParkedEvent]:
        """The new state of each event; a failure is left out if the event was closed meanwhile."""
        still = self._set_aside
        return [
            event
            for event in attempt.outcome(self._context.now())
            if not event.is_open or still.at(event.subject, event.offset) is not None
        ]

    async def _apply(self, rows: Rows, attempt: RetryAttempt) -> None:
        halves = Halves(rows, Rows.part)
        for piece in halves:
            if attempt.failed:
                failed = [
                    attempt.is_behind_failure(key, offset)
                    for key, offset in zip(piece.keys, piece.offsets, strict=True)
                ]
                piece = piece.without(failed) if any(failed) else piece
            if not len(piece):
                continue
            try:
                await self._applier.move(piece, self._applier.position)
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if not halves.halve(piece):
                    attempt.fail(piece.keys[0], piece.offsets[0], error)

    def _check_same(
        self, run: Run, readable: DecodedBatch, events: Mapping[int, ParkedEvent]
    ) -> None:
        for row, index in enumerate(readable.good):
            event = events.get(run.offsets[index])
            if event is None or event.event_id is None or readable.records is None:
                continue
            if event_id(readable.records, row) != event.event_id:
                foreign = PositionForeign(
                    "the log holds another event where one was parked",
                    **self._context.where,
                    offset=event.offset,
                )
                raise self._context.stuck(event.offset, foreign)
