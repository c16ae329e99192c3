"""The way from bytes into the store: decode, fence, view, set aside, apply.

A lane carries what it is fed, a rebuild what it reads of the log; what is tried again or restored
goes through the same parts. A pipeline knows where its partition stands in the store, and nothing
of who feeds it, of groups, or of when a lane begins and ends.

An event that cannot be applied is found by halving, and its exception is durable before the
position moves past it (:mod:`bus.deliver.parking`). Erasures are steps of their own.
"""

from __future__ import annotations

from contextlib import nullcontext

from bus.catalog.decoding import BatchReader, DecodedBatch
from bus.control.parked import SetAside
from bus.deliver.applier import Applier
from bus.deliver.context import LARGE, LaneContext, PartitionConsumer
from bus.deliver.coverage import Coverage
from bus.deliver.parking import Parking
from bus.deliver.process import ProcessContext
from bus.deliver.projector import Projector
from bus.deliver.receipting import ReceiptIssuer
from bus.deliver.retrier import Retrier
from bus.deliver.rows import Rows, event_id
from bus.deliver.shared_sink import SharedSink
from bus.errors import BusError, Reaction
from bus.halving import Halves
from bus.log.run import Run, split_erasures, subject_of
from bus.model import Checkpoint, Position
from bus.model.receipt import NO_PREVIOUS


class Pipeline:
    """The parts of one partition's way into one store, in their order."""

    def __init__(
        self,
        context: LaneContext,
        sink: SharedSink,
        reader: BatchReader,
        consumer: PartitionConsumer,
        process: ProcessContext,
        *,
        sends_receipts: bool,
        protects: bool,
    ) -> None:
        control, keys, settings = process.control, process.keys, process.runtime.settings
        self.context = context
        self.sink = sink
        self.consumer = consumer
        self.retrier = Retrier(
            context,
            consumer,
            store=sink.pulse,
            kafka=process.cluster.pulse,
            back_off=settings.back_off(),
            unready_most=settings.unready_most,
        )
        self.projector = Projector(context, self.retrier, reader, process.fence, keys.seals)
        self.parking = Parking(context, self.retrier, control.parked)
        self.coverage = Coverage(
            context, self.retrier, process.fence, keys.proofs, goes_along=protects
        )
        self._receipts = ReceiptIssuer(
            context,
            self.retrier,
            proofs=keys.proofs,
            testimony=control.testimony,
            views=control.views,
            receipts=control.receipts,
            sends=sends_receipts,
        )
        self.applier = Applier(
            context,
            sink,
            consumer,
            retrier=self.retrier,
            projector=self.projector,
            receipts=self._receipts,
            coverage=self.coverage,
        )

    @property
    def set_aside(self) -> SetAside:
        """The lane's events that are set aside."""
        return self.parking.set_aside

    @property
    def position(self) -> Position:
        """The position that the store has."""
        return self.applier.position

    # -- where it stands

    async def ask(self) -> Checkpoint | None:
        """The store's checkpoint of this partition, if the bus wrote it.

        Raises:
            PositionForged: Somebody else has.
        """
        partition = self.context.place[1]
        found = await self.retrier.persist(lambda: self.sink.checkpoint(partition))
        if found is not None:
            await self._receipts.take_up(found)
        return found

    async def stand(self, held: Checkpoint | None) -> None:
        """Take over the store's checkpoint, and send its receipt again: it may never have been."""
        if held is None:
            self.applier.stand(self.context.at(0), NO_PREVIOUS, None)
            return
        self.applier.stand(held.position, held.receipt.chain, held.applied_at)
        await self._receipts.send_again(held)

    # -- what comes

    async def carry(self, run: Run) -> None:
        """Carry events, in log order, from bytes into the store."""
        async with self.sink.large if len(run) >= LARGE else nullcontext():
            for is_erasure, part in split_erasures(run):
                await (self._erase(part) if is_erasure else self._deliver(part))

    async def _deliver(self, run: Run) -> None:
        """Carry events that are no erasures through the view into the store.

        What is set aside already (by an operator, or before a crash), or was closed for good when
        the log was read before, is passed by unread.
        """
        end = run.end
        if unread := self.set_aside.within(run.offsets[0], end):
            run = run.picked([n for n, offset in enumerate(run.offsets) if offset not in unread])
        seen = await self.projector.insist(run)
        await self.parking.park(
            [
                self.parking.refused(run.keys[index], run.offsets[index], None, error)
                for index, error in seen.readable.refused
            ]
        )
        await self._leave(seen.leaving)
        await self._leave(self._held_up(seen.returning))
        known = _last_event_id(seen.readable, len(run)) if end - 1 not in unread else None
        await self._apply(seen.rows, self.context.at(end, known), seen.returning)

    async def _erase(self, run: Run) -> None:
        """Apply erasures, and close what was set aside of their subjects."""
        await self.parking.supersede(run)
        nothing = self.context.no_rows.records
        rows = Rows(nothing, run.offsets, run.keys, [b""] * len(run))
        await self.applier.erase(rows, self.context.at(run.end), run.keys)

    async def _leave(self, leaving: Run) -> None:
        """Subjects that no longer fit the view's conditions: their rows go, the position stays.

        What is written after this is of other subjects; a crash in between does this again.
        """
        if not len(leaving):
            return
        await self.parking.supersede(leaving)
        if self.applier.position.offset > 0:  # else the store has nothing of this lane yet
            await self.applier.erase(self.context.no_rows, self.applier.position, leaving.keys)

    def _held_up(self, returning: Run) -> Run:
        """The subjects that leave and come back and have something set aside.

        Events before they left are settled by it; those after it may have to wait.
        """
        of = self.set_aside.of
        return returning.picked([n for n, key in enumerate(returning.keys) if of(subject_of(key))])

    async def _apply(self, rows: Rows, end: Position, returning: Run) -> None:
        """Apply *rows* and move to *end*, parking on the way what the store refuses."""
        halves = Halves(rows, Rows.part)
        for piece in halves:
            piece = await self.parking.without_waiting(piece)
            if not len(piece):
                continue
            target = end if halves.is_last else self._after(piece)
            try:
                await self.applier.move(piece, target)
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if not halves.halve(piece):
                    found = event_id(piece.records, 0)
                    refused = self.parking.refused(piece.keys[0], piece.offsets[0], found, error)
                    await self.parking.park([refused])
                    await self._leave(self._held_up(returning))
        if self.applier.position.offset < end.offset:
            await self.applier.move(self.context.no_rows, end)

    def _after(self, rows: Rows) -> Position:
        """The position after the last of *rows*."""
        last = len(rows) - 1
        return self.context.at(rows.offsets[last] + 1, event_id(rows.records, last))


def _last_event_id(readable: DecodedBatch, events: int) -> str | None:
    """The event id of the last of so many events; None if it could not be read."""
    if readable.records is None or readable.good[-1] != events - 1:
        return None
    return event_id(readable.records, len(readable.good) - 1)
