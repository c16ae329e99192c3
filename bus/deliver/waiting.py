"""Find the events that wait behind one that is set aside, and those that overtake it.

Later events of a subject wait, because order per subject is promised. One does not: a whole
snapshot that says, by its own flag or by the fence's word, that its subject is under protection.
Were it to wait, the store would go on holding the address that it takes away. What was set aside
of the subject before it is superseded: the snapshot holds everything that those events would say.

Pure values: what is found here becomes durable before the position moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bus.control.parked import SetAside
from bus.deliver.rows import Rows, event_id
from bus.errors import SubjectWaiting
from bus.log.run import subject_of
from bus.model import ExceptionState, ParkedEvent, View

Reference = Callable[[str, int, str | None, ExceptionState, str], ParkedEvent]
"""Makes an exception of (subject, offset, event id, state, code)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Which rows wait, and which supersede what is set aside."""

    is_held: Sequence[bool]  # per row, whether it may not be applied now
    events: Sequence[ParkedEvent]  # new states: WAITING, or SUPERSEDED by a row that overtakes
    superseded: int


def look(
    rows: Rows, view: View, set_aside: SetAside, reference: Reference, now: datetime
) -> Waiting | None:
    """Which of *rows* wait, and which supersede; None if no subject has an event set aside."""
    touched = _touched(rows, set_aside)
    if not touched:
        return None
    flag = view.flag_column if view.is_fenced else None
    flags = None if flag is None else rows.records.column(flag)
    is_held = [False] * len(rows)
    ahead: dict[str, dict[int, ParkedEvent]] = {}  # what is open of a subject as the rows go by
    said: dict[int, ParkedEvent] = {}  # by offset
    superseded = 0
    for index in touched:
        subject, offset = subject_of(rows.keys[index]), rows.offsets[index]
        if subject not in ahead:
            ahead[subject] = {event.offset: event for event in set_aside.of(subject)}
        events = ahead[subject]
        if not events or min(events) > offset:
            continue
        if offset in events:  # it is itself set aside: met again after a crash
            is_held[index] = True
        elif flags is not None and flags[index].as_py():
            for before in [held for held in events if held < offset]:
                said[before] = replace(events.pop(before), state=ExceptionState.SUPERSEDED, at=now)
                superseded += 1
        else:
            is_held[index] = True
            found = event_id(rows.records, index)
            events[offset] = said[offset] = reference(
                subject, offset, found, ExceptionState.WAITING, SubjectWaiting.code
            )
    return Waiting(is_held, list(said.values()), superseded)


def _touched(rows: Rows, set_aside: SetAside) -> list[int]:
    """The rows whose subject has an event set aside."""
    if not set_aside:
        return []
    if set_aside.has_digests:
        firsts = enumerate(set_aside.first(subject_of(key)) for key in rows.keys)
        return [index for index, first in firsts if first is not None]
    keys = set_aside.keys
    return [index for index, key in enumerate(rows.keys) if key in keys]
