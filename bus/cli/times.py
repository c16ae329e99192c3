"""Times as people are shown them: in the site's zone, which is named. JSON has ISO 8601."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from bus import app as composition

TO_THE_MINUTE, TO_THE_SECOND = "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"


def shown(at: datetime, form: str = TO_THE_MINUTE, zone: ZoneInfo | None = None) -> str:
    """``2026-11-30 10:04 JST``.

    Args:
        at: A moment, of any zone.
        form: How much of it.
        zone: Another zone than the site's.
    """
    there = at.astimezone(zone or site())
    return f"{there:{form}} {there.tzname()}"


@cache
def site() -> ZoneInfo:
    """The site's zone, as the settings of this process say."""
    settings = composition.settings()
    return ZoneInfo(settings.time_zone)
