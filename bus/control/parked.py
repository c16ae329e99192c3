"""Events that were set aside (保留), kept by reference, and requests for another try.

Everything is in the compacted stream *exception*: one record per event, keyed by
``system/stream/partition/offset``, the newest state last. Each process keeps the open ones in
memory, by lane and subject, and keeps up by tailing. Operators' commands only append: ``RETRY``,
``DISMISSED``, or ``PARKED`` for an event that its lane is to pass by unread; the process that owns
the lane sees it and acts.

Of one subject in one lane the first open event is PARKED, what came after it is WAITING. A
subject is *due* when its parked event is to be tried again, or is gone while others still wait.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from sys import intern

from bus.broker import Broker, Fetched
from bus.catalog.decoding import BatchReader
from bus.clock import Clock
from bus.control.unread import Unread, has_passed, unread_at
from bus.errors import ConfigurationError, EventUnread
from bus.log.internal import InternalTopic, rows_of
from bus.log.run import subject_of
from bus.log.tail import Follower
from bus.model import ExceptionState, LaneName, ParkedEvent, Stream
from bus.model.subject import is_digest


class SetAside:
    """The open exceptions of one lane, and what of it was closed for good.

    What an operator dismissed, or something newer superseded, is passed by whenever the log is
    read again: by a rebuild, or by a lane whose store went back.
    """

    def __init__(self) -> None:
        self._by_subject: dict[str, dict[int, ParkedEvent]] = {}
        self._keys: frozenset[bytes] | None = None
        self._passed_by: list[int] = []  # offsets, ascending
        self._closed: dict[int, tuple[ExceptionState, str]] = {}  # offset -> how, and its code
        self.contradicted: dict[int, ParkedEvent] = {}
        """How what was closed stands, of which somebody then spoke as if it were open. To be said
        once more by the lane: the newest word is the one that compaction leaves."""
        self.touched: set[str] = set()
        """The subjects of which anything was set aside, ever or since :meth:`begin_anew`."""
        self.on_news: Callable[[], None] = _nobody

    def __bool__(self) -> bool:
        return bool(self._by_subject)

    def __iter__(self) -> Iterator[ParkedEvent]:
        for events in self._by_subject.values():
            yield from (events[offset] for offset in sorted(events))

    @property
    def keys(self) -> frozenset[bytes]:
        """The Kafka keys of the subjects with events set aside."""
        if self._keys is None:
            self._keys = frozenset(subject.encode() for subject in self._by_subject)
        return self._keys

    @property
    def has_digests(self) -> bool:
        """Whether the subject of any event is known only by a digest of its key."""
        return any(is_digest(subject) for subject in self._by_subject)

    def of(self, subject: str) -> Sequence[ParkedEvent]:
        """The open events of *subject*, in log order."""
        events = self._by_subject.get(subject, {})
        return [events[offset] for offset in sorted(events)]

    def first(self, subject: str) -> int | None:
        """The offset of the first open event of *subject*; later ones wait behind it."""
        events = self._by_subject.get(subject)
        return min(events) if events else None

    def at(self, subject: str, offset: int) -> ParkedEvent | None:
        """The open exception of the event at this offset; None if there is none."""
        return self._by_subject.get(subject, {}).get(offset)

    def within(self, first: int, end: int) -> frozenset[int]:
        """The offsets from *first* up to, and without, *end* that are passed over."""
        offsets = self._passed_by
        return frozenset(offsets[bisect_left(offsets, first) : bisect_left(offsets, end)])

    def begin_anew(self) -> None:
        """Forget which events were touched so far; those that are open stay."""
        self.touched = set(self._by_subject)

    def is_settled(self, offset: int) -> bool:
        """Whether the event at this offset was set aside and is closed by now."""
        return offset in self._closed

    def due(self) -> list[str]:
        """The subjects that are to be tried again now."""
        return [
            subject
            for subject, events in self._by_subject.items()
            if any(event.state is ExceptionState.RETRY for event in events.values())
            or not any(event.state is ExceptionState.PARKED for event in events.values())
        ]

    def put(self, event: ParkedEvent) -> None:
        """Take in the newest record of an event.

        An operator who asks for another try, or dismisses, may not have heard that the event was
        closed meanwhile, by an erasure say. It stays closed: what is erased does not come back.
        """
        known = self._closed.get(event.offset)
        self.contradicted.pop(event.offset, None)
        if known is not None and event.state in (ExceptionState.RETRY, ExceptionState.DISMISSED):
            if event.state is not known[0]:
                self.contradicted[event.offset] = replace(event, state=known[0], code=known[1])
            return
        self.touched.add(event.subject)
        self._pass_by(event.offset, event.is_passed_by)
        if event.is_open:
            self._closed.pop(event.offset, None)
            self._by_subject.setdefault(event.subject, {})[event.offset] = event
        else:
            self._closed[event.offset] = event.state, intern(event.code)
            events = self._by_subject.get(event.subject, {})
            events.pop(event.offset, None)
            if not events:
                self._by_subject.pop(event.subject, None)
        self._keys = None

    def dismissed_unheard(self, event: ParkedEvent) -> None:
        """Take in a dismissal that came while a retry was under way: the retry's failure does not
        undo it."""
        if self.at(event.subject, event.offset) is not None:
            self.put(event)
            self.contradicted[event.offset] = event
            self.on_news()

    def _pass_by(self, offset: int, is_passed_by: bool) -> None:
        at = bisect_left(self._passed_by, offset)
        is_there = self._passed_by[at : at + 1] == [offset]
        if is_passed_by and not is_there:
            self._passed_by.insert(at, offset)
        elif is_there and not is_passed_by:
            del self._passed_by[at]


class ParkedIndex(Follower):
    """The open exceptions of all lanes, as of what was read of the exception stream."""

    def __init__(
        self,
        broker: Broker,
        topic: InternalTopic,
        stream: Stream,
        reader: BatchReader,
        clock: Clock,
    ) -> None:
        super().__init__(broker, stream)
        self._broker = broker
        self._topic = topic
        self._reader = reader
        self._clock = clock
        self._lanes: defaultdict[LaneName, SetAside] = defaultdict(SetAside)
        self._own: dict[str, int] = {}  # key -> offset of our own newest record, until tailed

    def lane(self, name: LaneName) -> SetAside:
        """The open exceptions of one lane; the same object each time."""
        return self._lanes[name]

    def open_events(self, system: str | None = None) -> list[ParkedEvent]:
        """The open exceptions of one system or of all, by lane and offset."""
        return [
            event
            for name in sorted(self._lanes)
            if system in (None, name.system)
            for event in sorted(self._lanes[name], key=lambda event: event.offset)
        ]

    def oldest(self) -> dict[tuple[str, str], datetime]:
        """(system, stream) -> when its oldest open event was set aside."""
        found: dict[tuple[str, str], datetime] = {}
        for name, lane in self._lanes.items():
            for event in lane:
                stream = (name.system, name.stream)
                found[stream] = min(event.set_aside_at, found.get(stream, event.set_aside_at))
        return found

    async def record(self, events: Sequence[ParkedEvent]) -> None:
        """Append the new states of *events*, and take them in once acknowledged.

        Raises:
            Unavailable: Broker or registry does not answer; repeating it does no harm.
        """
        keys = [key_of(event) for event in events]
        places = await self._topic.append(keys, [_row(event) for event in events])
        for key, (_, offset), event in zip(keys, places, events, strict=True):
            self._own[key] = max(offset, self._own.get(key, -1))
            self._put(event)

    async def refer_to(
        self,
        lane: LaneName,
        topic: str,
        offset: int,
        note: str,
        operator: str | None = None,
        *,
        is_stuck: bool = False,
        reader: BatchReader | None = None,
    ) -> ParkedEvent:
        """The exception that sets one event of a lane aside unread; :meth:`record` makes it so.

        Args:
            lane: Whose event it is.
            topic: Where it is.
            offset: Which one it is.
            note: Why.
            operator: Who wants it.
            is_stuck: Whether the lane says that it cannot pass this very event.
            reader: Of the lane's stream. What it cannot read may be set aside also where the lane
                has passed it.

        Raises:
            ConfigurationError: There is no such event, the lane has passed it and it can be read,
                or it is an erasure.
            BrokerUnavailable: The broker does not answer.
        """
        found = await unread_at(self._broker, topic, lane.partition, offset)
        is_past = not is_stuck and await has_passed(self._broker, lane, topic, offset)
        if is_past and (reader is None or await found.can_be_read(reader)):
            where = {**lane._asdict(), "offset": offset}
            raise ConfigurationError("the lane has passed this event already", **where)
        return self.reference(lane, found, note, operator)

    def reference(
        self, lane: LaneName, unread: Unread, note: str, operator: str | None
    ) -> ParkedEvent:
        """The exception of an event; the one that is open, if there is one."""
        subject, offset = subject_of(unread.key), unread.offset
        now = self._clock.now()
        return self.lane(lane).at(subject, offset) or ParkedEvent(
            **lane._asdict(),
            offset=offset,
            subject=subject,
            event_id=None,
            state=ExceptionState.PARKED,
            code=EventUnread.code,
            attempts=0,
            at=now,
            note=note,
            since=now,
            operator=operator,
        )

    async def ask_retry(
        self, events: Iterable[ParkedEvent], operator: str | None = None
    ) -> Sequence[ParkedEvent]:
        """Request another try of these parked events; what waits behind each is tried too."""
        asked = [self._said(event, ExceptionState.RETRY, operator) for event in events]
        await self.record(asked)
        return asked

    async def dismiss(
        self, events: Iterable[ParkedEvent], note: str, operator: str | None = None
    ) -> Sequence[ParkedEvent]:
        """Close these parked events for good; what waits behind each is then applied."""
        closed = [self.dismissed(event, note, operator) for event in events]
        await self.record(closed)
        return closed

    def dismissed(self, event: ParkedEvent, note: str, operator: str | None) -> ParkedEvent:
        """The event as dismissed; :meth:`record` makes that durable."""
        return replace(self._said(event, ExceptionState.DISMISSED, operator), note=note)

    def _said(self, event: ParkedEvent, state: ExceptionState, operator: str | None) -> ParkedEvent:
        now = self._clock.now()
        return replace(event, state=state, at=now, since=event.set_aside_at, operator=operator)

    def _put(self, event: ParkedEvent) -> None:
        self._lanes[lane_of(event)].put(event)

    async def _take(self, fetched: Fetched) -> None:
        touched = set()
        for offset, row in await rows_of(self._reader, fetched):
            event = _event(row)
            key = key_of(event)
            own = self._own.get(key)
            if own is not None:
                if offset >= own:
                    del self._own[key]
                if offset < own and event.state is ExceptionState.DISMISSED:
                    self._lanes[lane_of(event)].dismissed_unheard(event)
                if offset <= own:
                    continue
            self._put(event)
            touched.add(lane_of(event))
        for name in touched:
            self._lanes[name].on_news()


def lane_of(event: ParkedEvent) -> LaneName:
    """The lane of a parked event."""
    return LaneName(event.system, event.stream, event.partition)


def key_of(event: ParkedEvent) -> str:
    """The Kafka key of an exception."""
    return f"{event.system}/{event.stream}/{event.partition}/{event.offset}"


def _row(event: ParkedEvent) -> dict[str, object]:
    return {**asdict(event), "state": event.state.value}


def _event(row: Mapping[str, object]) -> ParkedEvent:
    values = dict(row)
    values["state"] = ExceptionState(str(row["state"]))
    return ParkedEvent(**values)  # type: ignore[arg-type]  # the schema has exactly its fields


def _nobody() -> None:
    """The listener of a lane that this process does not host: does nothing."""
