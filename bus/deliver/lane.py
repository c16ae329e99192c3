"""A lane: one system, one stream, one partition; the unit of order, position and progress.

A step takes what was fetched and has its pipeline carry it (:mod:`bus.deliver.pipeline`): seen
through the view behind the protection fence, without what waits behind a parked event, it goes to
the sink, which makes rows, position and receipt durable at once. Then the receipt is sent; once it
is acknowledged, the offset is told to the group. The next batch is prepared while the receipt is
under way, but not applied before it is acknowledged.

What goes wrong is answered by the class of the error alone. *Retry*: the same batch again after
a back-off, without end (:mod:`bus.deliver.retrier`). *Park*: the batch is halved until the event
is found; its exception is durable before the position moves past it (:mod:`bus.deliver.parking`).
*Stop*, and anything that is no ``BusError``: raised to whoever runs the lane (who opens another one
after a defect); the position stays.
A lane that somebody else moved lets go of what it has in hand and asks its store where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from bus.broker import Fetched
from bus.deliver.coverage_updater import CoverageUpdater
from bus.deliver.masking import Masking
from bus.deliver.parked_retry import ParkedRetry
from bus.deliver.pipeline import Pipeline
from bus.deliver.process import ProcessContext
from bus.deliver.redelivery import Redelivery
from bus.deliver.restoring import Restoring
from bus.deliver.resume_check import ResumeCheck
from bus.deliver.state import LaneState
from bus.errors import BusError, LaneLost, Remedy, StoreWentBack
from bus.failpoints import Point, passed
from bus.log.run import joined
from bus.model import Mark
from bus.retry import retried


class Lane:
    """Carries one partition of one stream into one system's store."""

    def __init__(
        self,
        pipeline: Pipeline,
        process: ProcessContext,
        *,
        gather: timedelta,
        tells: Callable[[], bool] = lambda: False,
    ) -> None:
        self._context, self._sink = pipeline.context, pipeline.sink
        self._pipeline, self._consumer = pipeline, pipeline.consumer
        self._retrier, self._applier = pipeline.retrier, pipeline.applier
        self._fence, self._settings = process.fence, process.runtime.settings
        self._parked, self._operations = process.control.parked, process.control.operations
        broker = process.cluster.broker
        self._parked_retry = ParkedRetry(pipeline, broker)
        kind: type[Redelivery] = Restoring if self._sink.suppresses is not None else Masking
        self._redelivery = kind(pipeline, self._fence, broker)
        self._coverage_updater = CoverageUpdater(pipeline, self._fence, tells)
        self._gather_for = gather
        self._lost_back_off = self._settings.back_off()
        self._resume_check: ResumeCheck | None = None  # until the log has borne the position out
        self._queue: list[Fetched] = []
        self._queued = 0
        self._wake = asyncio.Event()
        self._has_news = True  # of exceptions; at first there may be old ones
        self._is_leaving = False
        self._elsewhere: LaneLost | None = None  # that the store stands elsewhere

    @property
    def state(self) -> LaneState:
        """The lane's status, for whoever looks."""
        return self._context.state

    @property
    def stuck_at(self) -> int | None:
        """The offset that the lane has stopped at, where it has stopped at one."""
        return self._context.stuck_at

    @property
    def is_open(self) -> bool:
        """Whether the lane knows its position and takes what is fetched."""
        return self._retrier.is_open

    @property
    def has_room(self) -> bool:
        """Whether more may be fetched for this lane now."""
        return self._queued <= self._settings.fetch_records // 4

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand or waiting, and no receipt is under way."""
        return (
            self.is_open
            and not self._queue
            and not self._applier.owes
            and not self._wake.is_set()
            and not self._has_news
            and not self._redelivery.is_due
            and not self._coverage_updater.is_due
        )

    @property
    def may_be_abandoned(self) -> bool:
        """Whether no batch is in hand that is worth waiting for."""
        return self._retrier.is_stalled or not self.is_open

    def feed(self, fetched: Fetched) -> None:
        """Queue what was fetched for the lane."""
        self._queue.append(fetched)
        self._queued += len(fetched.offsets)
        self.state.fetched_to = fetched.offsets[-1] + 1
        if self.state.oldest_ms is None:
            self.state.oldest_ms = fetched.timestamps_ms[0]
        self._context.metrics.fetched(*self._context.labels, len(fetched.offsets))
        self._wake.set()

    @property
    def mark(self) -> Mark | None:
        """The mark that the store must have for this lane; None while that may be changing."""
        return self._applier.mark if self.is_open and self._elsewhere is None else None

    def ask_anew(self, error: LaneLost) -> None:
        """Ask the store for the lane's position again, after the batch in hand if possible."""
        self._elsewhere = error
        self._wake.set()

    def leave(self) -> None:
        """Finish the batch in hand, then end."""
        self._is_leaving = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until told to leave; raises the error that stops the lane."""
        self._pipeline.set_aside.on_news = self._on_news
        self._fence.listeners.add(self._look_again)
        try:
            await retried(self._deliver, self._lost_back_off, self._rest, again=_is_lost)
        finally:
            self._fence.listeners.discard(self._look_again)
            self._retrier.is_open = False

    async def _deliver(self) -> None:
        """Find the place and work, until told to leave, or until somebody else moves the lane."""
        while not self._is_leaving:
            try:
                await self._open()
                await self._work()
            except LaneLost as error:
                self._let_go(error)
                if error is not self._elsewhere:  # the store's own word is no quarrel
                    raise

    async def _open(self) -> None:
        """Ask the store for its position, check it against the log, and seek there."""
        context, persist = self._context, self._retrier.persist
        context.state.opens()
        context.stuck_at = None
        self._elsewhere = None
        if not context.view.protects:
            await self._sink.pulse.is_free.wait()
        self._redelivery.begin_anew()
        self._coverage_updater.begin_anew()
        checkpoint = await self._pipeline.ask()
        await persist(self._parked.catch_up)
        begin, end = await persist(self._consumer.ends)
        self._notice(0 if checkpoint is None else checkpoint.position.offset)
        self._resume_check, resume_at = None, begin
        if checkpoint is not None:
            self._resume_check = ResumeCheck(
                context, self._pipeline.projector, checkpoint, self._settings.compaction_lag
            )
            resume_at = self._resume_check.resume_at(begin, end)
            context.state.applied_at = checkpoint.applied_at
        await self._pipeline.stand(checkpoint)
        self._has_news = True
        self._drop_queue()
        self._consumer.seek(resume_at)
        self._consumer.resume()
        self._retrier.is_open = True
        context.state.runs()
        self._say_caught_up()
        context.log.info("lane-open", offset=self._applier.position.offset)

    def _notice(self, offset: int) -> None:
        """Log it if the store is before where it was the last time."""
        state = self.state
        if state.has_stood and offset < state.offset:
            state.catches_up_to = max(state.offset, state.catches_up_to or 0)
            self._context.log.warning("lane-gone-back", start=offset, end=state.catches_up_to)
            self._operations.stopped(self._context.name, StoreWentBack.code, offset)

    def _say_caught_up(self) -> None:
        """The lane has found its place; and if its store had gone back, what it had."""
        if (self.state.catches_up_to or 0) <= self._applier.position.offset:
            self.state.catches_up_to = None
            self._operations.opened(self._context.name)

    def _let_go(self, error: LaneLost) -> None:
        context = self._context
        self._retrier.is_open = False
        self._consumer.pause()
        self._drop_queue()
        self._applier.let_go()
        context.state.is_lost(error.code, context.now())
        context.log.warning("lane-lost", code=error.code, offset=self._applier.position.offset)

    async def _rest(self, _: BusError, length: timedelta) -> None:
        """Leave the lane to whoever moved it for a while."""
        if not self._is_leaving:
            await self._retrier.rest(length)

    async def _work(self) -> None:
        while not self._is_leaving:
            if self._elsewhere is not None:
                raise self._elsewhere
            if self._has_news:
                self._has_news = False
                await self._parked_retry.try_due()
            elif self._redelivery.is_due:
                await self._redelivery.try_due()
            elif self._queue:
                await self._gather()
                await self._step()
            elif self._coverage_updater.is_due:
                await self._coverage_updater.try_due()
            elif self._applier.owes:
                await self._applier.settle()
            else:
                self._wake.clear()
                await self._wake.wait()
        await self._applier.settle()

    async def _gather(self) -> None:
        """Wait a moment for more events, for a system that gathers: one batch, not many."""
        if self._gather_for and self.has_room and not self._is_leaving:
            await self._context.clock.sleep(self._gather_for)

    async def _step(self) -> None:
        """Take what waits, and deliver it."""
        pieces = self._queue
        run = joined(pieces)
        self._drop_queue()
        self._applier.begin()
        self.state.oldest_ms = pieces[0].timestamps_ms[0]
        self._consumer.has_room()
        passed(Point.LANE_FETCHED)
        if self._resume_check is not None:
            run = await self._resume_check.unknown(run, pieces)
            if run.offsets:
                self._resume_check = None
        run = run.from_offset(self._applier.position.offset)
        if not run.offsets:
            return
        await self._pipeline.carry(run)
        self.state.oldest_ms = self._queue[0].timestamps_ms[0] if self._queue else None
        self._lost_back_off.reset()
        if self.state.catches_up_to is not None:
            self._say_caught_up()
        self._has_news = self._has_news or self._parked_retry.is_postponed

    def _on_news(self) -> None:
        self._has_news = True
        self._wake.set()

    def _look_again(self) -> None:
        is_due = self._redelivery.look_again(), self._coverage_updater.look_again()
        if any(is_due):
            self._wake.set()

    def _drop_queue(self) -> None:
        self._queue, self._queued, self.state.oldest_ms = [], 0, None


def _is_lost(error: BusError) -> bool:
    return error.remedy is Remedy.ASK_AGAIN
