"""Try events that were set aside again, between two batches of their lane; the position stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus.catalog.reading import Readable
from bus.deliver.pipeline import Pipeline
from bus.deliver.rows import Rows, event_id
from bus.deliver.trial import Trial
from bus.errors import (
    BusError,
    PositionForeign,
    Reaction,
    SchemaMismatch,
    SealBroken,
    SealKeyUnknown,
)
from bus.halving import Halves
from bus.log.readback import read_back
from bus.log.run import Run
from bus.model import ParkedEvent


class Replay:
    """One lane's further tries."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._kit = pipeline.kit
        self._patience = pipeline.patience
        self._viewer = pipeline.viewer
        self._mover = pipeline.mover
        self._aside = pipeline.parking
        self.is_postponed = False
        """Whether something is due that the lane has not come to yet."""

    async def try_due(self) -> None:
        """Try again what is due; what the lane has not come to yet becomes due when it has."""
        set_aside, here = self._kit.set_aside, self._mover.position.offset
        if contradicted := list(set_aside.contradicted.values()):
            await self._aside.record(contradicted)
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
        kit = self._kit
        events = {event.offset: event for s in subjects for event in kit.set_aside.of(s)}
        wanted = {offset: event.subject for offset, event in events.items()}
        back = await self._patience.persist(lambda: read_back(kit.shared.broker, kit.place, wanted))
        trial = Trial(events, back, self._mover.position.offset)
        run = trial.run()
        while run.offsets:
            seen = await self._viewer.see(run, refuse=(SchemaMismatch,))
            if seen.stop is not None:
                offset, error = seen.stop
                if not isinstance(error, SealBroken | SealKeyUnknown):
                    raise error
                at = run.offsets.index(offset)  # of one that was set aside already
                trial.fail(run.keys[at], offset, error)
                run = run.picked([n for n in range(len(run)) if n != at])
                continue
            self._check_same(run, seen.readable, events)
            for index, refused in seen.readable.refused:
                trial.fail(run.keys[index], run.offsets[index], refused)
            trial.left_out(set(run.offsets) - set(seen.rows.offsets))
            if len(seen.leaving):
                await self._mover.erase(kit.no_rows, self._mover.position, seen.leaving.keys)
            await self._apply(seen.rows, trial)
            break
        await self._mover.settle()
        await self._aside.record(self._said(trial))
        kit.log.info("parked-tried-again", events=len(events), failed=len(trial.failed))

    def _said(self, trial: Trial) -> list[ParkedEvent]:
        """What became of each; not that it failed, of what was closed while it was tried."""
        still = self._kit.set_aside
        return [
            event
            for event in trial.outcome(self._kit.now())
            if not event.is_open or still.at(event.subject, event.offset) is not None
        ]

    async def _apply(self, rows: Rows, trial: Trial) -> None:
        halves = Halves(rows, Rows.part)
        for piece in halves:
            if trial.failed:
                failed = [
                    trial.is_behind_failure(key, offset)
                    for key, offset in zip(piece.keys, piece.offsets, strict=True)
                ]
                piece = piece.without(failed) if any(failed) else piece
            if not len(piece):
                continue
            try:
                await self._mover.move(piece, self._mover.position)
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if not halves.halve(piece):
                    trial.fail(piece.keys[0], piece.offsets[0], error)

    def _check_same(self, run: Run, readable: Readable, events: Mapping[int, ParkedEvent]) -> None:
        for row, index in enumerate(readable.good):
            event = events.get(run.offsets[index])
            if event is None or event.event_id is None or readable.records is None:
                continue
            if event_id(readable.records, row) != event.event_id:
                raise PositionForeign(
                    "the log holds another event where one was parked",
                    **self._kit.where,
                    offset=event.offset,
                )
