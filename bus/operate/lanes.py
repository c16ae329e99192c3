"""Show pauses and stopped lanes, and pause and resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bus.app.deliverers import expected_systems
from bus.errors import ConfigurationError, UnknownName
from bus.model import Operation, OperationState
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned
from bus.operate.running import Duty, hosted
from bus.operate.session import Session, received


@dataclass(frozen=True, slots=True)
class LanesStatus:
    """Pauses, stopped lanes and unhosted systems."""

    operations: Sequence[Operation]  # pauses in force, and lanes that have stopped
    unhosted: Sequence[Duty]  # systems whose lanes nobody runs, or of which nobody can say


async def lanes(session: Session, system: str | None = None) -> LanesStatus:
    """Streams that are paused, lanes that have stopped, and systems that no process delivers to.

    Raises:
        UnknownName: The system receives nothing.
        Unavailable: Broker or registry does not answer.
    """
    found = (await session.operations()).standing(system)
    applied = (await session.editions()).newest
    if system is not None and not found:
        received(session.settings, system, applied)  # a slip of the pen is no answer
    expected = expected_systems(session.settings, applied)
    duties = await hosted(session, [s for s in expected if system in (None, s)])
    return LanesStatus(found, [duty for duty in duties.values() if not duty.is_done])


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause streams: every process finishes the batch in hand and applies no more until resumed."""

    system: str
    stream: str | None = None  # None: all that the system receives

    async def plan(self, session: Session) -> LanesPreview:
        """The streams that would be paused.

        Raises:
            UnknownName: The system does not receive this stream, or nothing.
        """
        operated = await session.operations()
        known = received(session.settings, self.system, (await session.editions()).newest)
        return LanesPreview(
            Act.LANES_PAUSE,
            [
                _word(self.system, name, OperationState.PAUSED)
                for name in _streams(known, self.system, self.stream)
                if operated.pause_of(self.system, name) is None
            ],
            self.system,
            self.stream,
        )


@dataclass(frozen=True, slots=True)
class Resume:
    """Resume paused streams, and have stopped lanes try again."""

    system: str | None  # None: all that stands, in every system
    stream: str | None = None

    @classmethod
    def of(cls, system: str | None, stream: str | None, *, is_all: bool) -> Resume:
        """What somebody chose, who must have said what they mean.

        Raises:
            ConfigurationError: Neither or both of two ways.
        """
        if (system is not None) == is_all:
            raise ConfigurationError("name a system, or say --all")
        return cls(system, stream)

    async def plan(self, session: Session) -> LanesPreview:
        """The streams that are to go on: also one whose grant has ended meanwhile.

        Raises:
            UnknownName: The system does not receive this stream, or nothing.
        """
        operated = await session.operations()
        if self.system is None:
            chosen = sorted({(o.system, o.stream) for o in operated.standing()})
        else:
            standing = {operation.stream for operation in operated.standing(self.system)}
            known = await self._known(session, self.system, standing)
            names = _streams(known, self.system, self.stream)
            chosen = [(self.system, name) for name in names]
        wanted = [_word(*each, OperationState.RUNNING) for each in chosen]
        return LanesPreview(Act.LANES_RESUME, wanted, self.system, self.stream)

    async def _known(self, session: Session, system: str, standing: set[str]) -> list[str]:
        applied = (await session.editions()).newest
        try:
            return sorted(standing | {*received(session.settings, system, applied)})
        except ConfigurationError:
            if not standing:
                raise
            return sorted(standing)


_PAUSED = "all of it is paused already"
_RUNNING = "nothing is paused, and no lane has stopped"


@dataclass(frozen=True, slots=True)
class LanesPreview:
    """Operations to be appended; the operator and the reason are added when it is done."""

    act: Act
    operations: Sequence[Operation]
    system: str | None
    stream: str | None

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        is_pause = self.act is Act.LANES_PAUSE
        where = {"system": self.system, "stream": self.stream} if is_pause else {}
        return Planned(
            act=self.act,
            count=len(self.operations),
            nothing=_PAUSED if is_pause else _RUNNING,
            where=where,
            system=self.system,
            stream=self.stream,
        )

    def by(self, order: Order) -> list[Operation]:
        """The operations, with the operator and the reason."""
        name, now = order.actor.name, datetime.now(UTC)
        return [replace(each, operator=name, note=order.reason, at=now) for each in self.operations]

    async def tried(self, _: Session, order: Order) -> list[Operation]:
        """What would be said."""
        return self.by(order)

    async def perform(self, session: Session, order: Order) -> list[Operation]:
        """Append the operations: every process knows of them within about a second."""
        said = self.by(order)
        await (await session.operations()).instruct(said)
        return said


def _streams(known: Sequence[str], system: str, chosen: str | None) -> Sequence[str]:
    if chosen is None:
        return known
    if chosen not in known:
        raise UnknownName("the system does not receive this stream", system=system, stream=chosen)
    return [chosen]


def _word(system: str, stream: str, state: OperationState) -> Operation:
    return Operation(system=system, stream=stream, state=state, at=datetime.now(UTC))
