"""What was applied in the last minutes: the monitor's answer, or the log's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bus.app.configured import catalog
from bus.app.outside import broker, registry
from bus.catalog.wire import Reader
from bus.monitor.page import ask_monitor
from bus.monitor.recent import read_recent
from bus.monitor.report import report
from bus.settings import Settings


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
