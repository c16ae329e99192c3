"""The lanes of one system in this process: how they begin, stand, stop and end.

A lane that an operator pauses finishes the batch in hand and ends, and its partition stays here,
unread; when all of a stream's have, the store is let go of. When it is to go on, or when one that
stopped is to try again, a new lane is opened: it asks its store where it stands, like any other,
so that nothing of before has to be remembered.

What a system may have can change meanwhile (:meth:`Fleet.switch`). The lanes of a stream whose
view is another finish the batch in hand and end; when all of them have, new ones open under the
new view, and the store gives up what that does not show before anything is written under it. What
the system holds of streams that it may no longer have at all is taken away then.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from functools import partial
from typing import Any

from bus.backoff import BackOff
from bus.broker import Consumer, Fetched, Place
from bus.catalog.reading import Reads
from bus.connect import Sink
from bus.deliver.abreast import Abreast, LaneOfStore, Marks
from bus.deliver.fleet_table import Deed, Event, Situation, Want, deed, wanted
from bus.deliver.kit import Kit
from bus.deliver.lane import Lane
from bus.deliver.pulse import StorePulse
from bus.deliver.shared import Shared, SharedSink
from bus.deliver.state import LaneState, LaneStatus
from bus.deliver.telling import Telling
from bus.errors import BusError, LaneLost, NotEntitled, Reaction, StoreWentBack
from bus.model import LaneName, Mark, Operation, OperationState, View
from bus.observe.tasks import Kept, Work
from bus.retry import retried

_EXPIRED = "the subscription has expired"
_LOOK_AGAIN = timedelta(seconds=1)  # at a lane that is to end
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


Withdraw = Callable[[], Awaitable[Sequence[str]]]
"""Takes away what a system's store holds of streams that it may no longer have; which they were."""


