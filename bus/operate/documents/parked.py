"""Events that are set aside, and one that every system is to pass."""

from __future__ import annotations

from bus.model import ParkedEvent
from bus.operate.documents.shape import Document, of, shaped
from bus.operate.parked import Listed
from bus.operate.skipping import Skipping


@shaped(ParkedEvent, "parked-event")
def parked_event(value: ParkedEvent) -> Document:
    """An event that is set aside, by reference."""
    return {
        "system": value.system,
        "stream": value.stream,
        "partition": value.partition,
        "offset": value.offset,
        "subject": value.subject,
        "event_id": value.event_id,
        "state": value.state.value,
        "code": value.code,
        "attempts": value.attempts,
        "at": value.at.isoformat(),
        "since": value.set_aside_at.isoformat(),
        "reason": value.note,
        "operator": value.operator,
    }


@shaped(Listed, "parked-event-listed")
def listed(value: Listed) -> Document:
    """The same, and whether that has been so for too long."""
    return of(value.event) | {"overdue": value.is_overdue}


@shaped(Skipping, "skipping")
def skipping(value: Skipping) -> Document:
    """What is said for each system, so that it passes an event."""
    return {
        "subject": value.subject,
        "systems": [
            {
                "system": skipped.system,
                "was": skipped.was.value,
                "exceptions": [event.state.value for event in skipped.exceptions],
                "resumed": skipped.resumed is not None,
                "paused": skipped.is_paused,
            }
            for skipped in value.systems
        ],
    }
