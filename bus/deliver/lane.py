"""A lane: one system, one stream, one partition; the unit of order, position and progress.

A step takes what was fetched, decodes it, sees it through the view behind the protection fence,
sets aside what waits behind a parked event, and hands the rest to the sink, which makes rows,
position and receipt durable at once. Then the receipt is sent; once it is acknowledged, the
offset is told to the group. The next batch is prepared while the receipt is under way, but not
applied before it is acknowledged: a store remembers one receipt, so at most one can be owed.

What goes wrong is answered by the class of the error alone. *Retry*: the same batch again after
a back-off, without end. *Park*: the batch is halved until the event is found; its exception is
durable before the position moves past it. *Stop*, and anything that is no ``BusError``: raised
to whoever runs the lane; the position stays. A lane that somebody else moved lets go of what it
has in hand and asks its store where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar, cast

import pyarrow as pa
import structlog

from bus.broker import Fetched, Place
from bus.deliver.clock import BackOff
from bus.deliver.parked import LaneName
from bus.deliver.readback import read_back
from bus.deliver.reading import Readable, Reads, read_what_can_be
from bus.deliver.run import (
    Rows,
    Run,
    digest,
    event_id,
    joined,
    ranges,
    split_erasures,
    subject_of,
)
from bus.deliver.shared import Shared, SharedSink
from bus.deliver.state import LaneState, LaneStatus
from bus.deliver.trial import Trial
from bus.deliver.waiting import flag_of, look
from bus.errors import (
    BusError,
    LaneError,
    LaneLost,
    LaneTooOld,
    PositionForeign,
    Reaction,
    Unavailable,
)
from bus.model import (
    Applied,
    Checkpoint,
    ExceptionState,
    ParkedEvent,
    Position,
    Receipt,
    View,
    ViewBatch,
)
from bus.model.receipt import NO_PREVIOUS
from bus.points import Point, passed
from bus.policy import project

_log = structlog.get_logger("renkei.deliver")
ALARM_AFTER = timedelta(minutes=1)  # of waiting for the same store or broker
_LARGE = 1_000  # rows from which work in columns leaves the event loop
Stamps = Mapping[int, int]  # offset -> milliseconds
T = TypeVar("T")


class Reading(Protocol):
    """What a lane asks of the consumer that feeds it."""

    async def ends(self) -> tuple[int, int]:
        """The first offset that is still in the log, and the one after the last."""

    def seek(self, offset: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def done(self, offset: int) -> None:
        """Everything before *offset* is applied and its receipt acknowledged."""

    def has_room(self) -> None:
        """The lane took what waited for it."""


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
    ) -> None:
        self._view = view
        self._place = place
        self._sink = sink
        self._reader = reader
        self._reading = reading
        self._shared = shared
        self._sends_receipts = sends_receipts
        self._has_flag = flag_of(view) is not None
        self._empty = pa.RecordBatch.from_pylist([], schema=view.schema)
        self._name = LaneName(view.system, view.stream, place[1])
        self._log = _log.bind(system=view.system, stream=view.stream, partition=place[1])
        self._back_off = BackOff(shared.settings.retry_first, shared.settings.retry_most)
        self._lost_back_off = BackOff(shared.settings.retry_first, shared.settings.retry_most)
        self._set_aside = shared.parked.lane(self._name)
        self._metrics = shared.metrics
        self._labels = (view.system, view.stream)
        self._started = 0.0  # when the batch in hand was taken up
        self._position = self._at(0)
        self._chain = NO_PREVIOUS
        self._unverified: Checkpoint | None = None
        self._unsettled: tuple[Awaitable[None] | None, int] | None = None
        self._queue: list[Fetched] = []
        self._queued = 0
        self._wake = asyncio.Event()
        self._has_news = True  # of exceptions; at first there may be old ones
        self._is_postponed = False
        self._is_leaving = False
        self._is_stalled = False
        self.state: LaneState = shared.lanes.of(*self._name)
        self.is_open = False

    @property
    def has_room(self) -> bool:
        """Whether more may be fetched for this lane now."""
        return self._queued <= self._shared.settings.fetch_records // 4

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand, waiting, or owed."""
        return (
            self.is_open
            and not self._queue
            and self._unsettled is None
            and not self._wake.is_set()
            and not self._has_news
        )

    def feed(self, fetched: Fetched) -> None:
        """Take what was fetched; the lane works on it when it comes to it."""
        self._queue.append(fetched)
        self._queued += len(fetched.offsets)
        self.state.fetched_to = fetched.offsets[-1] + 1
        if self.state.oldest_ms is None:
            self.state.oldest_ms = fetched.timestamps_ms[0]
        self._metrics.fetched(*self._labels, len(fetched.offsets))
        self._wake.set()

    def leave(self) -> None:
        """Finish the batch in hand, then end."""
        self._is_leaving = True
        self._wake.set()

    @property
    def may_be_abandoned(self) -> bool:
        """Whether nothing is in hand that is worth waiting for."""
        return self._is_stalled or not self.is_open

    async def run(self) -> None:
        """Deliver until told to leave. Raises what stops the lane."""
        self._set_aside.on_news = self._on_news
        try:
            while not self._is_leaving:
                try:
                    await self._open()
                    await self._work()
                except LaneLost as error:
                    await self._let_go(error)
        finally:
            self.is_open = False

    # -- opening ---------------------------------------------------------------------------

    async def _open(self) -> None:
        """Find where the store stands, check that the log is the one it knows, go there."""
        self.state.status = LaneStatus.OPENING
        checkpoint = await self._persist(lambda: self._sink.checkpoint(self._place[1]))
        await self._persist(self._shared.parked.catch_up)
        begin, end = await self._persist(self._reading.ends)
        if checkpoint is None:
            self._position, self._chain, self._unverified = self._at(0), NO_PREVIOUS, None
            resume_at = begin
        else:
            self._check(checkpoint.position, begin, end)
            self._position, self._chain = checkpoint.position, checkpoint.receipt.chain
            self._unverified = checkpoint
            resume_at = checkpoint.position.offset
            if checkpoint.position.last_event_id is not None and resume_at > begin:
                resume_at -= 1  # the event before the position shows whether the log is the same
            if self._sends_receipts:
                await self._shared.receipts.send(checkpoint.receipt, checkpoint.applied_at)
            self.state.applied_at = checkpoint.applied_at
        self.state.offset = self._position.offset
        self._unsettled = None
        self._has_news = True
        self._drop_queue()
        self._reading.seek(resume_at)
        self._reading.resume()
        self.is_open = True
        self.state.runs()
        self._log.info("lane-open", offset=self._position.offset)

    def _check(self, position: Position, begin: int, end: int) -> None:
        where = {**self._where(), "offset": position.offset}
        if position.cluster_id != self._shared.cluster_id or position.topic != self._place[0]:
            raise PositionForeign("the store's position is of another cluster or topic", **where)
        if position.offset > end:
            raise PositionForeign("the store's position lies beyond the log's end", **where)
        if position.offset < begin:
            raise LaneTooOld("the log no longer holds what follows the store's position", **where)

    async def _verified(self, run: Run, checkpoint: Checkpoint, timestamps: Stamps) -> Run:
        """Check the first events after opening against the store's position; drop the known."""
        position = checkpoint.position
        if run.offsets[0] == position.offset - 1 and position.last_event_id is not None:
            value = run.values[0]
            if value is None or await self._event_id(value) != position.last_event_id:
                raise PositionForeign(
                    "the log holds another event before the store's position",
                    **self._where(),
                    offset=position.offset,
                )
        run = run.from_offset(position.offset)
        if run.offsets:
            self._unverified = None
            self._check_age(checkpoint, run.offsets[0], timestamps[run.offsets[0]])
        return run

    def _check_age(self, checkpoint: Checkpoint, first: int, timestamp_ms: int) -> None:
        """Compaction may have taken an erasure only if what comes first is old, or is missing."""
        lag, now = self._shared.settings.compaction_lag, self._shared.clock.now()
        if now - checkpoint.applied_at <= lag:
            return
        age = now - datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        if first != checkpoint.position.offset or age > lag:
            raise LaneTooOld(
                "the lane was away so long that it may have missed an erasure; rebuild it",
                **self._where(),
                offset=first,
            )

    async def _event_id(self, value: bytes) -> str | None:
        readable = await self._persist(lambda: read_what_can_be(self._reader, [value]))
        return None if readable.records is None else event_id(readable.records, 0)

    async def _let_go(self, error: LaneLost) -> None:
        self.is_open = False
        self._reading.pause()
        self._drop_queue()
        self._unsettled = None
        self.state.waits(LaneStatus.LOST, error.code, self._shared.clock.now())
        self._log.warning("lane-lost", code=error.code, offset=self._position.offset)
        if not self._is_leaving:
            self._is_stalled = True
            await self._shared.clock.sleep(self._lost_back_off.next())
            self._is_stalled = False

    # -- working ---------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._is_leaving:
            if self._has_news:
                self._has_news = False
                await self._replay_due()
            elif self._queue:
                await self._step()
            elif self._unsettled is not None:
                await self._settle()
            else:
                self._wake.clear()
                await self._wake.wait()
        await self._settle()

    async def _step(self) -> None:
        pieces = self._queue
        run = joined(pieces)
        self._drop_queue()
        self._started = monotonic()
        self.state.oldest_ms = pieces[0].timestamps_ms[0]
        self._reading.has_room()
        passed(Point.LANE_FETCHED)
        if self._unverified is not None:
            timestamps = {
                o: t for p in pieces for o, t in zip(p.offsets, p.timestamps_ms, strict=True)
            }
            run = await self._verified(run, self._unverified, timestamps)
        run = run.from_offset(self._position.offset)
        if not run.offsets:
            return
        async with self._sink.large if len(run) >= _LARGE else nullcontext():
            for is_erasure, part in split_erasures(run):
                await (self._erase(part) if is_erasure else self._deliver(part))
        self.state.oldest_ms = self._queue[0].timestamps_ms[0] if self._queue else None
        self._lost_back_off.reset()
        self._has_news = self._has_news or self._is_postponed

    async def _deliver(self, run: Run) -> None:
        """Events that say something: through the view into the store."""
        values = [value for value in run.values if value is not None]
        readable = await self._persist(lambda: read_what_can_be(self._reader, values))
        rows = await self._viewed(run, readable)
        await self._park(
            [
                self._set_off(run.keys[index], run.offsets[index], None, error)
                for index, error in readable.refused
            ]
        )
        end = self._at(run.end, self._last_event_id(readable, len(run)))
        await self._apply(rows, end)

    async def _erase(self, run: Run) -> None:
        """Erasures. What was set aside of these subjects is settled by them."""
        subjects = [subject_of(key) for key in run.keys]
        superseded = [
            replace(event, state=ExceptionState.SUPERSEDED, at=self._shared.clock.now())
            for subject, offset in zip(subjects, run.offsets, strict=True)
            for event in self._set_aside.of(subject)
            if event.offset < offset
        ]
        if superseded:
            await self._record(superseded)
        erased = tuple(dict.fromkeys(key.decode("utf-8", "replace") for key in run.keys if key))
        rows = Rows(self._empty, run.offsets, run.keys, [b""] * len(run))
        try:
            await self._move(rows, self._at(run.end), erased)
        except BusError as error:
            if error.reaction is Reaction.PARK:
                raise LaneError("the store refuses to erase", **self._where()) from error
            raise

    async def _viewed(self, run: Run, readable: Readable) -> Rows:
        """What the view shows of the readable events of *run*, masked as of now."""
        rows = Rows(self._empty, [], [], [])
        if readable.records is not None:
            readable_run = run.picked(readable.good) if readable.refused else run
            rows = await self._projected(readable_run, readable.records)
        passed(Point.LANE_VIEWED)
        return rows

    async def _projected(self, run: Run, records: pa.RecordBatch) -> Rows:
        protected = None
        if self._has_flag:
            await self._persist(self._shared.fence.catch_up)
            protected = self._shared.fence.protected(records)
        offsets = pa.array(run.offsets, pa.int64())
        see = partial(
            project,
            self._view,
            records,
            protected=protected,
            partition=self._place[1],
            offsets=offsets,
        )
        seen = await asyncio.to_thread(see) if len(run) >= _LARGE else see()
        if len(seen.kept) != len(run):
            self._metrics.filtered(*self._labels, len(run) - len(seen.kept))
            run = run.picked(cast("list[int]", seen.kept.to_pylist()))
        values = cast("Sequence[bytes]", run.values)  # erasures were split off
        return Rows(seen.records, run.offsets, run.keys, values)

    async def _apply(self, rows: Rows, end: Position) -> None:
        """Apply *rows* and move to *end*, parking on the way what the store refuses."""
        pieces = [rows]
        while pieces:
            piece = await self._without_waiting(pieces.pop())
            if not len(piece):
                continue
            target = self._after(piece) if pieces else end
            try:
                await self._move(piece, target)
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if len(piece) == 1:
                    found = event_id(piece.records, 0)
                    await self._park([self._set_off(piece.keys[0], piece.offsets[0], found, error)])
                    continue
                middle = len(piece) // 2
                pieces += [piece.part(middle, len(piece)), piece.part(0, middle)]
        if self._position.offset < end.offset:
            await self._move(Rows(self._empty, [], [], []), end)

    async def _without_waiting(self, rows: Rows) -> Rows:
        """*rows* without those that wait behind an event of their subject that is set aside."""
        now = self._shared.clock.now()
        found = look(rows, self._view, self._set_aside, self._exception, now)
        if found is None:
            return rows
        if found.events:
            await self._record(found.events)
        if found.superseded:
            self._log.info("parked-overtaken", events=found.superseded)
        return rows.without(found.is_held) if any(found.is_held) else rows

    async def _move(self, rows: Rows, end: Position, erased: tuple[str, ...] = ()) -> None:
        """Make *rows* durable and the position *end*; the receipt is then on its way."""
        is_large = len(rows) >= _LARGE
        said = await asyncio.to_thread(digest, rows.values) if is_large else digest(rows.values)
        receipt = Receipt(
            system=self._view.system,
            stream=self._view.stream,
            partition=self._place[1],
            start=self._position.offset,
            end=end.offset,
            delivered=ranges(rows.offsets),
            view=self._view.fingerprint,
            rows=len(rows),
            digest=said,
            previous=self._chain,
        )
        batch = ViewBatch(
            view=self._view,
            partition=self._place[1],
            start=self._position.offset,
            end=end,
            records=rows.records,
            receipt=receipt,
            erased=erased,
        )
        await self._settle()
        applied = await self._applied(batch)
        self._position, self._chain = end, receipt.chain
        sent = (
            self._shared.receipts.send(receipt, applied.applied_at)
            if self._sends_receipts
            else None
        )
        self._unsettled = (sent, end.offset)
        self.state.offset = end.offset
        self.state.batches += 1
        self.state.rows += len(rows)
        self.state.applied_at = applied.applied_at
        seconds = monotonic() - self._started
        self._metrics.applied(*self._labels, len(rows), seconds, applied.applied_at)

    async def _applied(self, batch: ViewBatch) -> Applied:
        """Apply, again and again while the store is away; it may have committed unheard."""
        is_unknown = False

        async def once() -> Applied:
            nonlocal is_unknown
            if is_unknown:
                held = await self._sink.checkpoint(batch.partition)
                if held is not None and held.receipt.chain == batch.receipt.chain:
                    return Applied(len(batch.records), held.applied_at)
                is_unknown = False
            try:
                return await self._sink.apply(batch)
            except Unavailable:
                is_unknown = True
                raise

        return await self._persist(once)

    async def _settle(self) -> None:
        """Wait for the receipt that is under way; then the group may know."""
        if self._unsettled is None:
            return
        sent, offset = self._unsettled
        if sent is not None:
            await sent
        passed(Point.LANE_RECEIPTED)
        self._unsettled = None
        self._reading.done(offset)

    # -- setting aside and trying again ----------------------------------------------------

    async def _replay_due(self) -> None:
        """Try again what is due; what the lane has not come to yet becomes due when it has."""
        due = self._set_aside.due()
        ready = [s for s in due if (self._set_aside.first(s) or 0) < self._position.offset]
        self._is_postponed = len(ready) < len(due)
        if ready:
            await self._replay(ready)

    async def _replay(self, subjects: Sequence[str]) -> None:
        """Try what is set aside of *subjects* again, in log order; the position stays.

        What fails is parked again, and what waits behind it goes on waiting. An event that is
        gone from the log is superseded by its subject's newest one: by applying that here, or
        because the lane has yet to come to it.
        """
        events = {event.offset: event for s in subjects for event in self._set_aside.of(s)}
        wanted = {offset: event.subject for offset, event in events.items()}
        back = await self._persist(lambda: read_back(self._shared.broker, self._place, wanted))
        trial = Trial(events, back, self._position.offset)
        run = trial.run()
        if run.offsets:
            values = [value for value in run.values if value is not None]
            readable = await self._persist(lambda: read_what_can_be(self._reader, values))
            self._same_events(run, readable, events)
            for index, error in readable.refused:
                trial.fail(run.keys[index], run.offsets[index], error)
            rows = await self._viewed(run, readable)
            trial.left_out(set(run.offsets) - set(rows.offsets))
            await self._apply_again(rows, trial)
        await self._settle()
        await self._record(trial.outcome(self._shared.clock.now()))
        self._log.info("parked-tried-again", events=len(events), failed=len(trial.failed))

    async def _apply_again(self, rows: Rows, trial: Trial) -> None:
        pieces = [rows]
        while pieces:
            piece = pieces.pop()
            if trial.failed:
                failed = [trial.is_behind_failure(k, o) for k, o in zip(
                    piece.keys, piece.offsets, strict=True
                )]  # fmt: skip
                piece = piece.without(failed) if any(failed) else piece
            if not len(piece):
                continue
            try:
                await self._move(piece, self._position)
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if len(piece) == 1:
                    trial.fail(piece.keys[0], piece.offsets[0], error)
                    continue
                middle = len(piece) // 2
                pieces += [piece.part(middle, len(piece)), piece.part(0, middle)]

    def _same_events(self, run: Run, readable: Readable, events: dict[int, ParkedEvent]) -> None:
        for row, index in enumerate(readable.good):
            event = events.get(run.offsets[index])
            if event is None or event.event_id is None or readable.records is None:
                continue
            if event_id(readable.records, row) != event.event_id:
                raise PositionForeign(
                    "the log holds another event where one was parked",
                    **self._where(),
                    offset=event.offset,
                )

    async def _park(self, events: Sequence[ParkedEvent]) -> None:
        """Set these events aside for good reason, durably, before anything moves past them."""
        fresh = [e for e in events if self._set_aside.at(e.subject, e.offset) is None]
        if not fresh:
            return
        await self._record(fresh)
        self._metrics.parked(*self._labels, len(fresh))
        passed(Point.LANE_PARKED)
        for event in fresh[:10]:
            self._log.warning("event-parked", code=event.code, offset=event.offset)
        if len(fresh) > 10:
            self._log.warning("events-parked", events=len(fresh))

    async def _record(self, events: Sequence[ParkedEvent]) -> None:
        await self._persist(lambda: self._shared.parked.record(events))

    def _set_off(
        self, key: bytes | None, offset: int, found: str | None, error: BusError
    ) -> ParkedEvent:
        return self._exception(subject_of(key), offset, found, ExceptionState.PARKED, error.code)

    def _exception(
        self, subject: str, offset: int, found: str | None, state: ExceptionState, code: str
    ) -> ParkedEvent:
        return ParkedEvent(
            system=self._view.system,
            stream=self._view.stream,
            partition=self._place[1],
            offset=offset,
            subject=subject,
            event_id=found,
            state=state,
            code=code,
            attempts=1 if state is ExceptionState.PARKED else 0,
            at=self._shared.clock.now(),
        )

    # -- waiting out -----------------------------------------------------------------------

    async def _persist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do it; again, after a back-off, as long as something outside does not answer."""
        while True:
            try:
                result = await act()
            except BusError as error:
                if error.reaction is not Reaction.RETRY:
                    raise
                await self._wait_out(error)
            else:
                if self._is_stalled:
                    self._go_on()
                return result

    async def _wait_out(self, error: BusError) -> None:
        now = self._shared.clock.now()
        self.state.waits(LaneStatus.RETRYING, error.code, now)
        if not self._is_stalled:
            self._is_stalled = True
            self._reading.pause()
        self._metrics.retried(*self._labels)
        age = now - (self.state.since or now)
        say = self._log.warning if age < ALARM_AFTER else self._log.error
        seconds = round(age.total_seconds(), 1)
        say("lane-retries", code=error.code, reason=error.message, seconds=seconds)
        await self._shared.clock.sleep(self._back_off.next())

    def _go_on(self) -> None:
        self._is_stalled = False
        self._back_off.reset()
        if self.is_open:
            self.state.runs()
            self._reading.resume()
        else:
            self.state.status = LaneStatus.OPENING
        self._log.info("lane-goes-on")

    # -- small things ----------------------------------------------------------------------

    @staticmethod
    def _last_event_id(readable: Readable, events: int) -> str | None:
        """The id of the last of so many events, if that one could be read."""
        if readable.records is None or readable.good[-1] != events - 1:
            return None
        return event_id(readable.records, len(readable.good) - 1)

    def _on_news(self) -> None:
        self._has_news = True
        self._wake.set()

    def _drop_queue(self) -> None:
        self._queue, self._queued, self.state.oldest_ms = [], 0, None

    def _at(self, offset: int, last_event_id: str | None = None) -> Position:
        return Position(
            cluster_id=self._shared.cluster_id,
            topic=self._place[0],
            partition=self._place[1],
            offset=offset,
            last_event_id=last_event_id,
        )

    def _after(self, rows: Rows) -> Position:
        """The position just after the last of *rows*."""
        last = len(rows) - 1
        return self._at(rows.offsets[last] + 1, event_id(rows.records, last))

    def _where(self) -> dict[str, object]:
        return {
            "system": self._view.system,
            "stream": self._view.stream,
            "partition": self._place[1],
        }
