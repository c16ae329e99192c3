"""Run the monitor, which watches the receipts."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial

import structlog

from bus.app.clients import connect, registry
from bus.app.configured import catalog
from bus.app.deliverers import Deliverers
from bus.app.expected import ExpectedSystems
from bus.broker import Broker
from bus.catalog import Catalog
from bus.catalog.registry import SchemaIds
from bus.catalog.wire import Reader
from bus.clock import Clock, SystemClock
from bus.control.editions import Editions
from bus.credentials import kafka_security
from bus.errors import ConfigurationError, Unavailable
from bus.hosting.host import LOOK_FOR_NEWS_EVERY
from bus.log.internal import InternalTopic
from bus.monitor.page import throughput_page
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.settings import Settings

_log = structlog.get_logger()


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
        tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
        editions = _editions(cluster, known, streams)
        stack.push_async_callback(editions.close)
        await editions.start()
        expected = ExpectedSystems(settings, streams, editions)
        following = tasks.keep("follower", partial(follow, editions, SystemClock()))
        stack.push_async_callback(following.end)
        watched = WatchedCluster(
            cluster,
            settings.need("kafka"),
            kafka_security(settings),
            streams,
            lambda stream: Reader(stream, streams, known),
            expected.by_stream,
        )
        monitor = Monitor(watched, metrics=metrics, tasks=tasks)
        if settings.monitor_port is not None:
            ready = {
                "monitor": lambda: [] if monitor.is_watching else ["not watching yet"],
                "tasks": tasks.ill,
            }
            deliverers = Deliverers(cluster, expected.hosted, SystemClock())
            stack.push_async_callback(tasks.keep("deliverers", deliverers.run).end)
            pages = http.build(metrics, ready=ready, missing=deliverers.missing)
            pages.router.routes.append(throughput_page(monitor.report))
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.monitor_port, tasks)
            )
        await monitor.run(stop)


def _editions(cluster: Broker, ids: SchemaIds, streams: Catalog) -> Editions:
    """The editions that are applied, by system; not started."""
    stream = streams.stream("subscription")
    saying = InternalTopic(cluster, cluster.producer(client_id="renkei-monitor"), ids, stream)
    return Editions(cluster, saying, stream, Reader(stream, streams, ids))


async def follow(editions: Editions, clock: Clock) -> None:
    """Learn of each edition about a second after it is applied; does not end."""
    while True:
        await clock.sleep(LOOK_FOR_NEWS_EVERY)
        try:
            await editions.catch_up()
        except Unavailable as error:
            _log.warning("operators-unheard", code=error.code, wants="subscriptions")
