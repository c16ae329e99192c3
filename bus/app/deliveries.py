"""Run deliveries to many systems in one process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from bus.app.clients import connect, registry
from bus.app.configured import catalog
from bus.app.entitlements import Entitlements
from bus.app.keys import proofs, seals
from bus.app.masking import mask_keys
from bus.app.systems import connections
from bus.broker import Broker
from bus.catalog import Catalog
from bus.catalog.decoding import BatchReader
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.clock import SystemClock
from bus.deliver.process import ProcessContext
from bus.deliver.reading import Remembering
from bus.errors import LaneError, RegistryUnavailable
from bus.hosting.host import host, ill, observe, opened_process
from bus.hosting.system_delivery import SystemDelivery
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.policy import feed_policy, read_subscriptions
from bus.settings import Settings


@asynccontextmanager
async def sharing(
    settings: Settings, cluster: Broker, streams: Catalog, known: Registry
) -> AsyncIterator[tuple[Mapping[str, BatchReader], ProcessContext]]:
    """What the systems of a process share: the streams' readers, and what is made of clients.

    The clients are the caller's: a process that delivers opens them for itself, a session has them.
    """
    keep_freed()
    async with AsyncExitStack() as stack:
        bare = {name: Reader(stream, streams, known) for name, stream in streams.streams.items()}
        await _prime(bare.values())
        readers = {name: Remembering(reader) for name, reader in bare.items()}
        process = await stack.enter_async_context(
            opened_process(
                broker=cluster,
                ids=known,
                streams=streams.streams,
                readers=readers,
                settings=settings,
                clock=SystemClock(),
                metrics=Metrics(),
                proofs=proofs(settings),
                seals=seals(settings),
            )
        )
        yield readers, process


@asynccontextmanager
async def delivering(
    settings: Settings, cluster: Broker, systems: Sequence[str] = ()
) -> AsyncIterator[tuple[ProcessContext, list[SystemDelivery]]]:
    """The deliveries to *systems* in this process, ready for :func:`bus.hosting.host.host`.

    Raises:
        ConfigurationError: No system can be hosted as it is configured.
        PolicyError: No system has a subscription of which a view can be made.
    """
    chosen, keys = connections(settings, systems), mask_keys(settings)
    streams = catalog(settings)
    async with (
        registry(settings) as known,
        sharing(settings, cluster, streams, known) as (readers, process),
    ):
        files = read_subscriptions(streams, settings.schemas)
        entitlements = Entitlements(streams, files, chosen, readers, process, keys)
        deliveries = []
        for system in chosen:
            fed, withdraw = entitlements.of(system)
            policy = feed_policy(system)
            delivery = SystemDelivery(
                system,
                fed,
                process,
                sends_receipts=policy.sends_receipts,
                gather=settings.ledger_gather if policy.gathers else timedelta(),
                withdraw=withdraw,
            )
            entitlements.follow(delivery)
            deliveries.append(delivery)
        if not any(delivery.fleet.topics for delivery in deliveries):
            raise entitlements.refusals[0]
        yield process, deliveries


async def _prime(readers: Iterable[Reader]) -> None:
    """Learn the ids of what is registered, so that the registry is not needed afterwards."""
    try:
        for reader in readers:
            await reader.prime()
    except RegistryUnavailable as error:
        structlog.get_logger("renkei.deliver").warning("registry-away", code=error.code)


async def run_deliveries(
    settings: Settings,
    systems: Sequence[str] = (),
    *,
    once: bool = False,
    watch: Callable[[ProcessContext], Coroutine[Any, Any, None]] | None = None,
    told_to_stop: Callable[[], None] | None = None,
) -> None:
    """Deliver to *systems* (none: all of the settings, and the ledger) until SIGTERM or SIGINT.

    Args:
        once: Deliver what is in the log now, then end.
        watch: Runs meanwhile; for progress.
        told_to_stop: Called at the signal; what is in hand is finished after it.

    Raises:
        BusError: No system can be hosted as it is configured, or, *once*, not all was delivered.
    """
    stop = asyncio.Event()

    def on_signal() -> None:
        stop.set()
        if told_to_stop is not None:
            told_to_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    async with AsyncExitStack() as stack:
        cluster = await connect(stack, settings, stop)
        if cluster is None:
            return
        process, deliveries = await stack.enter_async_context(
            delivering(settings, cluster, systems)
        )
        observe(process, deliveries)
        if settings.http_port is not None:
            ready = {"lanes": lambda: ill(process), "tasks": process.runtime.tasks.ill}
            pages = http.build(process.runtime.metrics, ready=ready)
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.http_port, process.runtime.tasks)
            )
        watching = None
        if watch is not None:
            watching = process.runtime.tasks.keep("progress", partial(watch, process))
        try:
            await host(process, deliveries, stop, once=once)
        finally:
            if watching is not None:
                await watching.end()
    if once and (stopped := process.lanes.stopped()):
        raise LaneError("lanes have stopped and wait for a person", lanes=len(stopped))
    if once and (paused := process.lanes.paused()):
        raise LaneError("lanes are paused and were not delivered to", lanes=len(paused))
    if once and process.lanes.undelivered:
        systems = sorted({system for system, _ in process.lanes.undelivered})
        raise LaneError("not everything may be delivered", systems=", ".join(systems))
