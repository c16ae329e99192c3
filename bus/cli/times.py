"""Times as people are shown them: in the site's zone, with its name. JSON has ISO 8601."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from bus import app as composition
from bus.observe.moments import TO_THE_MINUTE, local_time


def shown(at: datetime, form: str = TO_THE_MINUTE, zone: ZoneInfo | None = None) -> str:
    """``2026-11-30 10:04 JST``.

    Args:
        at: A moment, of any zone.
        form: How much of it.
        zone: Another zone than the site's.
    """
    return local_time(at, zone or site(), form)


@cache
def site() -> ZoneInfo:
    """The site's zone, as the settings of this process say."""
    settings = composition.configured.settings()
    return ZoneInfo(settings.time_zone)


def duration(took: timedelta) -> str:
    """``84 ms``, ``2.1 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = took.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, size, limit in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 86_400)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if unit == "s" else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
