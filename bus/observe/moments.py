"""How a moment is told to people."""

from __future__ import annotations

from datetime import datetime, tzinfo

TO_THE_MINUTE, TO_THE_SECOND = "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"


def local_time(at: datetime, zone: tzinfo, form: str = TO_THE_MINUTE) -> str:
    """``2026-11-30 10:04 JST``: *at*, which is aware, in that zone and with its name."""
    there = at.astimezone(zone)
    return f"{there:{form}} {there.tzname()}"
