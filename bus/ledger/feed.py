"""The ledger's sinks: the connector's own, opened once the ledger's tables are made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bus.connect import Capabilities, Sink, Transactional
from bus.errors import ConfigurationError, Unready
from bus.ledger.store import connected, prepare
from bus.model import Applied, Checkpoint, Delivery, Mark, View


class LedgerFeed:
    """Makes the ledger's sinks. The first that is opened makes the tables, for all."""

    def __init__(self, make: Callable[[], Sink], uri: str, streams: Sequence[str]) -> None:
        self._make = make
        self._uri = uri
        self._streams = streams
        self._is_ready = False
        self._preparing = asyncio.Lock()

    def sink(self) -> Sink:
        """A sink for one view of the ledger."""
        return _LedgerSink(self._make(), self)

    async def make_ready(self) -> None:
        """Make the tables, once."""
        async with self._preparing:
            if not self._is_ready:
                await prepare(connected(self._uri), self._streams)
                self._is_ready = True

    @contextmanager
    def made(self) -> Iterator[None]:
        """If a table is missing inside the block, have all tables made at the next opening."""
        try:
            yield
        except Unready:
            self._is_ready = False
            raise


class _LedgerSink:
    """The connector's sink; while the database is away, opening is what fails and is retried.

    It keeps its positions and nothing else is asked of it: what the ledger has of a stream that is
    gone is still a record, it has no locations to suppress, and a history is not filled anew.
    """

    def __init__(self, sink: Sink, feed: LedgerFeed) -> None:
        self._sink = sink
        self._feed = feed

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(transactional=self)

    async def open(self, view: View) -> None:
        with self._feed.made():
            await self._feed.make_ready()
            await self._sink.open(view)

    async def apply(self, delivery: Delivery) -> Applied:
        with self._feed.made():
            return await self._sink.apply(delivery)

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        return await self._held().checkpoint(partition)

    async def checkpoints(self) -> Mapping[int, Checkpoint]:
        return await self._held().checkpoints()

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        return await self._held().marks()

    async def close(self) -> None:
        await self._sink.close()

    def _held(self) -> Transactional:
        held = self._sink.capabilities.transactional
        if held is None:
            raise ConfigurationError("the ledger's store keeps no positions with its rows")
        return held
