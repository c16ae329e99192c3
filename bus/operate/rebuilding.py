"""Rebuild what a system holds, from the log's beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bus.app.deliveries import sharing
from bus.app.entitling import Entitling
from bus.app.mask_keys import mask_keys
from bus.app.outside import broker
from bus.app.systems import connections
from bus.connect import Fresh, Left
from bus.deliver.fleet import Feed
from bus.deliver.shared import Shared
from bus.errors import ConfigurationError
from bus.policy import LEDGER, read_subscriptions
from bus.rebuild.rebuild import Rebuild, Rebuilt, staging
from bus.settings import Settings


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What of one system can be rebuilt, stream by stream."""

    feeds: Sequence[Feed]
    shared: Shared

    async def events(self, feed: Feed) -> int:
        """How many events the stream's log has room for: holes count too."""
        count = (await self.shared.broker.partitions([feed.topic])).get(feed.topic, 0)
        places = [(feed.topic, partition) for partition in range(count)]
        consumer = self.shared.broker.consumer(client_id="renkei-rebuild")
        await consumer.start()
        try:
            begin = await consumer.beginning_offsets(places)
            end = await consumer.end_offsets(places)
        finally:
            await consumer.close()
        return sum(end[place] - begin[place] for place in places)

    async def left(self, feed: Feed) -> Left | None:
        """What an earlier rebuild left half filled; None if nothing."""
        return await self._with(feed, lambda fresh: fresh.left(feed.view))

    async def discard(self, feed: Feed) -> Left | None:
        """Take away what an earlier rebuild left; what it was.

        Raises:
            RebuildBusy: It is being filled now.
        """
        return await self._with(feed, lambda fresh: fresh.discard(feed.view))

    async def _with(
        self, feed: Feed, act: Callable[[Fresh], Awaitable[Left | None]]
    ) -> Left | None:
        sink = feed.sink()
        try:
            return await act(staging(sink).fresh())
        finally:
            await sink.close()

    async def rebuild(self, feed: Feed, progress: Callable[[int, int], None]) -> Rebuilt:
        """Fill one stream's table anew, and put it in place.

        Raises:
            BusError: It cannot be; the table in use is as it was.
        """
        return await Rebuild(
            feed.view,
            feed.topic,
            reader=feed.reader,
            sink=feed.sink(),
            shared=self.shared,
            progress=progress,
        ).run()


@asynccontextmanager
async def rebuilding(
    settings: Settings, system: str, stream: str | None = None
) -> AsyncIterator[Rebuilding]:
    """What of *system* can be rebuilt: one stream, or all that it receives today.

    Raises:
        ConfigurationError: There is no such system, it does not receive this stream, or it is the
            ledger.
        PolicyError: It may have nothing today.
    """
    if system == LEDGER:
        raise ConfigurationError("the ledger is a history; it is not rebuilt", system=system)
    chosen, keys = connections(settings, [system]), mask_keys(settings)
    async with broker(settings) as cluster, sharing(settings, cluster) as found:
        streams, readers, both = found
        files = read_subscriptions(streams, settings.schemas)
        entitling = Entitling(streams, files, chosen, readers, both, keys)
        feeds, _ = entitling.of(system)
        if not feeds:
            raise entitling.refusals[0]
        if stream is not None:
            feeds = [feed for feed in feeds if feed.view.stream == stream]
            if not feeds:
                raise ConfigurationError(
                    "the system does not receive this stream", system=system, stream=stream
                )
        yield Rebuilding(feeds, both)
