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
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import partial

import structlog

from bus.broker import Consumer, Fetched, TopicPartition
from bus.deliver.lane import Lane
from bus.deliver.process import ProcessContext
from bus.deliver.pulse import StorePulse
from bus.errors import BusError, NotEntitled
from bus.hosting.background import BackgroundTasks
from bus.hosting.facade import ConsumerFacade, LanesOfStore
from bus.hosting.feeds import JAPAN, Feed, Withdraw
from bus.hosting.fleet_table import Deed, Event, deed
from bus.hosting.lane_maker import LaneMaker
from bus.hosting.offset_committer import OffsetCommitter
from bus.hosting.roster import Roster, end
from bus.hosting.stopping import StopReports, Targets, closed, ended
from bus.hosting.store_watch import StoreWatch
from bus.hosting.switching import Switching
from bus.hosting.withdrawal import Withdrawal
from bus.model import Operation, OperationState

_EXPIRED = "the subscription has expired"
_log = structlog.get_logger("renkei.deliver")


class Fleet:
    """All lanes of one system in this process, also those that have ended here."""

    def __init__(
        self,
        roster: Roster,
        process: ProcessContext,
        consumer: Consumer,
        *,
        sends_receipts: bool,
        gather: timedelta,
        withdraw: Withdraw | None = None,
    ) -> None:
        self.roster = roster
        self.system = roster.system
        self.room = asyncio.Event()
        """Set when a lane has room again, or has ended."""
        self._log = _log.bind(system=roster.system)
        self.committer = OffsetCommitter(consumer, process.runtime.clock, self._log)
        self._process = process
        self._consumer = consumer
        self._background = BackgroundTasks(roster.system, process, self._log)
        self.withdrawal = Withdrawal(roster.system, process, self._background, self._log)
        self.withdrawal.withdraw = withdraw
        self._stop_reports = StopReports(roster, process, self._background, self._log)
        self._switching = Switching(roster, consumer, self._background, self._begin, self.room.set)
        self.targets = Targets(roster, consumer, process)
        self._today: date | None = None
        self._pulse = StorePulse(process.runtime.clock)
        self._maker = LaneMaker(
            roster,
            process,
            self._pulse,
            self._consumer_for,
            sends_receipts=sends_receipts,
            gather=gather,
        )
        self.store_watch = StoreWatch(
            LanesOfStore(roster, process, consumer, self.withdrawal), self._pulse, self._log
        )

    @property
    def topics(self) -> list[str]:
        """The topics of the system's streams."""
        return sorted(self.roster.feeds)

    @property
    def at_work(self) -> dict[TopicPartition, Lane]:
        """The lanes that have not ended."""
        return self.roster.at_work

    async def lags(self) -> dict[str, tuple[int, float]]:
        """:meth:`Roster.lags` now."""
        known = [place for place, state in self.roster.states.items() if state.has_stood]
        return self.roster.lags(await self._consumer.end_offsets(known)) if known else {}

    def switch(self, feeds: Sequence[Feed], withdraw: Withdraw | None) -> None:
        """The system may have *feeds* from now on, and nothing else.

        Args:
            feeds: What it may have and can be fed.
            withdraw: None where what it may have is not known: then nothing is taken away.
        """
        self._today = None  # days may have changed as well
        self.targets.deal_anew()
        changing = self._switching.to(feeds)
        self.withdrawal.withdraw = withdraw
        self.withdrawal.begin(changing)
        self.room.set()

    def feed(self, fetched: Fetched) -> None:
        """Hand over what was fetched; a lane that is not open does not take it."""
        lane, _ = self.roster.lanes.get((fetched.topic, fetched.partition), (None, None))
        if lane is not None and lane.is_open:
            lane.feed(fetched)

    # -- partitions come and go --------------------------------------------------------------

    def take(self, places: Sequence[TopicPartition]) -> None:
        """Own these partitions, and open a lane for each that may run."""
        self._today = None
        self.targets.deal_anew()
        for place in places:
            self.roster.owned.add(place)
            self._consumer.pause(place)
            self._consumer.seek(place, 0)  # the lane will say where
            self._begin(place)

    def _begin(self, place: TopicPartition) -> None:
        """A lane, unless something else is wanted."""
        self._on(Event.BEGINS, place)

    # -- what happens, and what is done about it ----------------------------------------------

    def _on(self, event: Event, place: TopicPartition) -> None:
        """Do what the table says for this event."""
        match deed(event, self.roster.situation(place), self.roster.want(place)):
            case Deed.OPEN:
                self._open(place)
            case Deed.STAND:
                self._stand(place)
            case Deed.SEE_OUT:
                self._stop_reports.see_out(*self.roster.lanes[place])
            case Deed.REFUSE:
                self._stop(place, NotEntitled(_EXPIRED))
            case Deed.END_REFUSED:
                end(*self.roster.lanes[place])
                self._stop(place, NotEntitled(_EXPIRED))

    async def release(self, places: Sequence[TopicPartition]) -> None:
        """Give these partitions up; another process tells of them from now on."""
        await self.leave(places)
        for place in places:
            self.roster.state(place).releases()

    async def leave(self, places: Collection[TopicPartition] | None = None) -> None:
        """Let lanes (all of them, also such as the group is taking away) finish the batch in hand,
        or let go of it when time is up."""
        places = list(self.roster.owned | self.roster.lanes.keys() if places is None else places)
        self.roster.owned.difference_update(places)
        self.targets.deal_anew()
        leaving = [self.roster.lanes[place] for place in places if place in self.roster.lanes]
        for lane, task in leaving:
            end(lane, task)
        within = self._process.runtime.settings.stop_within.total_seconds()
        if late := await ended({task for _, task in leaving}, within * 0.7):
            self._log.warning("lanes-abandoned", lanes=late)
        with suppress(TimeoutError):
            async with asyncio.timeout(within * 0.1):
                await self.committer.commit()
        for place in places:
            gone = self.roster.lanes.pop(place, None)
            self._process.runtime.tasks.forget("lane", **self.roster.name(place)._asdict())
            if gone is not None:
                gone[0].state.leaves()

    # -- lanes begin and end -----------------------------------------------------------------

    def _open(self, place: TopicPartition) -> None:
        """Open a new lane, which asks its store for its position."""
        lane = self._maker.lane(place)
        task = asyncio.create_task(lane.run())
        self.roster.lanes[place] = lane, task
        self.targets.forget()
        task.add_done_callback(partial(self._lane_ended, place, lane))
        self._process.runtime.tasks.begun("lane", **self.roster.name(place)._asdict())

    def _consumer_for(self, place: TopicPartition) -> ConsumerFacade:
        return ConsumerFacade(place, self.roster, self._consumer, self.committer, self.room)

    def instruct(self, operation: Operation) -> None:
        """An operator has spoken: pause the lanes of a stream, or have them all go on.

        Or a lane of another process says that the store went back.
        """
        if operation.partition is not None:
            self._hear(operation)
            return
        for place in sorted(self.roster.owned):
            if self.roster.streams[place[0]] != operation.stream:
                continue
            if operation.state is OperationState.PAUSED:
                self._consumer.pause(place)
                self._on(Event.PAUSED, place)
            elif place not in self.at_work:
                if (sink := self.roster.sinks.get(place[0])) is not None:
                    sink.renew()
                self._on(Event.RESUMED, place)
        self.room.set()

    def _hear(self, word: Operation) -> None:
        lanes = {(self.roster.streams[topic], n) for topic, n in self.at_work}
        if word.has_gone_back and (word.stream, word.partition) not in lanes:
            self.store_watch.hear()

    def _stand(self, place: TopicPartition) -> None:
        """Pause a lane: nothing is read for it, and nothing applied."""
        self._consumer.pause(place)
        state, pause = self.roster.state(place), self.roster.pause_of(place)
        state.pauses(self._process.runtime.clock.now() if pause is None else pause.at)
        self._stop_reports.log_of(place).info("lane-paused", offset=state.offset)
        self._pulse.is_doubted.set()  # if no lane is at work any more, it is let go of
        at_work = {topic for topic, _ in self.at_work}
        if place[0] not in at_work and (sink := self.roster.sinks.get(place[0])) is not None:
            let_go = partial(self._background.let_go, sink)
            self._background.keep_until_done("release", let_go, self.roster.streams[place[0]])

    def _lane_ended(self, place: TopicPartition, lane: Lane, task: asyncio.Task[None]) -> None:
        """Tell that a lane that ended by itself has stopped; the others go on."""
        if task.cancelled() and not task.cancelling():
            error: BaseException | None = asyncio.CancelledError()  # not by us: from within
        else:
            error = None if task.cancelled() else task.exception()
        is_ours = self.roster.is_current(place, lane)
        if error is not None and is_ours:
            self._consumer.pause(place)
        if isinstance(error, BusError):
            self._stop_reports.on_error(place, error, lane.stuck_at)
        elif error is not None:
            again = partial(self._again, place, lane)
            self._stop_reports.on_defect(place, error, again)
        elif is_ours:
            self._on(Event.ENDED, place)
        self.room.set()

    def _again(self, place: TopicPartition, lane: Lane) -> None:
        """Open another lane a while after a defect of *lane*."""
        if self.roster.is_current(place, lane):
            self._begin(place)
            if self.roster.lanes[place][0] is lane:  # it is paused by now, or has expired
                self._process.runtime.tasks.forget("lane", **self.roster.name(place)._asdict())

    def stop_expired(self) -> None:
        """Stop the lanes of grants whose last day is over."""
        today = self._process.runtime.clock.now().astimezone(JAPAN).date()
        if today == self._today:
            return
        self._today = today
        for place in self.at_work:
            if self.roster.has_expired(place):
                self._on(Event.EXPIRED, place)

    def _stop(self, place: TopicPartition, error: BusError, offset: int | None = None) -> None:
        self._consumer.pause(place)
        self._stop_reports.on_error(place, error, offset)

    def stop_lane(self, topic: str, partition: int, offset: int, error: BusError) -> bool:
        """Stop the lane of a partition that could not be fetched from; False if there is none."""
        place = (topic, partition)
        _, task = self.roster.lanes.get(place, (None, None))
        if task is None or task.done():
            return False
        task.cancel()
        self._stop(place, error, offset)
        return True

    async def close(self) -> None:
        """Leave the group and close the stores; those that do not answer in time are left."""
        self._background.cancel()
        within = self._process.runtime.settings.stop_within.total_seconds() * 0.2
        for error in await closed(self._consumer, list(self.roster.sinks.values()), within):
            self._log.warning("not-closed", code=error.code)
