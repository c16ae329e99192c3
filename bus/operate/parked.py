"""List events that were set aside, and retry, dismiss, add or skip them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bus.control.parked import ParkedIndex
from bus.control.unread import Unread, has_passed
from bus.errors import ConfigurationError, UnknownName
from bus.hosting.overdue import overdue_after
from bus.model import ExceptionState, LaneName, ParkedEvent
from bus.model.deed import Act
from bus.model.number import comparable_key
from bus.operate.contracts import StoreShown, store
from bus.operate.deeds import Order, Planned, record
from bus.operate.session import Session, received, receivers
from bus.operate.skipping import PriorState, SkipOrder, Skipper, Skipping
from bus.settings import Settings

__all__ = ["PriorState", "Skipping"]  # what skipping comes to

_UNSAID = ""
"""In the place of who wants it and why, for as long as something is only planned."""


@dataclass(frozen=True, slots=True)
class ParkedListed:
    """One event that is set aside, and whether it is overdue."""

    event: ParkedEvent
    is_overdue: bool


def limit(settings: Settings) -> timedelta:
    """How long an event may be set aside before it is overdue."""
    return overdue_after(settings)


async def parked(session: Session, system: str | None, order: Order) -> list[ParkedListed]:
    """The events that are set aside; recorded as a look-up first, because subjects are named.

    Raises:
        UnknownName: The system receives nothing.
        ConfigurationError: The journal's topic does not exist.
        Unavailable: Broker or registry does not answer.
    """
    before = datetime.now(UTC) - limit(session.settings)
    events = await _of(session, system)
    await record(session, _looked_up(system, events), order)
    return [ParkedListed(event, event.set_aside_at <= before) for event in events]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedChoice:
    """A choice of parked events: of one system or of all, of some subjects or of all."""

    system: str | None = None
    subjects: Sequence[str] | None = None

    @classmethod
    def of(
        cls,
        system: str | None,
        subjects: Sequence[str] | None,
        *,
        is_everywhere: bool,
        is_all: bool,
    ) -> ParkedChoice:
        """The choice that an operator made, who must have named one explicitly.

        Raises:
            ConfigurationError: Neither or both of two ways.
        """
        if (system is not None) == is_everywhere:
            raise ConfigurationError("name a system, or say --all-systems")
        if bool(subjects) == is_all:
            raise ConfigurationError("name subjects with --subject, or say --all")
        return cls(system=system, subjects=subjects or None)

    async def events(self, session: Session) -> Found:
        """The chosen parked events; those waiting behind them follow.

        Subjects are compared in every spelling of a number.
        """
        events = await _of(session, self.system)
        named = None if self.subjects is None else set(map(comparable_key, self.subjects))
        missing = (named or set()) - {comparable_key(event.subject) for event in events}
        found = [
            event
            for event in events
            if event.state is not ExceptionState.WAITING
            and (named is None or comparable_key(event.subject) in named)
        ]
        if missing:  # whose numbers they are is not said again
            why = UnknownName("of this subject nothing is set aside", subjects=len(missing))
            return Found(self.system, found, why)
        return Found(self.system, found)


@dataclass(frozen=True, slots=True)
class Found:
    """What an operator chose, as it is set aside."""

    system: str | None
    events: Sequence[ParkedEvent]
    missing: UnknownName | None = None  # of one of the subjects nothing is set aside

    def planned(self, act: Act) -> Planned:
        """A deed with all of it, as the journal records it."""
        return Planned(
            act=act,
            count=len(self.events),
            nothing="nothing is parked",
            where={"system": self.system},
            system=self.system,
            refusal=self.missing,
        )

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the events are only shown."""
        return _looked_up(self.system, self.events)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try parked events again; what waits behind each is tried too, in order."""

    chosen: ParkedChoice

    async def plan(self, session: Session) -> RetryPreview:
        """The events that would be tried."""
        return RetryPreview(await self.chosen.events(session))


@dataclass(frozen=True, slots=True)
class RetryPreview:
    """Events that would be tried again."""

    found: Found

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return self.found.planned(Act.PARKED_RETRY)

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the events are only shown."""
        return self.found.looked_up

    async def tried(self, _: Session, __: Order) -> Sequence[ParkedEvent]:
        """These."""
        return self.found.events

    async def perform(self, session: Session, order: Order) -> Sequence[ParkedEvent]:
        """Request it: the process that owns the lane does it within about a second."""
        return await (await session.parked()).ask_retry(self.found.events, order.actor.name)


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Close parked events for good; what waits behind each is then applied."""

    chosen: ParkedChoice

    async def plan(self, session: Session) -> DismissPreview:
        """The events that would be closed."""
        return DismissPreview(await self.chosen.events(session))


@dataclass(frozen=True, slots=True)
class DismissPreview:
    """Events that would be closed."""

    found: Found

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return self.found.planned(Act.PARKED_DISMISS)

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the events are only shown."""
        return self.found.looked_up

    async def tried(self, _: Session, __: Order) -> Sequence[ParkedEvent]:
        """These."""
        return self.found.events

    async def perform(self, session: Session, order: Order) -> Sequence[ParkedEvent]:
        """Close them."""
        index = await session.parked()
        return await index.dismiss(self.found.events, order.note, order.actor.name)


