"""Documents of lanes: pauses, stops, reach and status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.ledger import SystemReach
from bus.ledger.stream_status import StreamStatus
from bus.model import Operation
from bus.operate.documents.shape import Document, listed, named, of, shaped
from bus.operate.lanes import LanesStatus
from bus.operate.questions import Overview
from bus.operate.reach import ReachAnswer
from bus.operate.running import Duty


@shaped(Operation, "operation")
def operation(value: Operation) -> Document:
    """A pause in force, or a lane that has stopped."""
    state = "gone back" if value.has_gone_back else value.state.value.lower()
    return {
        "system": value.system,
        "stream": value.stream,
        "partition": value.partition,
        "state": state,
        "at": value.at.isoformat(),
        "operator": value.operator,
        "code": value.code,
        "offset": value.offset,
        "reason": value.note,
    }


@shaped(Duty, "unhosted")
def unhosted(value: Duty) -> Document:
    """A system that no process delivers to, in place of its streams."""
    nothing = dict.fromkeys(("stream", "partition", "at", "operator", "code", "offset"))
    state = "unhosted" if value.unseen is None else "unseen"
    return {"system": value.system, **nothing, "state": state, "reason": str(value)}


def lanes_shown(value: LanesStatus) -> list[Document]:
    """Pauses and stopped lanes, and the systems that no process delivers to."""
    return listed((*value.operations, *value.unhosted))


@shaped(ReachAnswer, "reach")
def reach(value: ReachAnswer) -> Document:
    """How a change stands in each system."""
    found = value.reach
    return {
        "change_id": found.change_id,
        "events": found.events,
        "size": found.size,
        "expected": found.expected,
        "applied": found.applied,
        "complete": found.is_complete,
        "all_clear": value.is_all_clear,
        "systems": [_system(each, value) for each in found.systems],
    }


def _system(value: SystemReach, reached: ReachAnswer) -> Document:
    return {
        "system": value.system,
        "state": value.state.value,
        "applied_at": value.applied_at.isoformat() if value.applied_at else None,
        "took_ms": round(value.took.total_seconds() * 1000, 3) if value.took else None,
        "code": value.code,
        "events_behind": value.events_behind,
        "operation": None if value.operation is None else of(value.operation),
        "hosted": _is_hosted(reached.unrun.get(value.system)),
        "watched": value not in reached.unwatched,
    }


def _is_hosted(unrun: Duty | None) -> bool | None:
    """Whether a process delivers to the system; None if that cannot be asked."""
    return True if unrun is None else None if unrun.unseen is not None else False


@named("stream-status")
def status(value: Overview) -> list[Document]:
    """The status of each system and stream."""
    return [_standing(each, value) for each in value.standings]


def _standing(value: StreamStatus, overview: Overview) -> Document:
    last = value.last_applied_at
    return {
        "system": value.system,
        "stream": value.stream,
        "lag_events": value.lag_events,
        "lag_seconds": value.lag.total_seconds() if value.lag is not None else None,
        "rows_per_s": value.rows_per_s,
        "parked": value.parked,
        "parked_seconds": value.parked_for.total_seconds() if value.parked_for else None,
        "overdue": overview.is_overdue(value),
        "last_applied_at": last.isoformat() if last is not None else None,
        "operations": [of(operation) for operation in value.operations],
        "hosted": overview.is_hosted(value),
    }


@named("throughput")
def throughput(said: Mapping[str, Any]) -> Document:
    """Rows applied per minute, and changes under way, as the monitor or the log says."""
    return dict(said)