class Fleet:
    """All lanes of one system that this process owns, and such as have ended here."""

    def __init__(
        self,
        system: str,
        feeds: Sequence[Feed],
        shared: Shared,
        consumer: Consumer,
        log: Any,
        *,
        sends_receipts: bool,
        gather: timedelta,
        withdraw: Withdraw | None = None,
    ) -> None:
        self.system = system
        self.room = asyncio.Event()
        """Set when a lane has room again, or has ended."""
        self.telling = Telling(consumer, shared.clock, log)
        self._feeds = {feed.topic: feed for feed in feeds}
        self._streams = {feed.topic: feed.view.stream for feed in feeds}  # ever fed
        self._switching: defaultdict[str, set[object]] = defaultdict(set)
        """By topic whose lanes end for others to open: those switches that are not done."""
        self._turns: dict[str, asyncio.Lock] = {}
        self.withdraw = withdraw
        self._withdrawing: Kept | None = None
        self._shared = shared
        self._consumer = consumer
        self._log = log
        self._sends_receipts = sends_receipts
        self._gather = gather
        self._sinks: dict[str, SharedSink] = {}
        self._owned: set[Place] = set()
        self._lanes: dict[Place, tuple[Lane, asyncio.Task[None]]] = {}  # also such as have ended
        self._beside: set[Kept] = set()  # what is done beside the lanes, and has an end
        self._targets: Mapping[Place, int] | None = None
        self._today: date | None = None
        self._pulse = StorePulse(shared.clock)
        self.abreast = Abreast(_Store(self), self._pulse, log)

    @property
    def topics(self) -> list[str]:
        """What the system's streams are in."""
        return sorted(self._feeds)

    @property
    def feeds(self) -> list[Feed]:
        """What the system may have and can be fed."""
        return list(self._feeds.values())

    @property
    def states(self) -> list[LaneState]:
        """How the lanes do that this process owns now."""
        return [self._state(place) for place in sorted(self._owned)]

    @property
    def at_work(self) -> dict[Place, Lane]:
        """The lanes that have not ended."""
        return {place: lane for place, (lane, task) in self._lanes.items() if not task.done()}

    def feed(self, fetched: Fetched) -> None:
        """Hand over what was fetched; a lane that has not found its place does not take it."""
        lane, _ = self._lanes.get((fetched.topic, fetched.partition), (None, None))
        if lane is not None and lane.is_open:
            lane.feed(fetched)

    async def lags(self) -> dict[str, tuple[int, float]]:
        """By stream: how many events its lanes here are behind, and how old the oldest is (s).

        A lane whose store has not said yet where it stands is left out.
        """
        states = {place: self._state(place) for place in self._owned}
        known = {place: state for place, state in states.items() if state.has_stood}
        if not known:
            return {}
        ends = await self._consumer.end_offsets(list(known))
        now_ms = self._shared.clock.now().timestamp() * 1000
        lags: dict[str, tuple[int, float]] = {}
        for place, state in known.items():
            behind = max(ends.get(place, state.offset) - state.offset, 0)
            since_ms = state.oldest_ms if behind else None
            age = max(now_ms - since_ms, 0) / 1000 if since_ms is not None else 0.0
            events, seconds = lags.get(state.stream, (0, 0.0))
            lags[state.stream] = (events + behind, max(seconds, age))
        return lags

    async def is_all_delivered(self) -> bool:
        """Whether every lane has passed what its log held when this was first asked."""
        if self._targets is None:
            self._targets = await self._consumer.end_offsets(list(self._lanes))
        for place, (lane, task) in list(self._lanes.items()):
            if task.done():
                continue  # stopped or paused: it waits for a person
            target = self._targets[place]
            if not lane.is_idle or await self._consumer.position(place) < target:
                return False
        return True

    # -- partitions come and go --------------------------------------------------------------

    def take(self, places: Sequence[Place]) -> None:
        """Own these partitions, and begin a lane for each that may be at work."""
        self._today = None
        for place in places:
            self._owned.add(place)
            self._consumer.pause(place)
            self._consumer.seek(place, 0)  # the lane will say where
            self._begin(place)

    def _begin(self, place: Place) -> None:
        """A lane, unless something else is wanted."""
        self._on(Event.BEGINS, place)

    # -- what happens, and what is done about it ----------------------------------------------

    def _on(self, event: Event, place: Place) -> None:
        """Do what the table says."""
        match deed(event, self._situation(place), self._want(place)):
            case Deed.OPEN:
                self._open(place)
            case Deed.STAND:
                self._stand(place)
            case Deed.SEE_OUT:
                self._see_out(*self._lanes[place])
            case Deed.REFUSE:
                self._stop(place, NotEntitled(_EXPIRED))
            case Deed.END_REFUSED:
                _end(*self._lanes[place])
                self._stop(place, NotEntitled(_EXPIRED))

    def _situation(self, place: Place) -> Situation:
        if place not in self._owned:
            return Situation.ELSEWHERE
        if place in self.at_work:
            return Situation.WORKING
        has_stopped = self._state(place).status is LaneStatus.STOPPED
        return Situation.STOPPED if has_stopped else Situation.NONE

    def _want(self, place: Place) -> Want:
        return wanted(
            is_paused=self._pause_of(place) is not None,
            is_changing=place[0] in self._switching or place[0] not in self._feeds,
            has_expired=self._has_expired(place),
        )

    async def release(self, places: Sequence[Place]) -> None:
        """Somebody else may have them now, and what has stopped or is paused is theirs to tell."""
        await self.leave(places)
        for place in places:
            self._state(place).releases()

    async def leave(self, places: Collection[Place] | None = None) -> None:
        """Let lanes (all of them) finish the batch in hand, or let go of it when time is up."""
        places = list(self._owned if places is None else places)
        self._owned.difference_update(places)
        leaving = [self._lanes[place] for place in places if place in self._lanes]
        for lane, task in leaving:
            _end(lane, task)
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
                await self.telling.commit()
        for place in places:
            gone = self._lanes.pop(place, None)
            self._shared.tasks.forget("lane", **self._name(place)._asdict())
            if gone is not None:
                gone[0].state.leaves()

    # -- lanes begin and end -----------------------------------------------------------------

    def _open(self, place: Place) -> None:
        """Begin a new lane, which asks its store where it stands."""
        feed = self._feeds[place[0]]
        kit = Kit(
            feed.view,
            place,
            sink=self._sinks.setdefault(place[0], SharedSink(feed.sink(), feed.view, self._pulse)),
            reader=feed.reader,
            reading=_Reading(self, place),
            shared=self._shared,
        )
        lane = Lane(
            kit,
            sends_receipts=self._sends_receipts,
            gather=self._gather,
            tells=partial(self._tells, feed.view),
        )
        task = asyncio.create_task(lane.run())
        self._lanes[place], self._targets = (lane, task), None
        task.add_done_callback(partial(self._lane_ended, place, lane))
        self._shared.tasks.begun("lane", **self._name(place)._asdict())

    def _tells(self, view: View) -> bool:
        """Whether lanes of *view* tell the store who is covered: those of the protection stream,
        and where the system is not given that, those of all streams that have the flag."""
        is_given = any(feed.view.protects for feed in self._feeds.values())
        return view.protects if is_given else view.is_fenced

    def instruct(self, operation: Operation) -> None:
        """An operator has spoken: pause the lanes of a stream, or have them all go on.

        Or a lane of another process says that the store went back.
        """
        if operation.partition is not None:
            self._hear(operation)
            return
        for place in sorted(self._owned):
            if self._streams[place[0]] != operation.stream:
                continue
            if operation.state is OperationState.PAUSED:
                self._consumer.pause(place)
                self._on(Event.PAUSED, place)
            elif place not in self.at_work:
                if (sink := self._sinks.get(place[0])) is not None:
                    sink.renew()
                self._on(Event.RESUMED, place)
        self.room.set()

    def _hear(self, word: Operation) -> None:
        lanes = {(self._streams[topic], n) for topic, n in self.at_work}
        if word.has_gone_back and (word.stream, word.partition) not in lanes:
            self.abreast.hear()

    def switch(self, feeds: Sequence[Feed], withdraw: Withdraw | None) -> None:
        """The system may have *feeds* from now on, and nothing else.

        Args:
            feeds: What it may have and can be fed.
            withdraw: None where what it may have is not known: then nothing is taken away.
        """
        before, self._feeds = self._feeds, {feed.topic: feed for feed in feeds}
        self._streams |= {feed.topic: feed.view.stream for feed in feeds}
        self._today = None  # days may have changed as well
        changing = []
        for topic, was in before.items():
            now = self._feeds.get(topic)
            sink = self._sinks.get(topic)
            if now is not None and sink is not None and sink.fingerprint == now.view.fingerprint:
                sink.stand(now.view)
            if now is None or was.view.fingerprint != now.view.fingerprint:
                switch = object()
                self._switching[topic].add(switch)
                change = partial(self._change, topic, switch)
                changing.append(self._see_to("switch", change, self._streams[topic]))
            elif was.expires_on != now.expires_on:
                self._open_expired(topic)
        for place in sorted(self._owned):
            if place[0] not in before and place not in self.at_work:
                self._begin(place)  # it was left a while ago, and is still ours
        self.withdraw = withdraw
        self.begin_withdrawal(changing)
        self.room.set()

    async def _change(self, topic: str, switch: object) -> None:
        """End the lanes of a stream, then open new ones as its feed is by then."""
        async with self._turns.setdefault(topic, asyncio.Lock()):
            sink, feed = self._sinks.get(topic), self._feeds.get(topic)
            is_so = sink is not None and feed is not None
            if not (is_so and sink.fingerprint == feed.view.fingerprint):  # type: ignore[union-attr]
                await self._end_all(topic)
                if (sink := self._sinks.pop(topic, None)) is not None:
                    await self._release(sink)
            self._switching[topic].discard(switch)
            if self._switching[topic]:
                return  # there is news already, and somebody who will see to it
            del self._switching[topic]
            for place in sorted(place for place in self._owned if place[0] == topic):
                if topic not in self._feeds:
                    self._lanes.pop(place, None)
                    self._state(place).releases()
                elif place not in self.at_work:
                    self._begin(place)
        self.room.set()

    async def _end_all(self, topic: str) -> None:
        """Have the lanes of a stream finish the batch in hand and end."""
        for place in self._owned:
            if place[0] == topic:
                self._consumer.pause(place)
        while lanes := [lane for place, lane in self._lanes.items() if place[0] == topic]:
            left = {task for _, task in lanes if not task.done()}
            if not left:
                return
            for lane, task in lanes:
                if task in left:
                    _end(lane, task)
            await asyncio.wait(left, timeout=_LOOK_AGAIN.total_seconds())

    def _open_expired(self, topic: str) -> None:
        """A grant's last day is another: what had stopped for it may go on."""
        for place in sorted(self._owned):
            state = self._state(place)
            if place[0] == topic and (state.status, state.code) == (
                LaneStatus.STOPPED, NotEntitled.code,
            ):  # fmt: skip
                self._begin(place)

    def begin_withdrawal(self, after: Sequence[Kept] = ()) -> None:
        """Take away what the store holds and may no longer; again until it is done."""
        if self._withdrawing is not None:
            self._withdrawing.cancel()
        self._shared.lanes.not_withdrawn.pop(self.system, None)
        if (withdraw := self.withdraw) is not None:
            self._withdrawing = self._see_to(
                "withdrawal", partial(self._take_away, withdraw, after)
            )

    async def _take_away(self, withdraw: Withdraw, after: Sequence[Kept]) -> None:
        if after:
            await asyncio.wait([kept.outcome for kept in after])
        settings, owed = self._shared.settings, self._shared.lanes.not_withdrawn

        async def act() -> Sequence[str]:
            try:
                gone = await withdraw()
            except BusError as error:
                owed[self.system] = error.code
                self._log.error("not-withdrawn", code=error.code, reason=error.message)
                if error.reaction is not Reaction.RETRY:
                    return ()
                raise
            owed.pop(self.system, None)
            return gone

        async def wait(_: BusError, length: timedelta) -> None:
            await self._shared.clock.sleep(length)

        for stream in await retried(act, BackOff(settings.retry_first, settings.retry_most), wait):
            self._log.warning("stream-withdrawn", stream=stream)

    def _see_out(self, lane: Lane, task: asyncio.Task[None]) -> None:
        """End a lane; while its store is away it has nothing in hand that is worth waiting for."""

        async def look() -> None:
            while not task.done():
                _end(lane, task)
                await asyncio.wait({task}, timeout=_LOOK_AGAIN.total_seconds())

        self._see_to("pause", look, lane.state.stream)

    async def _release(self, sink: SharedSink) -> None:
        """Nobody is at work on the store: have no session in it while it is looked after."""
        try:
            await sink.close()
        except BusError as error:
            self._log.warning("not-closed", code=error.code)

    def _see_to(self, task: str, work: Work, stream: str | None = None) -> Kept:
        """Have something done beside the lanes, and again should it fail, until it is."""
        keep = partial(self._shared.tasks.keep, task, work, until_done=True, system=self.system)
        kept = keep() if stream is None else keep(stream=stream)
        self._beside.add(kept)
        kept.outcome.add_done_callback(lambda _: self._beside.discard(kept))
        return kept

    def _pause_of(self, place: Place) -> Operation | None:
        return self._shared.operations.pause_of(self.system, self._streams[place[0]])

    def _stand(self, place: Place) -> None:
        """The lane is paused: nothing is read for it, nothing applied."""
        self._consumer.pause(place)
        state, pause = self._state(place), self._pause_of(place)
        state.pauses(self._shared.clock.now() if pause is None else pause.at)
        self._log_of(place).info("lane-paused", offset=state.offset)
        self._pulse.is_doubted.set()  # if no lane is at work any more, it is let go of
        at_work = any(p[0] == place[0] and not task.done() for p, (_, task) in self._lanes.items())
        if not at_work and (sink := self._sinks.get(place[0])) is not None:
            self._see_to("release", partial(self._release, sink), self._streams[place[0]])

    def _lane_ended(self, place: Place, lane: Lane, task: asyncio.Task[None]) -> None:
        """A lane that ended by itself has stopped: say so; the others go on."""
        if task.cancelled() and not task.cancelling():
            error: BaseException | None = asyncio.CancelledError()  # not by us: from within
        else:
            error = None if task.cancelled() else task.exception()
        is_ours = place in self._owned and self._lanes.get(place, (None, None))[0] is lane
        if error is not None and is_ours:
            self._consumer.pause(place)
        if isinstance(error, BusError):
            self._say_stopped(place, error)
        elif error is not None:
            self._say_defect(place, lane, error)
        elif is_ours:
            self._on(Event.ENDED, place)
        self.room.set()

    def _say_stopped(self, place: Place, error: BusError) -> None:
        state = self._state(place)
        where = error.where.get("offset")
        offset = where if isinstance(where, int) else state.offset
        state.stops(error.code, self._shared.clock.now())
        self._log_of(place).error(
            "lane-stopped", code=error.code, reason=error.message, offset=offset
        )
        self._shared.operations.stopped(self._name(place), error.code, offset)

    def _say_defect(self, place: Place, lane: Lane, error: BaseException) -> None:
        """A defect of ours: a lane that has stopped, and another one after a while."""
        state, name = self._state(place), self._name(place)
        state.stops(DEFECT, self._shared.clock.now())
        wait = self._shared.tasks.fell("lane", error, **name._asdict())
        self._shared.operations.stopped(name, DEFECT, state.offset)

        async def open_again() -> None:
            await asyncio.sleep(wait.total_seconds())
            if place in self._owned and self._lanes.get(place, (None, None))[0] is lane:
                self._begin(place)
                if self._lanes[place][0] is lane:  # it is paused by now, or has expired
                    self._shared.tasks.forget("lane", **name._asdict())

        self._see_to("again", open_again, name.stream)

    def _name(self, place: Place) -> LaneName:
        return LaneName(self.system, self._streams[place[0]], place[1])

    def _state(self, place: Place) -> LaneState:
        return self._shared.lanes.of(*self._name(place))

    def _log_of(self, place: Place) -> Any:
        return self._log.bind(stream=self._streams[place[0]], partition=place[1])

    def _has_expired(self, place: Place) -> bool:
        feed, now = self._feeds.get(place[0]), self._shared.clock.now()
        last = None if feed is None else feed.expires_on
        return last is not None and now.astimezone(JAPAN).date() > last

    def stop_expired(self) -> None:
        """A subscription may end while the process runs: nothing is let out after its last day."""
        today = self._shared.clock.now().astimezone(JAPAN).date()
        if today == self._today:
            return
        self._today = today
        for place in self.at_work:
            if self._has_expired(place):
                self._on(Event.EXPIRED, place)

    def _stop(self, place: Place, error: BusError) -> None:
        self._consumer.pause(place)
        self._say_stopped(place, error)

    def stop_lane(self, error: BusError) -> bool:
        """A fetch failed for one partition alone: stop its lane; whether that could be done."""
        place = (str(error.where.get("topic")), error.where.get("partition"))
        for known, (_, task) in self._lanes.items():
            if known == place and not task.done():
                task.cancel()
                self._stop(known, error)
                return True
        return False

    async def close(self) -> None:
        """Leave the group and let go of the stores; whoever does not answer is left."""
        for kept in list(self._beside):
            kept.cancel()
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


