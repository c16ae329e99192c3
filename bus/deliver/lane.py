"""A lane: one system, one stream, one partition; the unit of order, position and progress.

A step takes what was fetched, decodes it, sees it through the view behind the protection fence,
sets aside what waits behind a parked event, and hands the rest to the sink, which makes rows,
position and receipt durable at once. Then the receipt is sent; once it is acknowledged, the
offset is told to the group. The next batch is prepared while the receipt is under way, but not
applied before it is acknowledged.

What goes wrong is answered by the class of the error alone. *Retry*: the same batch again after
a back-off, without end (:mod:`bus.deliver.patience`). *Park*: the batch is halved until the event
is found; its exception is durable before the position moves past it (:mod:`bus.deliver.aside`).
*Stop*, and anything that is no ``BusError``: raised to whoever runs the lane (who opens another one
after a defect); the position stays.
A lane that somebody else moved lets go of what it has in hand and asks its store where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta

from bus.backoff import BackOff
from bus.broker import Fetched, Place
from bus.catalog.reading import Readable, Reads
from bus.deliver.aside import Aside
from bus.deliver.covering import Covering
from bus.deliver.kit import LARGE, Kit, Reading
from bus.deliver.masking import Masking
from bus.deliver.moving import Mover
from bus.deliver.opening import Opening
from bus.deliver.patience import Patience
from bus.deliver.replay import Replay
from bus.deliver.restoring import Restoring
from bus.deliver.rows import Rows, event_id
from bus.deliver.shared import Shared, SharedSink
from bus.deliver.state import LaneState, LaneStatus
from bus.deliver.viewing import Viewer
from bus.errors import BusError, LaneLost, Reaction, StoreWentBack
from bus.halving import Halves
from bus.log.run import Run, joined, split_erasures, subject_of
from bus.model import Mark, Position, View
from bus.model.receipt import NO_PREVIOUS
from bus.points import Point, passed


class Lane:
    """Carries one partition of one stream into one system's store."""

    def __init__(
        self,
        view: View,
        place: Place,
        *,
        sink: SharedSink,
        reader: Reads,
        reading: Reading,
        shared: Shared,
        sends_receipts: bool,
        gather: timedelta,
        is_in_use: bool = True,
        tells: Callable[[], bool] = lambda: False,
    ) -> None:
        kit = Kit.of(view, place, sink=sink, reader=reader, reading=reading, shared=shared)
        self._kit = kit
        self._patience = Patience(kit)
        self._viewer = Viewer(kit, self._patience)
        self._mover = Mover(
            kit,
            self._patience,
            self._viewer,
            sends_receipts=sends_receipts,
            protects=view.protects and is_in_use and sink.suppresses is not None,
        )
        self._aside = Aside(kit, self._patience)
        self._replay = Replay(kit, self._patience, self._viewer, self._mover, self._aside)
        mends = Restoring if sink.suppresses is not None else Masking
        self._restoring = mends(kit, self._patience, self._viewer, self._mover)
        self._covering = Covering(kit, self._patience, self._mover, tells)
        self._sends_receipts = sends_receipts
        self._gather_for = gather
        self._lost_back_off = BackOff(shared.settings.retry_first, shared.settings.retry_most)
        self._opening: Opening | None = None  # until the log has borne the position out
        self._queue: list[Fetched] = []
        self._queued = 0
        self._wake = asyncio.Event()
        self._has_news = True  # of exceptions; at first there may be old ones
        self._is_leaving = False
        self._told: LaneLost | None = None  # that the store stands elsewhere

    @property
    def state(self) -> LaneState:
        """How the lane is doing, for whoever looks."""
        return self._kit.state

    @property
    def is_open(self) -> bool:
        """Whether the lane has found its place and takes what is fetched."""
        return self._patience.is_open

    @property
    def has_room(self) -> bool:
        """Whether more may be fetched for this lane now."""
        return self._queued <= self._kit.shared.settings.fetch_records // 4

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand, waiting, or owed."""
        return (
            self.is_open
            and not self._queue
            and not self._mover.owes
            and not self._wake.is_set()
            and not self._has_news
            and not self._restoring.is_due
            and not self._covering.is_due
        )

    @property
    def may_be_abandoned(self) -> bool:
        """Whether nothing is in hand that is worth waiting for."""
        return self._patience.is_stalled or not self.is_open

    def feed(self, fetched: Fetched) -> None:
        """Take what was fetched; the lane works on it when it comes to it."""
        self._queue.append(fetched)
        self._queued += len(fetched.offsets)
        self.state.fetched_to = fetched.offsets[-1] + 1
        if self.state.oldest_ms is None:
            self.state.oldest_ms = fetched.timestamps_ms[0]
        self._kit.shared.metrics.fetched(*self._kit.labels, len(fetched.offsets))
        self._wake.set()

    @property
    def mark(self) -> Mark | None:
        """What the store must say of the lane; None while that may be changing, or is not known."""
        return self._mover.mark if self.is_open and self._told is None else None

    def ask_anew(self, error: LaneLost) -> None:
        """The store stands elsewhere: finish the batch in hand, if that can be done, and ask it."""
        self._told = error
        self._wake.set()

    def leave(self) -> None:
        """Finish the batch in hand, then end."""
        self._is_leaving = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until told to leave. Raises what stops the lane."""
        self._kit.set_aside.on_news = self._on_news
        self._kit.shared.fence.listeners.add(self._look_again)
        try:
            while not self._is_leaving:
                try:
                    await self._open()
                    await self._work()
                except LaneLost as error:
                    await self._let_go(error)
        finally:
            self._kit.shared.fence.listeners.discard(self._look_again)
            self._patience.is_open = False

    async def _open(self) -> None:
        """Find where the store stands, check that the log is the one it knows, go there."""
        kit, persist = self._kit, self._patience.persist
        kit.state.status = LaneStatus.OPENING
        self._told = None
        if not kit.view.protects:
            await kit.sink.pulse.is_free.wait()
        self._restoring.begin_anew()
        self._covering.begin_anew()
        checkpoint = await persist(lambda: kit.sink.checkpoint(kit.place[1]))
        if checkpoint is not None and self._sends_receipts:
            held = checkpoint
            await persist(lambda: kit.shared.testimony.insist(kit.name, kit.place, held))
        await persist(kit.shared.parked.catch_up)
        begin, end = await persist(kit.reading.ends)
        self._notice(0 if checkpoint is None else checkpoint.position.offset)
        if checkpoint is None:
            self._opening = None
            self._mover.stand(kit.at(0), NO_PREVIOUS, None)
            resume_at = begin
        else:
            self._opening = Opening(kit, self._viewer, checkpoint)
            resume_at = self._opening.resume_at(begin, end)
            self._mover.stand(checkpoint.position, checkpoint.receipt.chain, checkpoint.applied_at)
            if self._sends_receipts:
                await kit.shared.receipts.send(checkpoint.receipt, checkpoint.applied_at)
            kit.state.applied_at = checkpoint.applied_at
        self._has_news = True
        self._drop_queue()
        kit.reading.seek(resume_at)
        kit.reading.resume()
        self._patience.is_open = True
        kit.state.runs()
        self._say_abreast()
        kit.log.info("lane-open", offset=self._mover.position.offset)

    def _notice(self, offset: int) -> None:
        """Say that the store went back, if it stands before what it said the last time."""
        state = self.state
        if state.has_stood and offset < state.offset:
            state.catches_up_to = max(state.offset, state.catches_up_to or 0)
            self._kit.log.warning("lane-gone-back", start=offset, end=state.catches_up_to)
            self._kit.shared.operations.stopped(self._kit.name, StoreWentBack.code, offset)

    def _say_abreast(self) -> None:
        """The lane has found its place; and if its store had gone back, what it had."""
        if (self.state.catches_up_to or 0) <= self._mover.position.offset:
            self.state.catches_up_to = None
            self._kit.shared.operations.opened(self._kit.name)

    async def _let_go(self, error: LaneLost) -> None:
        kit = self._kit
        self._patience.is_open = False
        kit.reading.pause()
        self._drop_queue()
        self._mover.let_go()
        kit.state.waits(LaneStatus.LOST, error.code, kit.now())
        kit.log.warning("lane-lost", code=error.code, offset=self._mover.position.offset)
        if not self._is_leaving and error is not self._told:  # the store's own word is no quarrel
            await self._patience.rest(self._lost_back_off.next())

    async def _work(self) -> None:
        while not self._is_leaving:
            if self._told is not None:
                raise self._told
            if self._has_news:
                self._has_news = False
                await self._replay.try_due()
            elif self._restoring.is_due:
                await self._restoring.try_due()
            elif self._queue:
                await self._gather()
                await self._step()
            elif self._covering.is_due:
                await self._covering.try_due()
            elif self._mover.owes:
                await self._mover.settle()
            else:
                self._wake.clear()
                await self._wake.wait()
        await self._mover.settle()

    async def _gather(self) -> None:
        """Let more events come first, where nobody waits for them: one batch, not many."""
        if self._gather_for and self.has_room and not self._is_leaving:
            await self._kit.shared.clock.sleep(self._gather_for)

    async def _step(self) -> None:
        """Take what waits, and see it through."""
        pieces = self._queue
        run = joined(pieces)
        self._drop_queue()
        self._mover.begin()
        self.state.oldest_ms = pieces[0].timestamps_ms[0]
        self._kit.reading.has_room()
        passed(Point.LANE_FETCHED)
        if self._opening is not None:
            run = await self._opening.unknown(run, pieces)
            if run.offsets:
                self._opening = None
        run = run.from_offset(self._mover.position.offset)
        if not run.offsets:
            return
        await self._carry(run)
        self.state.oldest_ms = self._queue[0].timestamps_ms[0] if self._queue else None
        self._lost_back_off.reset()
        if self.state.catches_up_to is not None:
            self._say_abreast()
        self._has_news = self._has_news or self._replay.is_postponed

    async def _carry(self, run: Run) -> None:
        """Events in log order, from bytes into the store."""
        async with self._kit.sink.large if len(run) >= LARGE else nullcontext():
            for is_erasure, part in split_erasures(run):
                await (self._erase(part) if is_erasure else self._deliver(part))

    async def _deliver(self, run: Run) -> None:
        """Events that say something: through the view into the store.

        What is set aside already (by an operator, or before a crash), or was closed for good when
        the log was read before, is passed by unread.
        """
        end = run.end
        if unread := self._kit.set_aside.within(run.offsets[0], end):
            run = run.picked([n for n, offset in enumerate(run.offsets) if offset not in unread])
        seen = await self._viewer.insist(run)
        await self._aside.park(
            [
                self._aside.refused(run.keys[index], run.offsets[index], None, error)
                for index, error in seen.readable.refused
            ]
        )
        await self._leave(seen.leaving)
        await self._leave(self._held_up(seen.returning))
        known = _last_event_id(seen.readable, len(run)) if end - 1 not in unread else None
        await self._apply(seen.rows, self._kit.at(end, known), seen.returning)

    async def _erase(self, run: Run) -> None:
        """Erasures. What was set aside of these subjects is settled by them."""
        await self._aside.supersede(run)
        nothing = self._kit.no_rows.records
        rows = Rows(nothing, run.offsets, run.keys, [b""] * len(run))
        await self._mover.erase(rows, self._kit.at(run.end), run.keys)

    async def _leave(self, leaving: Run) -> None:
        """Subjects that no longer fit the view's conditions: their rows go, the position stays.

        What is written after this is of other subjects; a crash in between does this again.
        """
        if not len(leaving):
            return
        await self._aside.supersede(leaving)
        if self._mover.position.offset > 0:  # else the store has nothing of this lane yet
            await self._mover.erase(self._kit.no_rows, self._mover.position, leaving.keys)

    def _held_up(self, returning: Run) -> Run:
        """Of the subjects that leave and come back, those of which something is set aside: what
        came before they left is settled by it, and what came after may be held up."""
        of = self._kit.set_aside.of
        return returning.picked([n for n, key in enumerate(returning.keys) if of(subject_of(key))])

    async def _apply(self, rows: Rows, end: Position, returning: Run) -> None:
        """Apply *rows* and move to *end*, parking on the way what the store refuses."""
        halves = Halves(rows, Rows.part)
        for piece in halves:
            piece = await self._aside.without_waiting(piece)
            if not len(piece):
                continue
            target = end if halves.is_last else self._after(piece)
            try:
                await self._mover.move(piece, target)
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if not halves.halve(piece):
                    found = event_id(piece.records, 0)
                    refused = self._aside.refused(piece.keys[0], piece.offsets[0], found, error)
                    await self._aside.park([refused])
                    await self._leave(self._held_up(returning))
        if self._mover.position.offset < end.offset:
            await self._mover.move(self._kit.no_rows, end)

    def _after(self, rows: Rows) -> Position:
        """The position just after the last of *rows*."""
        last = len(rows) - 1
        return self._kit.at(rows.offsets[last] + 1, event_id(rows.records, last))

    def _on_news(self) -> None:
        self._has_news = True
        self._wake.set()

    def _look_again(self) -> None:
        is_due = self._restoring.look_again(), self._covering.look_again()
        if any(is_due):
            self._wake.set()

    def _drop_queue(self) -> None:
        self._queue, self._queued, self.state.oldest_ms = [], 0, None


def _last_event_id(readable: Readable, events: int) -> str | None:
    """The id of the last of so many events, if that one could be read."""
    if readable.records is None or readable.good[-1] != events - 1:
        return None
    return event_id(readable.records, len(readable.good) - 1)
