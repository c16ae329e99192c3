"""Documents of events that are set aside."""

from __future__ import annotations

from collections.abc import Sequence

from bus.model import ParkedEvent
from bus.operate.deeds import Order
from bus.operate.documents.shape import Document, named, of, shaped
from bus.operate.parked import ParkedListed
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


@shaped(ParkedListed, "parked-event-listed")
def listed(value: ParkedListed) -> Document:
    """The same, and whether it has been set aside for too long."""
    return of(value.event) | {"overdue": value.is_overdue}


@shaped(Skipping, "skipping")
def skipping(value: Skipping) -> Document:
    """What skipping an event does for each system."""
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


@named("skipped")
def skipped(value: Skipping, event: str, order: Order, *, is_held: bool, is_dry: bool) -> Document:
    """The same with the event's place, the operator and the reason."""
    by_whom = {"operator": order.actor.name, "reason": order.reason}
    return {"event": event, **by_whom, "is_held": is_held, "is_dry": is_dry, **of(value)}


@named("parked-retried")
def asked_to_try(events: Sequence[ParkedEvent], *, is_dry: bool) -> Document:
    """Parked events that will be tried again."""
    return {"asked_to_try": [of(event) for event in events], "is_dry": is_dry}


@named("parked-dismissed")
def dismissed(events: Sequence[ParkedEvent], *, is_dry: bool) -> Document:
    """Parked events that are closed."""
    return {"dismissed": [of(event) for event in events], "is_dry": is_dry}
