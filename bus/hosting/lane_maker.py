"""Make the lane of a partition, with its pipeline into the sink that a stream's lanes share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from bus.broker import TopicPartition
from bus.deliver.context import LaneContext, PartitionConsumer
from bus.deliver.lane import Lane
from bus.deliver.pipeline import Pipeline
from bus.deliver.process import ProcessContext
from bus.deliver.pulse import StorePulse
from bus.deliver.shared_sink import SharedSink
from bus.hosting.feeds import Feed
from bus.hosting.roster import Roster


class LaneMaker:
    """One fleet's.

    Args:
        pulse: Of the store that all lanes of the system share.
        consumer_for: What the lane of a partition asks of the consumer that feeds it.
        sends_receipts: Whether receipts go out, or stay in the store alone.
        gather: How long a lane lets events come first.
    """

    def __init__(
        self,
        roster: Roster,
        process: ProcessContext,
        pulse: StorePulse,
        consumer_for: Callable[[TopicPartition], PartitionConsumer],
        *,
        sends_receipts: bool,
        gather: timedelta,
    ) -> None:
        self._roster = roster
        self._process = process
        self._pulse = pulse
        self._consumer_for = consumer_for
        self._sends_receipts = sends_receipts
        self._gather = gather

    def lane(self, place: TopicPartition) -> Lane:
        """A new lane; once it runs, it asks its store for its position."""
        process, feed = self._process, self._roster.feeds[place[0]]
        sink = self._sink_of(feed)
        pipeline = Pipeline(
            LaneContext(feed.view, place, process),
            sink,
            feed.reader,
            self._consumer_for(place),
            process,
            sends_receipts=self._sends_receipts,
            protects=feed.view.protects and sink.suppresses is not None,
        )
        tells = partial(self._roster.tells, feed.view)
        return Lane(pipeline, process, gather=self._gather, tells=tells)

    def _sink_of(self, feed: Feed) -> SharedSink:
        """The sink that the lanes of a stream share."""
        if feed.topic not in self._roster.sinks:
            made = SharedSink(feed.sink(), feed.view, self._pulse)
            self._roster.sinks[feed.topic] = made
        return self._roster.sinks[feed.topic]
