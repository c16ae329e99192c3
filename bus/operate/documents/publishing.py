"""Documents of publishing: loaded files, outboxes and refused changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from bus.app.loading import LoadProgress
from bus.app.outboxes import RefusedChange
from bus.connect.source import SourceStatus
from bus.operate.documents.shape import Document, named


@named("loaded")
def loaded(
    progress: LoadProgress, listed: Sequence[Document], *, is_dry: bool, seconds: float
) -> Document:
    """The result of loading a file; *listed* are its first refused lines."""
    return {
        "dry_run": is_dry,
        "lines": progress.lines,
        "changes": progress.changes,
        "published": progress.published,
        "events": progress.events,
        "already_there": progress.resent,
        "refused": progress.refused,
        "refused_lines": list(listed),
        "warnings": [
            {"code": code, "field": where or None, "count": count}
            for (code, where), count in sorted(progress.warnings.items())
        ],
        "seconds": round(seconds, 3),
    }


@named("outbox-installed")
def outbox_installed(system: str, script: str, *, is_installed: bool) -> Document:
    """The script that makes an outbox."""
    return {"system": system, "is_installed": is_installed, "script": script}


@named("outbox")
def outboxes(found: Sequence[SourceStatus], keep: timedelta | None) -> list[Document]:
    """What waits in each source, for how long, and which relay publishes it."""
    return [_outbox(status, keep) for status in found]


def _outbox(status: SourceStatus, keep: timedelta | None) -> Document:
    left = status.backlog.refused_go_in(keep)
    return {
        "system": status.system,
        "pending": status.backlog.pending,
        "oldest_s": round(status.backlog.oldest_s, 3),
        "refused": status.backlog.refused,
        "refused_go_in_s": None if left is None else max(round(left.total_seconds()), 0),
        "leader": status.leader if status.is_led else None,
    }


@named("refused-change")
def refused_changes(changes: Sequence[RefusedChange]) -> list[Document]:
    """The refused changes of an outbox, with the reasons."""
    return [asdict(change) for change in changes]


@named("refused-put-back")
def put_back(numbers: Sequence[int], *, is_dry: bool) -> Document:
    """Refused changes that will be published again."""
    return {"put_back": list(numbers), "is_dry": is_dry}


@named("refused-dropped")
def dropped(numbers: Sequence[int], *, is_dry: bool) -> Document:
    """Refused changes that were deleted."""
    return {"dropped": list(numbers), "is_dry": is_dry}
