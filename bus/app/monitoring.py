"""Run the monitor, which watches the receipts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack

from bus.app.clients import connect, registry
from bus.app.configured import catalog, granted, this_day
from bus.app.deliverers import Deliverers, expected_systems
from bus.broker import Broker
from bus.catalog import Catalog
from bus.catalog.registry import SchemaIds
from bus.catalog.wire import Reader
from bus.clock import SystemClock
from bus.control.editions import Editions
from bus.credentials import kafka_security
from bus.errors import BusError, ConfigurationError
from bus.log.internal import InternalTopic
from bus.model import Edition
from bus.monitor.page import throughput_page
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.settings import Settings


async def run_monitor(settings: Settings) -> None:
    """Watch the receipts until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: Another monitor runs, topics are missing, or Faust is not installed.
    """
    try:
        from bus.monitor.watch import (  # an option: only the monitor needs Faust
            Monitor,
            WatchedCluster,
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError("the monitor needs Faust: install renkei[monitor]") from error

    streams = catalog(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        cluster = await connect(stack, settings, stop)
        if cluster is None:
            return
        metrics = Metrics()
        expected: dict[str, set[str]] = {}
        applied = await _applied(cluster, known, streams)
        for system, views in granted(settings, this_day(), applied).items():
            for stream in views:
                if system in settings.systems or not settings.systems:
                    expected.setdefault(stream, set()).add(system)
        tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
        watched = WatchedCluster(
            cluster,
            settings.need("kafka"),
            kafka_security(settings),
            streams,
            lambda stream: Reader(stream, streams, known),
            expected,
        )
        monitor = Monitor(watched, metrics=metrics, tasks=tasks)
        if settings.monitor_port is not None:
            ready = {
                "monitor": lambda: [] if monitor.is_watching else ["not watching yet"],
                "tasks": tasks.ill,
            }
            systems = expected_systems(settings, applied)
            deliverers = Deliverers(cluster, systems, SystemClock())
            stack.push_async_callback(tasks.keep("deliverers", deliverers.run).end)
            pages = http.build(metrics, ready=ready, missing=deliverers.missing)
            pages.router.routes.append(throughput_page(monitor.report))
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.monitor_port, tasks)
            )
        await monitor.run(stop)


async def _applied(
    cluster: Broker, ids: SchemaIds, streams: Catalog
) -> Mapping[str, Edition | BusError]:
    """The editions that were applied so far, by system."""
    stream = streams.stream("subscription")
    saying = InternalTopic(cluster, cluster.producer(client_id="renkei-monitor"), ids, stream)
    editions = Editions(cluster, saying, stream, Reader(stream, streams, ids))
    try:
        await editions.start()
        return editions.newest
    finally:
        await editions.close()
