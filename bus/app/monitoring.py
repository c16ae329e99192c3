"""The monitor, and its answer or the log's."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from bus.access import kafka_security
from bus.app.configured import catalog, granted, this_day
from bus.app.operating import editions
from bus.app.outside import broker, connect, registry
from bus.catalog.wire import Reader
from bus.errors import ConfigurationError
from bus.monitor.page import ask_monitor, throughput_page
from bus.monitor.recent import read_recent
from bus.monitor.report import report
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
        from bus.monitor.watch import Monitor  # an option: only the monitor needs Faust
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
        async with editions(settings) as applied:
            expected: dict[str, set[str]] = {}
            for system, views in granted(settings, this_day(), applied.newest).items():
                for stream in views:
                    if system in settings.systems or not settings.systems:
                        expected.setdefault(stream, set()).add(system)
        tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
        monitor = Monitor(
            cluster,
            settings.need("kafka"),
            kafka_security(settings),
            streams,
            lambda stream: Reader(stream, streams, known),
            expected,
            metrics=metrics,
            tasks=tasks,
        )
        if settings.monitor_port is not None:
            ready = {
                "monitor": lambda: [] if monitor.is_watching else ["not watching yet"],
                "tasks": tasks.ill,
            }
            pages = http.build(metrics, ready=ready)
            pages.router.routes.append(throughput_page(monitor.report))
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.monitor_port, tasks)
            )
        await monitor.run(stop)


async def throughput(settings: Settings, last: int) -> dict[str, Any]:
    """What the monitor says of the last minutes or, where it does not answer, the log itself.

    Raises:
        Unavailable: Nor does the log.
    """
    if settings.monitor_port is not None:
        host, port = settings.http_host, settings.monitor_port
        said = await ask_monitor(f"http://{host}:{port}", last)
        if said is not None:
            return {"source": "monitor", **said}
    streams = catalog(settings)
    receipt = streams.stream("receipt")
    async with registry(settings) as known, broker(settings) as cluster:
        windows = await read_recent(cluster, receipt.topic, Reader(receipt, streams, known))
    return {"source": "log", **report(windows, None, now=datetime.now(UTC).timestamp(), last=last)}
