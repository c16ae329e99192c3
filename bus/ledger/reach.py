"""Reach (到達): which of the systems that should have a change have applied it, and why not.

Pure: what the ledger's tables say goes in, the answer comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bus.model import Operation, OperationState


class ReachState(StrEnum):
    """How a change stands in one system; the worst of its events."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"  # a later version of the subject was delivered instead
    WAITING = "waiting"  # the lane has not come that far, or the event waits behind a parked one
    PAUSED = "paused"  # the lane has not come that far, and an operator wants it to stand
    GONE_BACK = "gone back"  # its store stands before it again; the lane catches up by itself
    STOPPED = "stopped"  # the lane has not come that far, and waits for a person
    PARKED = "parked"  # set aside; the code says why
    DISMISSED = "dismissed"  # set aside, and closed by an operator
    MISSED = "missed"  # the lane went past it without delivering it
    NOT_ENTITLED = "not entitled"  # no grant covers any of its events, and none was delivered

    @property
    def has_it(self) -> bool:
        """Whether the system has the change, or a newer version."""
        return self in (ReachState.APPLIED, ReachState.SUPERSEDED)


_WORST_FIRST = (
    ReachState.MISSED,
    ReachState.DISMISSED,
    ReachState.PARKED,
    ReachState.GONE_BACK,
    ReachState.STOPPED,
    ReachState.PAUSED,
    ReachState.WAITING,
    ReachState.SUPERSEDED,
    ReachState.APPLIED,
)
_OF_EXCEPTION = {
    "PARKED": ReachState.PARKED,
    "RETRY": ReachState.PARKED,
    "WAITING": ReachState.WAITING,
    "DISMISSED": ReachState.DISMISSED,
    "SUPERSEDED": ReachState.SUPERSEDED,
}
_OF_OPERATION = {
    OperationState.PAUSED: ReachState.PAUSED,
    OperationState.STOPPED: ReachState.STOPPED,
}
_NOT_THERE_YET = (ReachState.WAITING, *_OF_OPERATION.values())


EventPlace = tuple[str, int, int]
"""Where an event is in the log: stream, partition, offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReach:
    """What the ledger knows of one event in one system that should have it or was given it."""

    system: str
    stream: str
    partition: int
    offset: int
    delivered_at: datetime | None = None
    superseded_at: datetime | None = None
    reached: int | None = None  # how far the lane has come; None: it never started
    exception: str | None = None  # state of the newest exception
    code: str | None = None
    operation: Operation | None = None  # if its lane stands: stopped, or else paused


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReach:
    """How a change stands in one system."""

    system: str
    state: ReachState
    applied_at: datetime | None = None  # when the last of its events was
    took: timedelta | None = None  # from the log's time of the change to then; see `timed`
    code: str | None = None  # of the error an event was set aside with, or its lane stopped on
    events_behind: int | None = None  # how far its lane is from the change
    operation: Operation | None = None  # who paused it, when and why; or on what it stopped
    stands: Operation | None = None  # of one that has it: why its lane does not look at its store


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a change stands in all systems."""

    change_id: str
    events: int  # in the ledger so far
    size: int | None  # that the change has; None: the ledger does not know it (yet)
    systems: Sequence[SystemReach]
    places: Sequence[EventPlace] = ()  # of its events in the log

    @property
    def expected(self) -> int:
        """How many systems should have it."""
        return sum(s.state is not ReachState.NOT_ENTITLED for s in self.systems)

    @property
    def applied(self) -> int:
        """How many have it, or a newer version."""
        return sum(s.state.has_it for s in self.systems)

    @property
    def is_whole(self) -> bool:
        """Whether the ledger has all events of the change; before that nothing is final."""
        return self.size is not None and self.events >= self.size

    @property
    def is_complete(self) -> bool:
        """Whether every system that should have it has it."""
        return self.is_whole and self.applied == self.expected


def reach_of(
    change_id: str,
    *,
    size: int | None,
    events: int,
    systems: Sequence[str],
    standings: Sequence[EventReach],
    places: Sequence[EventPlace] = (),
) -> Reach:
    """Reach from what the ledger holds; *systems* are all systems, entitled or not.

    A system that is gone from the subscriptions, but was given the change, is there as well.
    """
    by_system: dict[str, list[EventReach]] = {system: [] for system in systems}
    for standing in standings:
        by_system.setdefault(standing.system, []).append(standing)
    whole = size is not None and events >= size
    return Reach(
        change_id=change_id,
        events=events,
        size=size,
        systems=[_system(name, by_system[name], whole) for name in sorted(by_system)],
        places=places,
    )


def timed(reach: Reach, logged: Mapping[EventPlace, datetime]) -> Reach:
    """*reach* with how long it took: from when the log had the first of the change's events, by the
    log's own clock, until a system's store had the last of its own.

    What a core system's clerk or program filled in takes no part. Without the log's time of one of
    the events nothing is said; a store's clock that is behind the log's says *at once*.
    """
    if not reach.places or not all(place in logged for place in reach.places):
        return reach
    first = min(logged[place] for place in reach.places)
    systems = [
        system
        if system.applied_at is None
        else replace(system, took=max(system.applied_at - first, timedelta(0)))
        for system in reach.systems
    ]
    return replace(reach, systems=systems)


def _system(system: str, standings: Sequence[EventReach], is_whole: bool) -> SystemReach:
    if not standings:
        return SystemReach(
            system=system, state=ReachState.NOT_ENTITLED if is_whole else ReachState.WAITING
        )
    state = min((_state(standing) for standing in standings), key=_WORST_FIRST.index)
    if state.has_it and not is_whole:
        return SystemReach(system=system, state=ReachState.WAITING)
    worst = next(s for s in standings if _state(s) is state)
    times = [s.delivered_at or s.superseded_at for s in standings]
    applied_at = max((t for t in times if t is not None), default=None) if state.has_it else None
    explained = (*_OF_OPERATION.values(), ReachState.GONE_BACK)
    operation = worst.operation if state in explained else None
    return SystemReach(
        system=system,
        state=state,
        applied_at=applied_at,
        code=_code(worst, operation) if not state.has_it else None,
        events_behind=_behind(worst) if state in _NOT_THERE_YET else None,
        operation=operation,
        stands=next((s.operation for s in standings if s.operation), None)
        if state.has_it
        else None,
    )


def _state(standing: EventReach) -> ReachState:
    operation = standing.operation
    if operation is not None and operation.has_gone_back:
        if standing.offset >= (operation.offset or 0):
            return ReachState.GONE_BACK
        standing = replace(standing, operation=None)
    if standing.delivered_at is not None:
        return ReachState.APPLIED
    if standing.superseded_at is not None:
        return ReachState.SUPERSEDED
    if standing.exception in _OF_EXCEPTION:
        return _OF_EXCEPTION[standing.exception]
    if standing.reached is None or standing.reached <= standing.offset:
        operation = standing.operation
        return ReachState.WAITING if operation is None else _OF_OPERATION[operation.state]
    return ReachState.MISSED


def _code(standing: EventReach, operation: Operation | None) -> str | None:
    return standing.code if operation is None else operation.code


def _behind(standing: EventReach) -> int | None:
    if standing.exception is not None:
        return None
    return standing.offset + 1 - (standing.reached or 0)


Entitlements = Mapping[str, Mapping[str, frozenset[str]]]
"""System -> stream -> event types it is entitled to; a system without any is listed as well."""
