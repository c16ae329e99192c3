"""Moments as the ledger tells them to people: in a zone that is given, with its name."""

from __future__ import annotations

from datetime import datetime, tzinfo

TO_THE_MINUTE, TO_THE_SECOND = "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"


def told(at: datetime, zone: tzinfo | None, form: str = TO_THE_MINUTE) -> str:
    """``2026-11-30 10:04 JST``; without a zone, in the one that *at* is of."""
    there = at if zone is None else at.astimezone(zone)
    return f"{there:{form}} {there.tzname()}"
