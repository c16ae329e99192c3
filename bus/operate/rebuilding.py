"""Rebuild the tables of a system from the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bus.app.deliveries import sharing
from bus.app.entitlements import Entitlements
from bus.app.masking import mask_keys
from bus.app.systems import connections
from bus.connect import LeftoverStaging, Staging
from bus.deliver.process import ProcessContext
from bus.errors import ConfigurationError
from bus.hosting.feeds import Feed
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned
from bus.operate.jobs import OnProgress, Progress
from bus.operate.session import Session
from bus.policy import feed_policy, read_subscriptions
from bus.rebuild.rebuild import Rebuilt, TableRebuild, stages_of


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """Rebuilds the tables of one system, stream by stream."""

    feeds: Sequence[Feed]
    process: ProcessContext

    async def events(self, feed: Feed) -> int:
        """The number of offsets in the stream's log, holes included."""
        count = (await self.process.cluster.broker.partitions([feed.topic])).get(feed.topic, 0)
        places = [(feed.topic, partition) for partition in range(count)]
        consumer = self.process.cluster.broker.consumer(client_id="renkei-rebuild")
        await consumer.start()
        try:
            begin = await consumer.beginning_offsets(places)
            end = await consumer.end_offsets(places)
        finally:
            await consumer.close()
        return sum(end[place] - begin[place] for place in places)

    async def left(self, feed: Feed) -> LeftoverStaging | None:
        """The staging table that an earlier rebuild left; None if there is none."""
        return await self._with(feed, lambda fresh: fresh.left(feed.view))

    async def discard(self, feed: Feed) -> LeftoverStaging | None:
        """Drop the staging table that an earlier rebuild left; what it was.

        Raises:
            RebuildBusy: It is being filled now.
        """
        return await self._with(feed, lambda fresh: fresh.discard(feed.view))

    async def _with(
        self, feed: Feed, act: Callable[[Staging], Awaitable[LeftoverStaging | None]]
    ) -> LeftoverStaging | None:
        sink = feed.sink()
        try:
            return await act(stages_of(sink).staging())
        finally:
            await sink.close()

    async def rebuild(self, feed: Feed, progress: Callable[[int, int], None]) -> Rebuilt:
        """Fill one stream's staging table, and put it in place.

        Raises:
            BusError: It cannot be; the table in use is as it was.
        """
        return await TableRebuild(
            feed.view,
            feed.topic,
            reader=feed.reader,
            sink=feed.sink(),
            process=self.process,
            progress=progress,
        ).run()


@asynccontextmanager
async def rebuilding(
    session: Session, system: str, stream: str | None = None
) -> AsyncIterator[Rebuilding]:
    """What of *system* can be rebuilt: one stream, or all that it receives today.

    Raises:
        ConfigurationError: There is no such system, it does not receive this stream, or it is the
            ledger.
        PolicyError: It may have nothing today.
    """
    settings, streams = session.settings, session.catalog
    if (reason := feed_policy(system).not_rebuilt) is not None:
        raise ConfigurationError(reason, system=system)
    chosen, keys = connections(settings, [system]), mask_keys(settings)
    cluster, known = await session.broker(), await session.registry()
    async with sharing(settings, cluster, streams, known) as (readers, process):
        files = read_subscriptions(streams, settings.schemas)
        entitlements = Entitlements(streams, files, chosen, readers, process, keys)
        feeds, _ = entitlements.of(system)
        if not feeds:
            raise entitlements.refusals[0]
        if stream is not None:
            feeds = [feed for feed in feeds if feed.view.stream == stream]
            if not feeds:
                raise ConfigurationError(
                    "the system does not receive this stream", system=system, stream=stream
                )
        yield Rebuilding(feeds, process)


@dataclass(frozen=True, slots=True)
class ToRebuild:
    """One stream's table that would be rebuilt, and the number of offsets in its log."""

    feed: Feed
    events: int


