"""The rows applied in the last minutes: from the monitor, or else from the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bus.monitor.page import ask_monitor
from bus.monitor.recent import read_recent
from bus.monitor.report import report
from bus.monitor.windows import KEEP_MINUTES
from bus.operate.session import Session

__all__ = ["KEEP_MINUTES", "throughput"]


async def throughput(session: Session, last: int) -> dict[str, Any]:
    """What the monitor says of the last minutes or, where it does not answer, the log itself.

    Raises:
        Unavailable: Nor does the log.
    """
    settings = session.settings
    if settings.monitor_port is not None:
        host, port = settings.http_host, settings.monitor_port
        said = await ask_monitor(f"http://{host}:{port}", last)
        if said is not None:
            return {"source": "monitor", **said}
    topic = session.catalog.stream("receipt").topic
    windows = await read_recent(await session.broker(), topic, await session.reader("receipt"))
    return {"source": "log", **report(windows, None, now=datetime.now(UTC).timestamp(), last=last)}
