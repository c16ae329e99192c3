"""What operators do: events that are set aside, and lanes that are paused."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from bus.app.configured import catalog, granted, this_day
from bus.app.outside import broker, registry
from bus.backoff import BackOff
from bus.broker import Broker, Producer
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.clock import SystemClock
from bus.control.editions import Editions
from bus.control.operations import Operations
from bus.control.parked import ParkedIndex
from bus.errors import BusError, UnknownName
from bus.log.internal import InternalTopic
from bus.log.tail import Follower
from bus.model import Edition, Stream
from bus.observe.tasks import Tasks
from bus.policy import LEDGER
from bus.settings import Settings

F = TypeVar("F", bound=Follower)


class Desk:
    """What an operator's command reads of the bus's own streams and says in them, over one
    connection to the log. Each is opened when it is asked for first."""

    def __init__(self, settings: Settings, cluster: Broker, ids: Registry, stack: AsyncExitStack):
        self.broker = cluster
        self._settings = settings
        self._ids = ids
        self._stack = stack
        self._streams = catalog(settings)
        self._producer: Producer | None = None

    def reader(self, name: str) -> Reader:
        """What reads a stream."""
        return Reader(self._streams.stream(name), self._streams, self._ids)

    async def parked(self) -> ParkedIndex:
        """What is set aside, as the exception stream says now."""
        made = ParkedIndex(self.broker, *await self._parts("exception"), SystemClock())
        return await self._started(made)

    async def operations(self) -> Operations:
        """How lanes are operated, as the operation stream says now."""
        back_off = BackOff(self._settings.retry_first, self._settings.retry_most)
        parts = await self._parts("operation")
        return await self._started(
            Operations(self.broker, *parts, SystemClock(), back_off, Tasks())
        )

    async def editions(self) -> Editions:
        """The editions of subscriptions, as their stream says now."""
        return await self._started(Editions(self.broker, *await self._parts("subscription")))

    async def _parts(self, name: str) -> tuple[InternalTopic, Stream, Reader]:
        if self._producer is None:
            self._producer = self.broker.producer(client_id="renkei-operator")
            await self._producer.start()
            self._stack.push_async_callback(self._producer.close)
        stream = self._streams.stream(name)
        topic = InternalTopic(self.broker, self._producer, self._ids, stream)
        return topic, stream, self.reader(name)

    async def _started(self, follower: F) -> F:
        self._stack.push_async_callback(follower.close)
        await follower.start()
        return follower


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """A place to work at, for as long as the block lasts.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with AsyncExitStack() as stack:
        ids = await stack.enter_async_context(registry(settings))
        cluster = await stack.enter_async_context(broker(settings))
        yield Desk(settings, cluster, ids, stack)


@asynccontextmanager
async def parked_events(settings: Settings) -> AsyncIterator[ParkedIndex]:
    """What is set aside, as the exception stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with desk(settings) as at:
        yield await at.parked()


@asynccontextmanager
async def operations(settings: Settings) -> AsyncIterator[Operations]:
    """How lanes are operated, as the operation stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with desk(settings) as at:
        yield await at.operations()


@asynccontextmanager
async def editions(settings: Settings) -> AsyncIterator[Editions]:
    """The editions of subscriptions, as their stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with desk(settings) as at:
        yield await at.editions()


def operator() -> str:
    """Who gives the command: the account's name, as the machine has it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return f"uid {os.getuid()}"


def received(
    settings: Settings, system: str, applied: Mapping[str, Edition | BusError]
) -> list[str]:
    """The streams that a system receives today, *applied* by editions or by its file; the ledger
    receives all.

    Raises:
        UnknownName: There is no subscription of this system.
    """
    if system == LEDGER:
        return sorted(catalog(settings).streams)
    known = granted(settings, this_day(), applied)
    if system not in known:
        raise UnknownName("this system receives nothing", system=system)
    return sorted(known[system])


def receivers(
    settings: Settings, stream: str, applied: Mapping[str, Edition | BusError]
) -> list[str]:
    """The systems that receive a stream today, and the ledger, which receives all."""
    known = granted(settings, this_day(), applied)
    return sorted({LEDGER, *(system for system, mine in known.items() if stream in mine)})
