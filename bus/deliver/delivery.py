"""Delivery to one system: a member of its consumer group, with a lane for each partition it owns.

The group only deals partitions out; where a lane starts is its store's word. A lane is fed while
it has room, so that one that is slow does not hold up the others, and paused while it cannot get
on. Offsets are told to the group about once a second: they are for lag tools, and nothing reads
them back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from functools import partial

import structlog

from bus.broker import Consumer, Place, group_of
from bus.connect import Sink
from bus.deliver.clock import BackOff
from bus.deliver.lane import Lane
from bus.deliver.reading import Reads
from bus.deliver.shared import Shared, SharedSink
from bus.deliver.state import LaneState, LaneStatus
from bus.errors import BusError, NotEntitled, Reaction
from bus.model import View
from bus.observe.logs import describe
from bus.points import Point, passed

_log = structlog.get_logger("renkei.deliver")
_COMMIT_EVERY = timedelta(seconds=1)
_SOME_ARE_FULL = timedelta(milliseconds=20)  # longest wait while lanes have no room
_ONCE_WAIT = timedelta(milliseconds=200)
DEFECT = "RK-000"
JAPAN = timezone(timedelta(hours=9))  # where a subscription's day begins and ends


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream for one system: what it may see, where it is, who reads and who writes it."""

    view: View
    topic: str
    reader: Reads
    sink: Callable[[], Sink]
    expires_on: date | None = None
    """The last day on which the subscription lets this stream out."""


