"""The partitions and lanes of one system in this process, and what the system may have.

Plain facts; what is done about them is :mod:`bus.hosting.fleet`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from bus.broker import TopicPartition
from bus.deliver.lane import Lane
from bus.deliver.process import ProcessContext
from bus.deliver.shared_sink import SharedSink
from bus.deliver.state import LaneState, LaneStatus
from bus.hosting.feeds import JAPAN, Feed
from bus.hosting.fleet_table import Situation, Want, wanted
from bus.model import LaneName, Operation, View

LOOK_AGAIN = timedelta(seconds=1)
"""At a lane that is to end."""
Running = tuple[Lane, asyncio.Task[None]]


class Roster:
    """The partitions, lanes and feeds of one fleet."""

    def __init__(self, system: str, feeds: Sequence[Feed], process: ProcessContext) -> None:
        self.system = system
        self.feeds = {feed.topic: feed for feed in feeds}
        self.streams = {feed.topic: feed.view.stream for feed in feeds}  # ever fed
        self.sinks: dict[str, SharedSink] = {}
        self.owned: set[TopicPartition] = set()
        self.lanes: dict[TopicPartition, Running] = {}  # also such as have ended
        self.switching: defaultdict[str, set[object]] = defaultdict(set)
        """By topic whose lanes end for others to open: those switches that are not done."""
        self._process = process

    @property
    def at_work(self) -> dict[TopicPartition, Lane]:
        """The lanes that have not ended."""
        return {place: lane for place, (lane, task) in self.lanes.items() if not task.done()}

    @property
    def states(self) -> dict[TopicPartition, LaneState]:
        """The states of the lanes that this process owns now."""
        return {place: self.state(place) for place in sorted(self.owned)}

    def of(self, topic: str) -> list[TopicPartition]:
        """The partitions of one topic that this process owns."""
        return sorted(place for place in self.owned if place[0] == topic)

    def is_current(self, place: TopicPartition, lane: Lane) -> bool:
        """Whether the partition is owned, and *lane* is the last that was opened for it."""
        return place in self.owned and self.lanes.get(place, (None, None))[0] is lane

    def name(self, place: TopicPartition) -> LaneName:
        """The name of a partition's lane."""
        return LaneName(self.system, self.streams[place[0]], place[1])

    def state(self, place: TopicPartition) -> LaneState:
        """The state of a partition's lane, or of its last one."""
        return self._process.lanes.of(*self.name(place))

    def pause_of(self, place: TopicPartition) -> Operation | None:
        """The pause of a stream; None if it is not paused."""
        return self._process.control.operations.pause_of(self.system, self.streams[place[0]])

    def has_expired(self, place: TopicPartition) -> bool:
        """Whether the last day of the stream's grant is over."""
        feed, now = self.feeds.get(place[0]), self._process.runtime.clock.now()
        last = None if feed is None else feed.expires_on
        return last is not None and now.astimezone(JAPAN).date() > last

    def situation(self, place: TopicPartition) -> Situation:
        """The situation of a partition, for the table."""
        if place not in self.owned:
            return Situation.ELSEWHERE
        if place in self.at_work:
            return Situation.WORKING
        has_stopped = self.state(place).status is LaneStatus.STOPPED
        return Situation.STOPPED if has_stopped else Situation.NONE

    def want(self, place: TopicPartition) -> Want:
        """What is wanted of a stream's lanes, for the table."""
        return wanted(
            is_paused=self.pause_of(place) is not None,
            is_changing=place[0] in self.switching or place[0] not in self.feeds,
            has_expired=self.has_expired(place),
        )

    def tells(self, view: View) -> bool:
        """Whether lanes of *view* tell their store who is covered.

        Lanes of the protection stream do; in a system without it, lanes of all streams that have
        the flag.
        """
        is_given = any(feed.view.protects for feed in self.feeds.values())
        return view.protects if is_given else view.is_fenced

    def lags(self, ends: Mapping[TopicPartition, int]) -> dict[str, tuple[int, float]]:
        """By stream: how many events its lanes here are behind, and how old the oldest is (s).

        Args:
            ends: Of the logs; a lane whose store has not said yet where it stands is not there.
        """
        now_ms = self._process.runtime.clock.now().timestamp() * 1000
        lags: dict[str, tuple[int, float]] = {}
        for place, end in ends.items():
            state = self.state(place)
            behind = max(end - state.offset, 0)
            since_ms = state.oldest_ms if behind else None
            age = max(now_ms - since_ms, 0) / 1000 if since_ms is not None else 0.0
            events, seconds = lags.get(state.stream, (0, 0.0))
            lags[state.stream] = (events + behind, max(seconds, age))
        return lags


def end(lane: Lane, task: asyncio.Task[None]) -> None:
    """Have a lane finish the batch in hand, or cancel it if that is not worth waiting for."""
    lane.leave()
    if lane.may_be_abandoned:
        task.cancel()