@dataclass(frozen=True, slots=True)
class RebuildDone:
    """One stream's table, rebuilt."""

    feed: Feed
    rebuilt: Rebuilt


@dataclass(frozen=True, slots=True)
class HalfFilled:
    """The staging table that an earlier rebuild of one stream left."""

    feed: Feed
    left: LeftoverStaging
    is_dry: bool


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Rebuild a system's tables from the log."""

    system: str
    stream: str | None = None  # None: all that it receives, one by one
    on_progress: OnProgress = lambda _: None

    async def plan(self, session: Session) -> RebuildPreview:
        """Which tables would be rebuilt, from how many events.

        Raises:
            ConfigurationError: It cannot be rebuilt.
            PolicyError: The system may have nothing today.
        """
        opened = await session.enter(rebuilding(session, self.system, self.stream))
        found = [ToRebuild(feed, await opened.events(feed)) for feed in opened.feeds]
        return RebuildPreview(self, opened, found)


@dataclass(frozen=True, slots=True)
class RebuildPreview:
    """Tables that would be rebuilt."""

    wanted: Rebuild
    opened: Rebuilding
    tables: Sequence[ToRebuild]
    done: list[RebuildDone] = field(default_factory=list)

    def so_far(self) -> int:
        """The events of the tables that are in place."""
        return sum(each.rebuilt.events for each in self.done)

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return Planned(
            act=Act.REBUILD,
            count=sum(table.events for table in self.tables),
            may_be_empty=True,
            system=self.wanted.system,
            stream=self.wanted.stream,
        )

    def counted(self, _: Sequence[ToRebuild | RebuildDone]) -> int:
        """The events of all tables."""
        return self.so_far()

    async def tried(self, _: Session, __: Order) -> Sequence[ToRebuild | RebuildDone]:
        """These tables."""
        return self.tables

    async def perform(self, _: Session, __: Order) -> Sequence[ToRebuild | RebuildDone]:
        """Rebuild them one by one.

        Raises:
            BusError: One cannot be; those before it are in place, the others as they were.
        """
        done = self.done
        for table in self.tables:
            name = table.feed.view.stream

            def progress(events: int, total: int, name: str = name) -> None:
                self.wanted.on_progress(Progress(name, events, total))

            self.wanted.on_progress(Progress(name))
            done.append(RebuildDone(table.feed, await self.opened.rebuild(table.feed, progress)))
        return done


@dataclass(frozen=True, slots=True)
class Discard:
    """Drop the staging tables that an earlier rebuild left."""

    system: str
    stream: str | None = None

    async def plan(self, session: Session) -> DiscardPreview:
        """The staging tables that are there."""
        opened = await session.enter(rebuilding(session, self.system, self.stream))
        each = [(feed, await opened.left(feed)) for feed in opened.feeds]
        found = [HalfFilled(feed, left, True) for feed, left in each if left is not None]
        return DiscardPreview(self, opened, found)


@dataclass(frozen=True, slots=True)
class DiscardPreview:
    """Staging tables that would be dropped."""

    wanted: Discard
    opened: Rebuilding
    left: Sequence[HalfFilled]

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        wanted = self.wanted
        return Planned(
            act=Act.REBUILD_DISCARD,
            count=len(self.left),
            nothing="no rebuild has left anything half filled",
            where={"system": wanted.system, "stream": wanted.stream},
            system=wanted.system,
            stream=wanted.stream,
        )

    async def tried(self, _: Session, __: Order) -> Sequence[HalfFilled]:
        """What is there."""
        return self.left

    async def perform(self, _: Session, __: Order) -> Sequence[HalfFilled]:
        """Drop them.

        Raises:
            RebuildBusy: It is being filled now.
        """
        done = []
        for each in self.left:
            gone = await self.opened.discard(each.feed)
            if gone is not None:
                done.append(HalfFilled(each.feed, gone, False))
        return done
