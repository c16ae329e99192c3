"""The rows applied in the last minutes: from the monitor, or else from the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bus.monitor.page import ask_monitor
from bus.monitor.recent import read_recent
from bus.monitor.report import report
from bus.monitor.windows import KEEP_MINUTES
from bus.operate.session import Session

__all__ = ["KEEP_MINUTES", "throughput"]

MOST_SHOWN = 30  # minutes beside each other


@dataclass(frozen=True, slots=True)
class LaneMinutes:
    """What one system had of one stream, minute by minute."""

    system: str
    stream: str
    rows: Sequence[int]
    behind: int | None  # events; None: nobody says


@dataclass(frozen=True, slots=True)
class ByMinute:
    """The same minutes of every system and stream."""

    minutes: Sequence[datetime]  # without a gap; none: nothing was applied
    lanes: Sequence[LaneMinutes]


def by_minute(said: Mapping[str, Any], last: int, zone: ZoneInfo) -> ByMinute:
    """What was *said*, from the first to the newest minute that has something, *last* at most."""
    found = [datetime.fromisoformat(one["minute"]) for one in said["minutes"]]
    if not found:
        return ByMinute((), ())
    newest, first = max(found).astimezone(zone), min(found).astimezone(zone)
    count = min(int((newest - first).total_seconds() // 60) + 1, last, MOST_SHOWN)
    minutes = [newest - timedelta(minutes=back) for back in range(count - 1, -1, -1)]
    rows: dict[tuple[str, str], dict[datetime, int]] = {}
    for one in said["minutes"]:
        lane = rows.setdefault((one["system"], one["stream"]), {})
        lane[datetime.fromisoformat(one["minute"])] = one["rows"]
    behind = {
        (lane["system"], lane["stream"]): lane["behind_events"]
        for lane in (said["open"] or {"lanes": []})["lanes"]
    }
    return ByMinute(
        minutes,
        [
            LaneMinutes(*lane, [counts.get(minute, 0) for minute in minutes], behind.get(lane))
            for lane, counts in sorted(rows.items())
        ],
    )


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
