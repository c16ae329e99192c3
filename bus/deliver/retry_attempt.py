"""One retry of events that were set aside: what is tried, and the new state of each.

What fails is parked again, and what waits behind it goes on waiting. An event that is gone from
the log is superseded by its subject's newest one, because a body is the subject's whole state: by
applying that one here if the lane has passed it, or because the lane has yet to come to it. If
there is none either (the topic was truncated), the event stays parked and a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bus.errors import BusError, EventGone, NotEntitled, SubjectWaiting
from bus.log.readback import ReadBack
from bus.log.run import Run, subject_of
from bus.model import ExceptionState, ParkedEvent


@dataclass(slots=True)
class RetryAttempt:
    """One retry of events that were set aside."""

    events: Mapping[int, ParkedEvent]
    back: ReadBack
    position: int
    failed: dict[str, tuple[int, BusError]] = field(default_factory=dict, init=False)
    """Subject -> the offset of its first failure, and why."""
    _outside: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        for offset in sorted(self.events):
            event = self.events[offset]
            if offset not in self.back.found and event.subject not in self.back.stand_ins:
                gone = EventGone("the event is gone from the log and nothing stands in for it")
                self._fail(event.subject, offset, gone)

    def run(self) -> Run:
        """The events to apply: those that are still in the log, and stand-ins for others."""
        records = {o: r for o, r in self.back.found.items() if r[1] is not None}
        for offset, record in self.back.stand_ins.values():
            if offset < self.position and record[1] is not None:
                records.setdefault(offset, record)
        offsets = [o for o in sorted(records) if not self.is_behind_failure(records[o][0], o)]
        return Run(offsets, [records[o][0] for o in offsets], [records[o][1] for o in offsets])

    def fail(self, key: bytes | None, offset: int, error: BusError) -> None:
        """Note that this event cannot be applied either."""
        self._fail(subject_of(key), offset, error)

    def left_out(self, offsets: set[int]) -> None:
        """Note that the view does not show these, or that they cannot be read."""
        self._outside = offsets

    def is_behind_failure(self, key: bytes | None, offset: int) -> bool:
        """Whether the event, or an earlier one of its subject, has failed."""
        failure = self.failed.get(subject_of(key))
        return failure is not None and failure[0] <= offset

    def outcome(self, now: datetime) -> list[ParkedEvent]:
        """The new state of every event."""
        return [
            replace(self._ended(event), at=now, since=event.set_aside_at)
            for event in self.events.values()
        ]

    def _fail(self, subject: str, offset: int, error: BusError) -> None:
        known = self.failed.get(subject)
        if known is None or offset < known[0]:
            self.failed[subject] = (offset, error)

    def _ended(self, event: ParkedEvent) -> ParkedEvent:
        failure = self.failed.get(event.subject)
        is_found = self.back.found.get(event.offset, (None, None))[1] is not None
        if failure is not None:
            offset, error = failure
            is_first = event.offset == offset or (not is_found and event.offset < offset)
            if is_first:
                return replace(
                    event,
                    state=ExceptionState.PARKED,
                    code=error.code,
                    attempts=event.attempts + 1,
                )
            if event.offset > offset:
                return replace(event, state=ExceptionState.WAITING, code=SubjectWaiting.code)
        if not is_found:
            return replace(event, state=ExceptionState.SUPERSEDED)
        if event.offset in self._outside:
            return replace(event, state=ExceptionState.DISMISSED, code=NotEntitled.code)
        return replace(event, state=ExceptionState.APPLIED)
