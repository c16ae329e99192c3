"""Switch a system to other feeds while its lanes run.

The lanes of a stream whose view is another finish the batch in hand and end; when all of them have,
the store is let go of and new ones open under the new view. Who comes while that is under way does
it once more, in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from bus.broker import Consumer, TopicPartition
from bus.deliver.state import LaneStatus
from bus.errors import NotEntitled
from bus.hosting.background import BackgroundTasks
from bus.hosting.feeds import Feed
from bus.hosting.roster import LOOK_AGAIN, Roster, end
from bus.observe.tasks import SupervisedTask


class Switching:
    """Switches one fleet to other feeds."""

    def __init__(
        self,
        roster: Roster,
        consumer: Consumer,
        background: BackgroundTasks,
        begin: Callable[[TopicPartition], None],
        on_done: Callable[[], None],
    ) -> None:
        self._roster = roster
        self._consumer = consumer
        self._background = background
        self._begin = begin
        self._on_done = on_done
        self._turns: dict[str, asyncio.Lock] = {}

    def to(self, feeds: Sequence[Feed]) -> list[SupervisedTask]:
        """Switch to *feeds* and no others; the tasks that do so."""
        roster = self._roster
        before, roster.feeds = roster.feeds, {feed.topic: feed for feed in feeds}
        roster.streams |= {feed.topic: feed.view.stream for feed in feeds}
        changing = []
        for topic, was in before.items():
            now = roster.feeds.get(topic)
            sink = roster.sinks.get(topic)
            if now is not None and sink is not None and sink.fingerprint == now.view.fingerprint:
                sink.stand(now.view)
            if now is None or was.view.fingerprint != now.view.fingerprint:
                switch = object()
                roster.switching[topic].add(switch)
                change = partial(self._change, topic, switch)
                changing.append(
                    self._background.keep_until_done("switch", change, roster.streams[topic])
                )
            elif was.expires_on != now.expires_on:
                self._open_expired(topic)
        for place in sorted(roster.owned):
            if place[0] not in before and place not in roster.at_work:
                self._begin(place)  # it was left a while ago, and is still ours
        return changing

    async def _change(self, topic: str, switch: object) -> None:
        """End the lanes of a stream, then open new ones for its present feed."""
        roster = self._roster
        async with self._turns.setdefault(topic, asyncio.Lock()):
            sink, feed = roster.sinks.get(topic), roster.feeds.get(topic)
            is_so = sink is not None and feed is not None
            if not (is_so and sink.fingerprint == feed.view.fingerprint):  # type: ignore[union-attr]
                await self._end_all(topic)
                if (sink := roster.sinks.pop(topic, None)) is not None:
                    await self._background.let_go(sink)
            roster.switching[topic].discard(switch)
            if roster.switching[topic]:
                return  # there is news already, and somebody who will see to it
            del roster.switching[topic]
            for place in roster.of(topic):
                if topic not in roster.feeds:
                    roster.lanes.pop(place, None)
                    roster.state(place).releases()
                elif place not in roster.at_work:
                    self._begin(place)
        self._on_done()

    async def _end_all(self, topic: str) -> None:
        """Have the lanes of a stream finish the batch in hand and end."""
        for place in self._roster.of(topic):
            self._consumer.pause(place)
        while lanes := [lane for place, lane in self._roster.lanes.items() if place[0] == topic]:
            left = {task for _, task in lanes if not task.done()}
            if not left:
                return
            for lane, task in lanes:
                if task in left:
                    end(lane, task)
            await asyncio.wait(left, timeout=LOOK_AGAIN.total_seconds())

    def _open_expired(self, topic: str) -> None:
        """Open lanes again that had stopped for a last day that has changed."""
        for place in self._roster.of(topic):
            state = self._roster.state(place)
            if (state.status, state.code) == (LaneStatus.STOPPED, NotEntitled.code):
                self._begin(place)