def _end(lane: Lane, task: asyncio.Task[None]) -> None:
    """Have a lane finish the batch in hand, or let go of what is not worth waiting for."""
    lane.leave()
    if lane.may_be_abandoned:
        task.cancel()


class _Store:
    """A fleet's lanes, as who looks at their store needs to know and to tell them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def is_any_at_work(self) -> bool:
        return bool(self._fleet.at_work)

    def make_sink(self) -> Sink:
        return next(iter(self._fleet._feeds.values())).sink()

    def marks(self) -> Marks:
        found = {}
        for place, lane in self._fleet.at_work.items():
            if (mark := lane.mark) is not None:
                found[self._fleet._streams[place[0]], place[1]] = mark
        return found

    def has_moved(self, lane: LaneOfStore) -> None:
        for place, found in self._fleet.at_work.items():
            if (self._fleet._streams[place[0]], place[1]) == lane:
                found.ask_anew(LaneLost("the store says that this lane stands elsewhere"))

    def went_back(self) -> None:
        fleet = self._fleet
        for sink in fleet._sinks.values():
            sink.reopen()
        for lane in fleet.at_work.values():
            lane.ask_anew(StoreWentBack("the store went back; its lanes ask it anew"))
        fleet.begin_withdrawal()
        fleet._shared.metrics.went_back(fleet.system)

    async def protection_ends(self) -> Marks:
        fleet = self._fleet
        topics = {feed.topic for feed in fleet._feeds.values() if feed.view.protects}
        topics -= {topic for topic in topics if fleet._pause_of((topic, 0)) is not None}
        if not topics:
            return {}
        counts = await fleet._shared.broker.partitions(sorted(topics))
        places = [(topic, n) for topic, count in counts.items() for n in range(count)]
        ends = await fleet._consumer.end_offsets(places)
        return {(fleet._streams[topic], n): Mark(end, None) for (topic, n), end in ends.items()}


class _Reading:
    """What one lane asks of its fleet's consumer."""

    def __init__(self, fleet: Fleet, place: Place) -> None:
        self._fleet = fleet
        self._place = place

    async def ends(self) -> tuple[int, int]:
        consumer = self._fleet._consumer
        begin = await consumer.beginning_offsets([self._place])
        end = await consumer.end_offsets([self._place])
        return begin[self._place], end[self._place]

    def seek(self, offset: int) -> None:
        if self._place in self._fleet._lanes:
            self._fleet._consumer.seek(self._place, offset)

    def pause(self) -> None:
        if self._place in self._fleet._lanes:
            self._fleet._consumer.pause(self._place)
        self._fleet.room.set()

    def resume(self) -> None:
        if self._place in self._fleet._lanes:
            self._fleet._consumer.resume(self._place)

    def done(self, offset: int) -> None:
        self._fleet.telling.done(self._place, offset)

    def has_room(self) -> None:
        self._fleet.room.set()
