"""What operators do: events that are set aside, and lanes that are paused."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bus.app.configured import catalog, granted, this_day
from bus.app.outside import broker, registry
from bus.backoff import BackOff
from bus.broker import Broker
from bus.catalog.wire import Reader
from bus.deliver.clock import SystemClock
from bus.deliver.editions import Editions
from bus.deliver.internal import InternalTopic
from bus.deliver.operations import Operations
from bus.deliver.parked import ParkedIndex
from bus.errors import BusError, ConfigurationError
from bus.model import Edition, Stream
from bus.observe.tasks import Tasks
from bus.policy import LEDGER
from bus.settings import Settings


@asynccontextmanager
async def parked_events(settings: Settings) -> AsyncIterator[ParkedIndex]:
    """What is set aside, as the exception stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with _internal(settings, "exception") as (cluster, topic, stream, reader):
        index = ParkedIndex(cluster, topic, stream, reader, SystemClock())
        try:
            await index.start()
            yield index
        finally:
            await index.close()


@asynccontextmanager
async def operations(settings: Settings) -> AsyncIterator[Operations]:
    """How lanes are operated, as the operation stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with _internal(settings, "operation") as (cluster, topic, stream, reader):
        back_off = BackOff(settings.retry_first, settings.retry_most)
        operated = Operations(cluster, topic, stream, reader, SystemClock(), back_off, Tasks())
        try:
            await operated.start()
            yield operated
        finally:
            await operated.close()


@asynccontextmanager
async def editions(settings: Settings) -> AsyncIterator[Editions]:
    """The editions of subscriptions, as their stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with _internal(settings, "subscription") as (cluster, topic, stream, reader):
        applied = Editions(cluster, topic, stream, reader)
        try:
            await applied.start()
            yield applied
        finally:
            await applied.close()


@asynccontextmanager
async def _internal(
    settings: Settings, name: str
) -> AsyncIterator[tuple[Broker, InternalTopic, Stream, Reader]]:
    """One of the bus's own streams, for a command that reads it and appends to it."""
    streams = catalog(settings)
    stream = streams.stream(name)
    async with registry(settings) as known, broker(settings) as cluster:
        producer = cluster.producer(client_id="renkei-operator")
        await producer.start()
        try:
            topic = InternalTopic(cluster, producer, known, stream)
            yield cluster, topic, stream, Reader(stream, streams, known)
        finally:
            await producer.close()


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
        ConfigurationError: There is no such system.
    """
    if system == LEDGER:
        return sorted(catalog(settings).streams)
    known = granted(settings, this_day(), applied)
    if system not in known:
        raise ConfigurationError("there is no such system", system=system)
    return sorted(known[system])
