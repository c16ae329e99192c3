"""The consumer as one lane sees it, and a system's lanes as the watch of their store sees them."""

from __future__ import annotations

import asyncio

from bus.broker import Consumer, TopicPartition
from bus.connect import Sink
from bus.deliver.process import ProcessContext
from bus.errors import LaneLost, StoreWentBack
from bus.hosting.offset_committer import OffsetCommitter
from bus.hosting.roster import Roster
from bus.hosting.store_watch import LaneOfStore, Marks
from bus.hosting.withdrawal import Withdrawal
from bus.model import Mark


class ConsumerFacade:
    """The shared consumer, as one lane uses it."""

    def __init__(
        self,
        place: TopicPartition,
        roster: Roster,
        consumer: Consumer,
        committer: OffsetCommitter,
        room: asyncio.Event,
    ) -> None:
        self._place = place
        self._roster = roster
        self._consumer = consumer
        self._committer = committer
        self._room = room

    async def ends(self) -> tuple[int, int]:
        begin = await self._consumer.beginning_offsets([self._place])
        end = await self._consumer.end_offsets([self._place])
        return begin[self._place], end[self._place]

    def seek(self, offset: int) -> None:
        if self._place in self._roster.lanes:
            self._consumer.seek(self._place, offset)

    def pause(self) -> None:
        if self._place in self._roster.lanes:
            self._consumer.pause(self._place)
        self._room.set()

    def resume(self) -> None:
        if self._place in self._roster.lanes:
            self._consumer.resume(self._place)

    def done(self, offset: int) -> None:
        self._committer.done(self._place, offset)

    def has_room(self) -> None:
        self._room.set()


class LanesOfStore:
    """A system's lanes, as the watch of their store uses them."""

    def __init__(
        self, roster: Roster, process: ProcessContext, consumer: Consumer, withdrawal: Withdrawal
    ) -> None:
        self._roster = roster
        self._process = process
        self._consumer = consumer
        self._withdrawal = withdrawal

    @property
    def is_any_at_work(self) -> bool:
        return bool(self._roster.at_work)

    def make_sink(self) -> Sink:
        return next(iter(self._roster.feeds.values())).sink()

    def marks(self) -> Marks:
        found = {}
        for place, lane in self._roster.at_work.items():
            if (mark := lane.mark) is not None:
                found[self._roster.streams[place[0]], place[1]] = mark
        return found

    def has_moved(self, lane: LaneOfStore) -> None:
        for place, found in self._roster.at_work.items():
            if (self._roster.streams[place[0]], place[1]) == lane:
                found.ask_anew(LaneLost("the store says that this lane stands elsewhere"))

    def went_back(self) -> None:
        for sink in self._roster.sinks.values():
            sink.reopen()
        for lane in self._roster.at_work.values():
            lane.ask_anew(StoreWentBack("the store went back; its lanes ask it anew"))
        self._withdrawal.begin()
        self._process.runtime.metrics.went_back(self._roster.system)

    async def protection_ends(self) -> Marks:
        roster = self._roster
        topics = {feed.topic for feed in roster.feeds.values() if feed.view.protects}
        topics -= {topic for topic in topics if roster.pause_of((topic, 0)) is not None}
        if not topics:
            return {}
        counts = await self._process.cluster.broker.partitions(sorted(topics))
        places = [(topic, n) for topic, count in counts.items() for n in range(count)]
        ends = await self._consumer.end_offsets(places)
        return {(roster.streams[topic], n): Mark(end, None) for (topic, n), end in ends.items()}
