"""The monitor's report as one JSON object, whoever has read the receipts.

``minutes`` are windows in which something was applied. ``open`` is None where nobody follows the
event streams: windows alone do not say what is under way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bus.monitor.open_changes import OpenChanges
from bus.monitor.windows import KEEP_MINUTES, Windows


def report(
    windows: Windows, changes: OpenChanges | None, *, now: float, last: int = KEEP_MINUTES
) -> dict[str, Any]:
    """The last *last* minutes, and the open changes."""
    return {
        "at": _time(now),
        "late_receipts": windows.late,
        "minutes": [
            {
                "minute": _time(minute),
                "system": system,
                "stream": stream,
                "rows": window.rows,
                "batches": window.batches,
                "latest": _time(window.latest),
                "delay_mean_s": round(window.delay_mean, 3),
                "delay_most_s": round(window.delay_most, 3),
            }
            for minute, system, stream, window in windows.last(last)
        ],
        "open": None if changes is None else _open(changes, now),
    }


def _open(changes: OpenChanges, now: float) -> dict[str, Any]:
    return {
        "changes": changes.count,
        "is_at_least": changes.is_at_least,
        "lanes": [
            {
                "system": system,
                "stream": stream,
                "behind_events": offsets,
                "behind_s": None if oldest is None else round(max(now - oldest, 0.0), 1),
            }
            for (system, stream), (offsets, oldest) in sorted(changes.behind().items())
        ],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
