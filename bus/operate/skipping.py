"""What it takes to have every system pass one event that nobody can read: for each of them, what
is to be said in the exceptions and in the operations. Nothing is said here.

A system is in one of these places: it has not come to the event, or has stopped at it (it is to be
set aside); it was set aside (it is to be closed); it was closed, or its lane has passed it (there
is nothing to say). Where an operator paused the stream, it stays paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bus.broker import Broker
from bus.control.operations import Operations
from bus.control.parked import ParkedIndex
from bus.control.unread import Unread, has_passed, unread_at
from bus.errors import ConfigurationError
from bus.log.run import subject_of
from bus.model import ExceptionState, LaneName, Operation, OperationState, ParkedEvent


class PriorState(StrEnum):
    """How a system stood with the event before."""

    STOPPED = "stopped"  # its lane stands at it
    COMING = "coming"  # its lane has not come to it
    ASIDE = "set aside"
    CLOSED = "closed"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Skipped:
    """What is appended for one system."""

    system: str
    was: PriorState
    exceptions: Sequence[ParkedEvent] = ()  # in this order
    resumed: Operation | None = None
    is_paused: bool = False

    @property
    def is_set_aside(self) -> bool:
        """Whether this sets the event aside."""
        return bool(self.exceptions) and self.was is not PriorState.ASIDE


@dataclass(frozen=True, slots=True)
class Skipping:
    """One event, and what is appended for each system."""

    subject: str
    systems: Sequence[Skipped]

    @property
    def exceptions(self) -> list[ParkedEvent]:
        """The exceptions to append."""
        return [event for skipped in self.systems for event in skipped.exceptions]

    @property
    def set_aside(self) -> int:
        """For how many it is set aside by this."""
        return sum(s.is_set_aside for s in self.systems)

    @property
    def closed(self) -> int:
        """For how many it is closed."""
        return sum(event.state is ExceptionState.DISMISSED for event in self.exceptions)

    @property
    def operations(self) -> list[Operation]:
        """The operations to append."""
        return [s.resumed for s in self.systems if s.resumed is not None]


@dataclass(frozen=True, slots=True)
class SkipOrder:
    """The operator, the reason, the time, and whether the event stays open."""

    operator: str
    note: str
    at: datetime
    is_held: bool = False


class Skipper:
    """Looks at one event, and how all systems stand with it."""

    def __init__(self, broker: Broker, parked: ParkedIndex, operations: Operations) -> None:
        self._broker = broker
        self._parked = parked
        self._operations = operations

    async def look(self, topic: str, partition: int, offset: int) -> Unread:
        """The event as the log has it.

        Raises:
            ConfigurationError: There is no such event, or it is an erasure.
        """
        return await unread_at(self._broker, topic, partition, offset)

    async def plan(
        self, stream: str, topic: str, partition: int, unread: Unread, systems: Sequence[str],
        word: SkipOrder,
    ) -> Skipping:  # fmt: skip
        """What is appended for each of *systems*, all of which receive *stream*.

        Raises:
            ConfigurationError: Nobody receives the stream.
            BrokerUnavailable: The broker does not answer.
        """
        if not systems:
            raise ConfigurationError("no system receives this stream", stream=stream)
        lanes = [LaneName(system, stream, partition) for system in systems]
        passed = await asyncio.gather(
            *(has_passed(self._broker, lane, topic, unread.offset) for lane in lanes)
        )
        return Skipping(
            subject_of(unread.key),
            [self._of(lane, unread, gone, word) for lane, gone in zip(lanes, passed, strict=True)],
        )

    def _of(self, lane: LaneName, unread: Unread, has_passed: bool, word: SkipOrder) -> Skipped:
        is_paused = self._operations.pause_of(lane.system, lane.stream) is not None
        stops = {(o.stream, o.partition, o.offset) for o in self._operations.standing(lane.system)}
        is_stuck = (lane.stream, lane.partition, unread.offset) in stops
        set_aside = self._parked.lane(lane)
        if set_aside.at(subject_of(unread.key), unread.offset) is not None:
            was = PriorState.ASIDE
        elif set_aside.is_settled(unread.offset):
            was = PriorState.CLOSED
        elif has_passed and not is_stuck:
            was = PriorState.PASSED
        else:
            was = PriorState.STOPPED if is_stuck else PriorState.COMING
        resumed = Operation(
            system=lane.system,
            stream=lane.stream,
            state=OperationState.RUNNING,
            at=word.at,
            operator=word.operator,
        )
        return Skipped(
            lane.system,
            was,
            self._exceptions(lane, unread, was, word),
            resumed if is_stuck and not is_paused else None,
            is_paused,
        )

    def _exceptions(
        self, lane: LaneName, unread: Unread, was: PriorState, word: SkipOrder
    ) -> list[ParkedEvent]:
        if was in (PriorState.CLOSED, PriorState.PASSED):
            return []
        event = self._parked.reference(lane, unread, word.note, word.operator)
        said = [] if was is PriorState.ASIDE else [event]
        if not word.is_held:
            said.append(self._parked.dismissed(event, word.note, word.operator))
        return said
