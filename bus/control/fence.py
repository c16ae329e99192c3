"""The protection fence: who is covered by protections now, from the logs that say so.

Whoever appends an event after ``protection.started`` was appended must find it masked, whichever
stream and publisher. So a lane that has fetched events with a location waits for
:meth:`Fence.catch_up`, which asks for the ends of the streams that coverage rests on after the
call and reads up to there; only then are the events masked. Order in the log decides, no clocks.

Coverage rests on ``protection``, on ``household`` (who is a member of which) and on
``nonresident`` (which numbers are linked); what follows from them is :class:`bus.policy.Closure`.
A person may have several cases (:mod:`bus.policy.cases`) and is covered while any is open. A case
ends by an event that names it and never by a date: what ``ends_on`` says is not read.
In doubt a subject is covered: an event of the protection stream that cannot be read, or is of
another schema, protects the subject that its key names. One of the others takes nobody out; but as
long as it is the last word of its household or non-resident, nobody knows whom it would have taken
in, and nothing that says where somebody is may be shown (:meth:`Fence.insist_on_ties`). An erased
subject is forgotten.

How far a fence has come is said by log, ``<stream>/<partition>`` -> offset: it is what masks and
stores are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import pyarrow as pa
import structlog

from bus.broker import Broker, Fetched
from bus.broker.topics import LAG
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.errors import ConfigurationError, CoverageUnknown, SchemaMismatch
from bus.log.run import subject_of
from bus.log.tail import Follower
from bus.model import PROTECTION, CoverageChange, History, NumberForm, Protected, Reached, Stream
from bus.model.number import AS_SHIPPED, comparable_key
from bus.model.protection import LOOKED_BACK, fewer
from bus.model.subject import is_digest
from bus.policy import Closure, Search
from bus.policy.cases import CaseIndex, covered, said
from bus.policy.grounds import Grounds
from bus.sealing import Key
from bus.sealing.proofs import digest

NOBODY = Protected()
MEMBERS, LINKS = "household", "nonresident"
RESTS_ON = (PROTECTION, MEMBERS, LINKS)
"""The streams that coverage rests on."""

_SEAL = b"coverage, with its grounds"  # what a seal is of: no receipt's digest, no seal of before
ALIKE = 100
"""Of the last so many changes of coverage it is remembered one by one who was new; of those before
by twos, by fours and so on."""

_CLEANUP = "cleanup.policy"
_LEAST_LAG_MS = int(LOOKED_BACK.total_seconds() * 1_000)
_log = structlog.get_logger("renkei.deliver")


class Fence(Follower):
    """Everybody who is covered by protections (支援措置), followed in three streams.

    Args:
        form: How the site writes its numbers.
    """

    def __init__(
        self,
        broker: Broker,
        streams: Mapping[str, Stream],
        readers: Mapping[str, BatchReader],
        form: NumberForm = AS_SHIPPED,
    ) -> None:
        super().__init__(broker, *(streams[name] for name in RESTS_ON))
        self._broker = broker
        self._names = {streams[name].topic: name for name in RESTS_ON}
        self._readers = {name: readers[name] for name in RESTS_ON}
        self._form = form
        self._closure = Closure(form)
        self._grounds: Grounds | None = Grounds(self._closure)  # until it has begun
        self._cases = CaseIndex()
        self._all: Protected | None = NOBODY
        self._search: Search | None = None
        self._has_started = False
        self._unread: dict[tuple[str, str], tuple[str, int, int]] = {}  # by stream and key: where
        self._taken: dict[str, int] = {}  # by log: the offset after what was taken in last
        self._begin: Reached = {}  # as of which the process began to look
        self._rests_on: Reached = {}  # how far the records go that say who was covered then
        self._began: bytes | None = None  # a digest of who was covered then
        self._digested: tuple[Protected | None, bytes] | None = None  # who, and a digest of them
        self._changes: list[CoverageChange] = []
        self.changed: Reached = {}
        """As of which who is covered changed last: who knows less may take it for another."""
        self.released: Reached = {}
        """As of which somebody was covered no longer, for the last time."""
        self.listeners: set[Callable[[], None]] = set()
        """Called about once a second, for whoever waits for coverage to have changed."""

    async def start(self) -> None:
        """Read the streams from their beginnings.

        What changed before this process looked is not known, so that whoever remembers an older
        word than this has to look once.

        Raises:
            ConfigurationError: A topic does not exist, or may be compacted before what follows
                from a move is over.
            Unavailable: Broker or registry does not answer.
        """
        await super().start()
        await self._insist_on_lag()
        self._closure.settle()
        self._all = self._search = None
        self._has_started = True
        reached = self._begin = self.reached
        if self._grounds is not None:
            self._rests_on, self._grounds = self._grounds.reach(reached), None
        self._began = _digest(self._closure.everybody)
        if any(reached[log] for log in reached if log.startswith(f"{PROTECTION}/")):
            self.changed = self.released = reached

    async def _insist_on_lag(self) -> None:
        """Check that the topics keep households' records for as long as a move may take.

        Otherwise two processes may differ about who moved with whom.
        """
        for topic in self._names:
            config = await self._broker.topic_config(topic)
            lag = config.get(LAG, "0")
            if "compact" in config.get(_CLEANUP, "") and int(lag) < _LEAST_LAG_MS:
                raise ConfigurationError(
                    "a log of who is covered by protections may be compacted too soon; see"
                    " compaction_lag, then: renkei topics apply",
                    topic=topic,
                    has=f"{LAG}={lag}",
                    least=_LEAST_LAG_MS,
                )

    async def follow(self) -> None:
        """Catch up, and tell the listeners that coverage may have changed.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        await self.catch_up()
        for listener in list(self.listeners):
            listener()

    async def all_by_now(self) -> Protected:
        """Everybody who is covered, as of all that was appended before this call.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        await self.catch_up()
        return self.everybody

    async def sealed_by_now(self, key: Key) -> Protected:
        """As :meth:`all_by_now`, with a digest by *key* that a store keeps.

        A store that has the same digest after a restart need not be told again.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        everybody = await self.all_by_now()
        history = everybody.history
        if history is not None and self._began is not None:
            seal = digest(key, [_SEAL, self._began])
            history = replace(history, seal=seal, rests_on=self._rests_on)
        if self._digested is None or self._digested[0] is not self._all:
            self._digested = self._all, _digest(everybody)
        seal = digest(key, [_SEAL, self._digested[1]])
        return replace(everybody, history=history, seal=seal)

    @property
    def reached(self) -> Reached:
        """By log, the offset up to which everything is taken in."""
        return {f"{self._names[t]}/{at}": offset for (t, at), offset in self._tail.reached.items()}

    async def beyond(self, reached: Reached) -> Sequence[str]:
        """The logs of which *reached*, as somebody said before this call, says more than there is.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        if self._beyond(reached):
            await self.catch_up()
        return self._beyond(reached)

    def _beyond(self, reached: Reached) -> Sequence[str]:
        known = self.reached
        return [log for log, offset in reached.items() if offset > known.get(log, 0)]

    @property
    def everybody(self) -> Protected:
        """Who is covered as of what was read so far, and as of which offsets that is."""
        if self._all is None:
            everybody = self._closure.everybody
            history = History(self._begin, tuple(self._changes), self.released)
            self._all = replace(everybody, history=history)
        return replace(self._all, as_of=self.reached)

    @property
    def cases(self) -> CaseIndex:
        """The cases of all persons, as of what was read so far."""
        return self._cases

    @property
    def closure(self) -> Closure:
        """The records that were read, and why each person is covered by them."""
        return self._closure

    @property
    def ties_unread(self) -> Sequence[tuple[str, int, int]]:
        """Topic, partition and offset of what says last who belongs together and cannot be read."""
        return sorted(self._unread.values())

    async def insist_on_ties(self) -> None:
        """Check that the last word of every household and non-resident could be read, by now.

        Raises:
            CoverageUnknown: One could not; until it is published again, or erased.
            Unavailable: Broker or registry does not answer.
        """
        if self._unread:
            await self.catch_up()
        if self._unread:
            topic, partition, offset = self.ties_unread[0]
            raise CoverageUnknown(
                f"the record in {topic}, partition {partition}, at offset {offset} says who belongs"
                " together and cannot be read, so whom protections cover is not known: publish its"
                " subject again",
                count=len(self._unread),
            )

    def protected(self, records: pa.RecordBatch, located: Sequence[str]) -> pa.BooleanArray:
        """Per row of a batch, whether it may say where somebody is who is covered.

        Args:
            records: Columns of a stream's newest schema.
            located: Paths to the ids of all persons whose location a record may say.
        """
        if self._search is None:
            if not (everybody := self.everybody):
                return pa.repeat(pa.scalar(False), records.num_rows)
            self._search = Search(everybody)
        return self._search.rows(records, located)

    async def _take(self, fetched: Fetched) -> None:
        name = self._names[fetched.topic]
        log = f"{name}/{fetched.partition}"
        self._closure.advance(max(fetched.timestamps_ms))
        present = [index for index, value in enumerate(fetched.values) if value is not None]
        values = [value for value in fetched.values if value is not None]
        readable = await read_what_can_be(self._readers[name], values, refuse=(SchemaMismatch,))
        unreadable = dict(readable.refused)
        if name == PROTECTION:
            self._take_protections(log, fetched, readable.records, unreadable.keys())
        else:
            for index, error in readable.refused:
                _log.warning(
                    "coverage-unread",
                    code=error.code,
                    topic=fetched.topic,
                    partition=fetched.partition,
                    offset=fetched.offsets[present[index]],
                )
            places = [present[index] for index in readable.good]
            self._note_unread(name, fetched, {present[index] for index in unreadable})
            if self._grounds is not None and readable.records is not None:
                note = {MEMBERS: self._grounds.households, LINKS: self._grounds.nonresidents}[name]
                note(log, readable.records, [fetched.offsets[place] for place in places])
            self._take_ties(name, fetched, readable.records, places)
        self._taken[log] = fetched.offsets[-1] + 1
        if self._has_started:
            self._settle()

    def _note_unread(self, name: str, fetched: Fetched, unreadable: Collection[int]) -> None:
        """Remember of whom the last word cannot be read; what is no subject's key ties nobody."""
        if not (unreadable or self._unread):
            return
        for place, key in enumerate(fetched.keys):
            tie = name, comparable_key(subject_of(key))
            if place not in unreadable:
                self._unread.pop(tie, None)
            elif not is_digest(tie[1]):
                offset = fetched.offsets[place]
                self._unread[tie] = fetched.topic, fetched.partition, offset

    def _settle(self) -> None:
        before = self._closure.everybody
        is_more, is_less = self._closure.settle()
        stirred, loosened = self._closure.stirred, self._closure.loosened
        if not (is_more or is_less or stirred or loosened):
            return
        now, as_of = self._closure.everybody, dict(self.reached) | self._taken
        self._all = self._search = None
        self._changes.append(
            CoverageChange(
                as_of,
                now.persons - before.persons | stirred.persons,
                now.households - before.households | stirred.households,
            )
        )
        self._changes = fewer(self._changes, ALIKE)
        self.changed = as_of
        if is_less or loosened:
            self.released = as_of

    def _take_protections(
        self,
        log: str,
        fetched: Fetched,
        records: pa.RecordBatch | None,
        unreadable: Collection[int],
    ) -> None:
        by_value = iter(() if records is None else said(records))
        index = 0
        for key, value, offset in zip(fetched.keys, fetched.values, fetched.offsets, strict=True):
            subject = subject_of(key)
            if value is None:
                self._cases.forget(subject)
                self._closure.protection(subject, NOBODY)
                continue
            if index in unreadable:
                self._closure.protection(subject, None)
            else:
                record = next(by_value)
                subject = record.key
                now = covered(subject, self._cases.take(record), self._form)
                self._closure.protection(subject, now)
            if self._grounds is not None:
                self._grounds.protection(log, subject, offset)
            index += 1

    def _take_ties(
        self,
        name: str,
        fetched: Fetched,
        records: pa.RecordBatch | None,
        places: Sequence[int],
    ) -> None:
        """Take in a piece of one log, in order: what lies between two erasures goes in together.

        Args:
            places: Where in the piece each of *records* is.
        """
        times = [fetched.timestamps_ms[place] for place in places]

        def take(read: pa.RecordBatch, first: int) -> None:
            if name == MEMBERS:
                self._closure.households(read, times[first : first + read.num_rows])
            else:
                self._closure.nonresidents(read)

        def forget(key: str, at_ms: int) -> None:
            if name == MEMBERS:
                self._closure.household_gone(key, at_ms)
            else:
                self._closure.nonresident_gone(key)

        if None not in fetched.values:
            if records is not None:
                take(records, 0)
            return
        known, first, row = set(places), 0, 0
        placed = zip(fetched.keys, fetched.values, fetched.timestamps_ms, strict=True)
        for place, (key, value, at_ms) in enumerate(placed):
            if value is not None:
                row += place in known
                continue
            if records is not None and row > first:
                take(records.slice(first, row - first), first)
            first = row
            forget(subject_of(key), at_ms)
        if records is not None and row > first:
            take(records.slice(first, row - first), first)


def _digest(everybody: Protected) -> bytes:
    said = ["\n".join(sorted(keys)) for keys in (everybody.persons, everybody.households)]
    return sha256("\0".join(said).encode()).digest()