@dataclass(frozen=True, slots=True)
class Add:
    """Set one event aside unread, so that one lane that stopped at it can pass it."""

    lane: LaneName
    offset: int

    async def plan(self, session: Session) -> AddPreview:
        """The exception that would set the event aside.

        Raises:
            UnknownName: The system does not receive this stream.
            ConfigurationError: The lane has passed the event, and it can be read; or would have to
                be, to mask the row that the store has of it.
        """
        lane = self.lane
        topic = session.catalog.stream(lane.stream).topic
        applied = await session.editions()
        if lane.stream not in received(session.settings, lane.system, applied.newest):
            raise UnknownName("the system does not receive this stream", **lane._asdict())
        standing = (await session.operations()).standing(lane.system)
        is_stuck = (*lane, self.offset) in {
            (o.system, o.stream, o.partition, o.offset) for o in standing
        }
        if not is_stuck and _masks_by_reading(store(session.settings, lane.system)):
            await self._insist_not_passed(session, topic)
        index = await session.parked()
        event = await index.refer_to(
            lane,
            topic,
            self.offset,
            _UNSAID,
            _UNSAID,
            is_stuck=is_stuck,
            reader=await session.reader(lane.stream),
        )
        return AddPreview(event)

    async def _insist_not_passed(self, session: Session, topic: str) -> None:
        """Check that the lane has not passed the event: it would pass by it when it masks."""
        if await has_passed(await session.broker(), self.lane, topic, self.offset):
            raise ConfigurationError(
                "the lane has passed this event, and reads it again to mask the row that the store"
                " has of it: have its schema in the registry again",
                **self.lane._asdict(),
                offset=self.offset,
            )


@dataclass(frozen=True, slots=True)
class AddPreview:
    """An event that would be set aside; the operator and the reason are added when it is done."""

    event: ParkedEvent

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        event = self.event
        return Planned(act=Act.PARKED_ADD, count=1, system=event.system, stream=event.stream)

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the event is only shown."""
        return replace(self.planned, act=Act.PARKED_LIST)

    def by(self, order: Order) -> ParkedEvent:
        """The exception with the operator and the reason; one that is open already is kept."""
        if self.event.operator != _UNSAID:
            return self.event
        return replace(self.event, note=order.note, operator=order.actor.name)

    async def tried(self, _: Session, order: Order) -> ParkedEvent:
        """It, as it would be recorded."""
        return self.by(order)

    async def perform(self, session: Session, order: Order) -> ParkedEvent:
        """Set it aside."""
        event = self.by(order)
        await (await session.parked()).record([event])
        return event


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Have every system pass one event that nobody can read: set aside, resumed, and closed."""

    stream: str
    partition: int
    offset: int
    is_held: bool  # not closed: later events of the subject wait

    async def plan(self, session: Session) -> SkipPreview:
        """What would be appended for each system.

        Raises:
            ConfigurationError: The event can be read, or nobody receives the stream.
        """
        applied = await session.editions()
        systems = receivers(session.settings, self.stream, applied.newest)
        index, operated = await session.parked(), await session.operations()
        skipper = Skipper(await session.broker(), index, operated)
        topic = session.catalog.stream(self.stream).topic
        unread = await skipper.look(topic, self.partition, self.offset)
        if await unread.can_be_read(await session.reader(self.stream)):
            raise ConfigurationError(
                "the event is one of its stream and can be read; no lane has to pass it unread",
                stream=self.stream, partition=self.partition, offset=self.offset,
            )  # fmt: skip
        nobody = SkipOrder(_UNSAID, _UNSAID, datetime.now(UTC), is_held=self.is_held)
        args = (self.stream, topic, self.partition, unread, systems)
        return SkipPreview(self, skipper, unread, systems, await skipper.plan(*args, nobody))


@dataclass(frozen=True, slots=True)
class SkipPreview:
    """What would be appended for each system; operator and reason are added when it is done."""

    wanted: Skip
    skipper: Skipper
    unread: Unread
    systems: Sequence[str]
    skipping: Skipping

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return Planned(
            act=Act.PARKED_SKIP,
            count=len(self.skipping.exceptions) + len(self.skipping.operations),
            nothing="every system has passed the event, or closed it",
            stream=self.wanted.stream,
        )

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the event is only shown: it names a subject."""
        return Planned(act=Act.PARKED_LIST, count=1, stream=self.wanted.stream)

    async def tried(self, _: Session, __: Order) -> Skipping:
        """What would be said."""
        return self.skipping

    async def perform(self, session: Session, order: Order) -> Skipping:
        """Append it, the exceptions before the operations."""
        wanted = self.wanted
        word = SkipOrder(order.actor.name, order.note, datetime.now(UTC), is_held=wanted.is_held)
        topic = session.catalog.stream(wanted.stream).topic
        done = await self.skipper.plan(
            wanted.stream, topic, wanted.partition, self.unread, self.systems, word
        )
        await (await session.parked()).record(done.exceptions)
        await (await session.operations()).instruct(done.operations)
        return done


def _looked_up(system: str | None, events: Sequence[ParkedEvent]) -> Planned:
    return Planned(act=Act.PARKED_LIST, count=len(events), system=system)


async def _of(session: Session, system: str | None) -> list[ParkedEvent]:
    """The open exceptions of *system*, which must receive something or have received it."""
    index: ParkedIndex = await session.parked()
    events = index.open_events(system)
    if system is not None and not events:  # a slip of the pen is no empty list
        received(session.settings, system, (await session.editions()).newest)
    return events


def _masks_by_reading(shown: StoreShown | None) -> bool:
    """Whether the rows of a store are masked by reading their events again; in doubt they are."""
    if shown is None or shown.can is None:
        return True
    return shown.can["rewrites"] and not shown.can["suppresses"]