class Delivery:
    """Hosts one system in this process."""

    def __init__(
        self,
        system: str,
        feeds: Sequence[Feed],
        shared: Shared,
        *,
        sends_receipts: bool = True,
        gather: timedelta = timedelta(),
    ) -> None:
        self.system = system
        self._feeds = {feed.topic: feed for feed in feeds}
        self._shared = shared
        self._sends_receipts = sends_receipts
        self._gather = gather
        self._log = _log.bind(system=system)
        self._consumer: Consumer = shared.broker.consumer(
            group_of(system), client_id=f"renkei-{system}"
        )
        self._sinks: dict[str, SharedSink] = {}
        self._lanes: dict[Place, tuple[Lane, asyncio.Task[None]]] = {}
        self._room = asyncio.Event()
        self._done: dict[Place, int] = {}
        self._has_done = asyncio.Event()
        self._was_assigned = False
        self._targets: Mapping[Place, int] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._today: date | None = None

    async def lags(self) -> dict[str, tuple[int, float]]:
        """By stream: how many events its lanes here are behind, and how old the oldest is (s)."""
        if not self._lanes:
            return {}
        ends = await self._consumer.end_offsets(list(self._lanes))
        now_ms = self._shared.clock.now().timestamp() * 1000
        lags: dict[str, tuple[int, float]] = {}
        for place, (lane, _) in self._lanes.items():
            state = lane.state
            behind = max(ends.get(place, state.offset) - state.offset, 0)
            since_ms = state.oldest_ms if behind else None
            age = max(now_ms - since_ms, 0) / 1000 if since_ms is not None else 0.0
            events, seconds = lags.get(state.stream, (0, 0.0))
            lags[state.stream] = (events + behind, max(seconds, age))
        return lags

    @property
    def lanes(self) -> list[LaneState]:
        """The lanes that this process owns now."""
        return [lane.state for lane, _ in self._lanes.values()]

    async def run(self, *, once: bool = False) -> None:
        """Deliver until :meth:`stop`, or, *once*, until all that was there is delivered.

        Raises:
            ConfigurationError: A topic is missing, or the broker refuses us.
        """
        committing = asyncio.create_task(self._commit_forever())
        self._fetching = asyncio.create_task(self._join_and_fetch(once))
        if self._is_stopping:
            self._fetching.cancel()
        try:
            ended, _ = await asyncio.wait(
                {self._fetching, committing}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in ended:
                if not task.cancelled():
                    task.result()
        finally:
            self._fetching.cancel()
            await self._on_revoked(list(self._lanes))
            committing.cancel()
            await asyncio.wait({committing})
            await self._close()

    def stop(self) -> None:
        """Finish the batches in hand and end; :meth:`run` then returns."""
        self._is_stopping = True
        if self._fetching is not None:
            self._fetching.cancel()

    async def _join_and_fetch(self, once: bool) -> None:
        settings = self._shared.settings
        back_off = BackOff(settings.retry_first, settings.retry_most)
        is_joined = False
        while True:
            try:
                if not is_joined:
                    await self._join()
                    is_joined = True
                if await self._fetch(once):
                    return
            except BusError as error:
                if error.reaction is Reaction.RETRY:
                    self._log.warning("delivery-waits", code=error.code)
                    await self._shared.clock.sleep(back_off.next())
                elif not self._stop_lane(error):
                    raise
            else:
                back_off.reset()

    async def _join(self) -> None:
        await self._consumer.start()
        await self._consumer.subscribe(list(self._feeds), self._on_assigned, self._on_revoked)

    async def _fetch(self, once: bool) -> bool:
        """Feed the lanes; whether, *once*, everything is delivered."""
        self._stop_expired()
        self._room.clear()
        places = self._with_room()
        if places == []:
            await self._room.wait()
            return False
        wait = self._shared.settings.idle_wait
        if places is not None:
            wait = timedelta()
        elif once:
            wait = _ONCE_WAIT
        most = max(self._shared.settings.fetch_records // 2, 1)  # and a quarter may be waiting
        fetched = await self._consumer.fetch(most, wait, places)
        if places is not None and not fetched:
            await self._until_room(_SOME_ARE_FULL)
        for piece in fetched:
            fed = self._lanes.get((piece.topic, piece.partition))
            if fed is not None and fed[0].is_open:
                fed[0].feed(piece)
        return once and not fetched and await self._is_all_delivered()

    def _with_room(self) -> list[Place] | None:
        """Where more may be fetched from; None for everywhere."""
        full = {p for p, (lane, _) in self._lanes.items() if not lane.has_room}
        return [place for place in self._lanes if place not in full] if full else None

    async def _until_room(self, most: timedelta) -> None:
        """Until a lane has room again, or something may have come for one that has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most.total_seconds()):
                await self._room.wait()

    async def _is_all_delivered(self) -> bool:
        if not self._was_assigned:
            return False
        if self._targets is None:
            self._targets = await self._consumer.end_offsets(list(self._lanes))
        for place, (lane, task) in list(self._lanes.items()):
            if task.done():
                continue  # stopped: it waits for a person
            target = self._targets[place]
            if not lane.is_idle or await self._consumer.position(place) < target:
                return False
        return True

    # -- partitions come and go --------------------------------------------------------------

    async def _on_assigned(self, places: Sequence[Place]) -> None:
        self._was_assigned, self._targets, self._today = True, None, None
        for place in places:
            feed = self._feeds[place[0]]
            sink = self._sinks.setdefault(place[0], SharedSink(feed.sink(), feed.view))
            self._consumer.pause(place)
            self._consumer.seek(place, 0)  # the lane will say where
            lane = Lane(
                feed.view,
                place,
                sink=sink,
                reader=feed.reader,
                reading=_Reading(self, place),
                shared=self._shared,
                sends_receipts=self._sends_receipts,
                gather=self._gather,
            )
            task = asyncio.create_task(lane.run())
            self._lanes[place] = (lane, task)
            task.add_done_callback(partial(self._lane_ended, place, lane))

    async def _on_revoked(self, places: Sequence[Place]) -> None:
        """Let the lanes finish the batch in hand, or let go of it when time is up."""
        leaving = [self._lanes[place] for place in places if place in self._lanes]
        for lane, task in leaving:
            lane.leave()
            if lane.may_be_abandoned:
                task.cancel()
        tasks = {task for _, task in leaving}
        if tasks:
            within = self._shared.settings.stop_within.total_seconds() * 0.7
            _, late = await asyncio.wait(tasks, timeout=within)
            for task in late:
                task.cancel()
            if late:
                self._log.warning("lanes-abandoned", lanes=len(late))
                await asyncio.wait(late)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._shared.settings.stop_within.total_seconds() * 0.1):
                await self._commit()
        for place in places:
            gone = self._lanes.pop(place, None)
            if gone is not None and gone[0].state.status is not LaneStatus.STOPPED:
                gone[0].state.status = LaneStatus.RELEASED

    def _lane_ended(self, place: Place, lane: Lane, task: asyncio.Task[None]) -> None:
        """A lane that ended by itself has stopped: say so; the others go on."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        now = self._shared.clock.now()
        log = self._log.bind(stream=lane.state.stream, partition=place[1], offset=lane.state.offset)
        if isinstance(error, BusError):
            lane.state.waits(LaneStatus.STOPPED, error.code, now)
            log.error("lane-stopped", code=error.code, reason=error.message)
        else:
            lane.state.waits(LaneStatus.STOPPED, DEFECT, now)
            log.error("lane-defect", **describe(error))
        if self._lanes.get(place, (None, None))[0] is lane:
            self._consumer.pause(place)
        self._room.set()

    def _stop_expired(self) -> None:
        """A subscription may end while the process runs: nothing is let out after its last day."""
        today = self._shared.clock.now().astimezone(JAPAN).date()
        if today == self._today:
            return
        self._today = today
        for place, (lane, task) in self._lanes.items():
            last = self._feeds[place[0]].expires_on
            if last is not None and today > last and not task.done():
                if lane.may_be_abandoned:
                    task.cancel()
                lane.leave()
                self._stop(place, lane, NotEntitled("the subscription has expired"))

    def _stop(self, place: Place, lane: Lane, error: BusError) -> None:
        self._consumer.pause(place)
        lane.state.waits(LaneStatus.STOPPED, error.code, self._shared.clock.now())
        self._log.error(
            "lane-stopped",
            code=error.code,
            reason=error.message,
            stream=lane.state.stream,
            partition=place[1],
        )

    def _stop_lane(self, error: BusError) -> bool:
        """A fetch failed for one partition alone: stop its lane; whether that could be done."""
        place = (str(error.where.get("topic")), error.where.get("partition"))
        for known, (lane, task) in self._lanes.items():
            if known == place and not task.done():
                task.cancel()
                self._stop(known, lane, error)
                return True
        return False

    # -- telling the group -------------------------------------------------------------------

    def _tell(self, place: Place, offset: int) -> None:
        self._done[place] = offset
        self._has_done.set()

    async def _commit_forever(self) -> None:
        while True:
            await self._has_done.wait()
            await self._commit()
            await self._shared.clock.sleep(_COMMIT_EVERY)

    async def _commit(self) -> None:
        done, self._done = self._done, {}
        self._has_done.clear()
        if not done:
            return
        try:
            await self._consumer.commit(done)
        except BusError as error:  # for lag tools only: the next one tells as much
            self._log.warning("offsets-untold", code=error.code)
        else:
            passed(Point.LANE_COMMITTED)

    async def _close(self) -> None:
        """Leave the group and let go of the stores; whoever does not answer is left."""
        closing = [asyncio.ensure_future(self._consumer.close())]
        closing += [asyncio.ensure_future(sink.close()) for sink in self._sinks.values()]
        within = self._shared.settings.stop_within.total_seconds() * 0.2
        done, late = await asyncio.wait(closing, timeout=within)
        for task in late:
            task.cancel()
        for task in done:
            if isinstance(error := task.exception(), BusError):
                self._log.warning("not-closed", code=error.code)
            else:
                task.result()


class _Reading:
    """What one lane asks of its delivery's consumer."""

    def __init__(self, delivery: Delivery, place: Place) -> None:
        self._delivery = delivery
        self._place = place

    async def ends(self) -> tuple[int, int]:
        consumer = self._delivery._consumer
        begin = await consumer.beginning_offsets([self._place])
        end = await consumer.end_offsets([self._place])
        return begin[self._place], end[self._place]

    def seek(self, offset: int) -> None:
        if self._place in self._delivery._lanes:
            self._delivery._consumer.seek(self._place, offset)

    def pause(self) -> None:
        if self._place in self._delivery._lanes:
            self._delivery._consumer.pause(self._place)
        self._delivery._room.set()

    def resume(self) -> None:
        if self._place in self._delivery._lanes:
            self._delivery._consumer.resume(self._place)

    def done(self, offset: int) -> None:
        self._delivery._tell(self._place, offset)

    def has_room(self) -> None:
        self._delivery._room.set()
