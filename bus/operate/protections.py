"""Who is under protection, case by case, and publishing lists of ended cases."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bus.broker import Broker
from bus.broker.partitioner import partition_of
from bus.catalog.decoding import read_what_can_be
from bus.catalog.plain import to_json
from bus.catalog.wire import Reader
from bus.control.fence import RESTS_ON, Fence
from bus.credentials import erasure_key, number_form
from bus.errors import ConfigurationError, UnknownName
from bus.log.readback import read_subjects
from bus.model import PROTECTION, Case, ChangeRecord, Fault
from bus.model.deed import Act
from bus.model.number import comparable_key
from bus.operate.deeds import Order, Planned, digest_of, record
from bus.operate.loading import STDIN
from bus.operate.neighbours import neighbours
from bus.operate.session import Session
from bus.policy import Reason
from bus.policy.cases import PersonCases, covered
from bus.publish.case_ends import CaseEndChecked, change_of, judged, read_ends
from bus.publish.cases import Refused
from bus.publish.digits import is_municipality
from bus.publish.identity import new_change_id
from bus.publish.outcome import Outcome
from bus.publish.publisher import Publisher

MOST_BYTES = 16 * 1024 * 1024
"""A longer list is refused: no municipality ends so many."""
_SNAPSHOTS = {"resident": "resident.corrected", "nonresident": "nonresident.changed"}
_SPOKEN_OF = (PROTECTION, *_SNAPSHOTS)
IN_ONE_TURN = 500
"""Ends that are sent in one turn: other ways in wait for so long."""
_LIVING = "resident"
"""The stream of which everybody's address is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndsPlan:
    """What a list of ends would do."""

    entries: Sequence[CaseEndChecked]
    faults: Sequence[Fault]  # of lines that are no entries

    @property
    def taken(self) -> list[CaseEndChecked]:
        """The entries that are not refused."""
        return [one for one in self.entries if not one.refused]

    @property
    def staying(self) -> set[str]:
        """Keys of persons who have an open case after the whole list."""
        last = {one.end.key: one.after for one in self.taken}
        return {key for key, standing in last.items() if standing.open}

    @property
    def persons(self) -> set[str]:
        """Keys of persons of whom a case ends."""
        return {one.end.key for one in self.taken}

    @property
    def refused(self) -> list[CaseEndChecked]:
        """Entries that are."""
        return [one for one in self.entries if one.refused]


@dataclass(frozen=True, slots=True)
class CasesEnded:
    """What a list of ends came to."""

    plan: EndsPlan
    outcomes: Sequence[Outcome] | None  # of each that was taken; None: nothing was sent

    @property
    def refused(self) -> list[Outcome]:
        """Those that were sent and not taken."""
        return [each for each in self.outcomes or () if not each.is_published]

    @property
    def count(self) -> int:
        """How many have ended."""
        return len(self.outcomes or ()) - len(self.refused)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the list was refused, by whomever."""
        return not (self.plan.faults or self.plan.refused or self.refused)


def by_day(standing: PersonCases, *, is_all: bool = True) -> list[Case]:
    """A person's cases, all or those that are open, by the day on which they began."""
    if not is_all:
        return standing.open
    return [case for _, case in sorted(standing.cases.items())]


class CaseRegister:
    """The cases of everybody in the log now."""

    def __init__(
        self,
        session: Session,
        cluster: Broker,
        readers: Mapping[str, Reader],
        fence: Fence,
    ) -> None:
        self._session = session
        self._streams = session.catalog
        self._cluster = cluster
        self._readers = readers
        self._fence = fence
        self._form = number_form(session.settings)

    def everybody(self) -> dict[str, PersonCases]:
        """The cases of everybody who is or was under protection, by key."""
        return dict(sorted(self._fence.cases))

    def of(self, subject: str) -> tuple[str, PersonCases, Mapping[str, Sequence[Reason]]]:
        """The key, the cases, and everybody whom they cover, of ``<municipality>/<number>``.

        Raises:
            ConfigurationError: It is no subject, or never was under protection.
        """
        municipality, _, number = subject.partition("/")
        if not is_municipality(municipality) or not number:
            raise ConfigurationError("a subject is <municipality>/<number>")
        wanted = comparable_key(subject)
        for key, standing in self._fence.cases:
            if comparable_key(key) == wanted:
                return key, standing, self._fence.closure.reasons(key)
        raise UnknownName("no protection of this subject is known")

    @property
    def unread(self) -> Sequence[tuple[str, int, int]]:
        """Topic, partition and offset of records that say who belongs together, and are unread."""
        return self._fence.ties_unread

    async def neighbours(self, key: str) -> list[str]:
        """Keys of others whose record says the same address, and whom no protection covers.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        stream = self._streams.stream(_LIVING)
        found = await neighbours(self._cluster, stream, self._readers[_LIVING], key)
        covered = set(map(comparable_key, self._fence.everybody.persons))
        return sorted(each for each in found if comparable_key(each) not in covered)

    async def plan(self, data: bytes, *, is_csv: bool) -> EndsPlan:
        """What the list *data* would do, each entry behind those before it: by a publisher that
        checks what it would send, and appends nothing.

        Raises:
            Unavailable: Something does not answer.
        """
        ends, faults = read_ends(data, self._form, is_csv=is_csv)
        refused: dict[int, Sequence[Refused]] = {}
        entries = judged(ends, self._fence.cases.of, refused)
        snapshots = await self._snapshots({one.end.key for one in entries if not one.refused})
        while True:  # what is refused may change what those behind it may do
            entries = judged(ends, self._fence.cases.of, refused)
            more = await self._tried(entries, snapshots)
            if not more:
                return EndsPlan(entries=entries, faults=faults)
            refused |= more

    async def _tried(
        self, entries: Sequence[CaseEndChecked], snapshots: Mapping[str, ChangeRecord]
    ) -> dict[int, Sequence[Refused]]:
        """What a publisher would refuse of what is not refused yet, by place: of each person the
        first."""
        places = [place for place, one in enumerate(entries) if not one.refused]
        if not places:
            return {}
        trial = (await self._session.trial())(None)
        try:
            await trial.start()
            outcomes: list[Outcome] = []
            taken = [entries[place] for place in places]
            await self._send(trial, taken, self._under(entries), snapshots, outcomes)
        finally:
            await trial.close()
        found: dict[int, Sequence[Refused]] = {}
        persons: set[str] = set()  # what follows of the same person may be refused for that alone
        for place, outcome in zip(places, outcomes, strict=True):
            key = entries[place].end.key
            if not outcome.is_published and key not in persons:
                found[place] = [Refused.of(fault) for fault in outcome.faults if fault.is_error]
                persons.add(key)
        return found

    async def end(self, plan: EndsPlan, outcomes: list[Outcome]) -> None:
        """Publish the entries that *plan* takes, one change each, in the list's order; what came of
        each goes into *outcomes* as soon as it is known.

        Raises:
            Unavailable: Something does not answer; with the same list, go on.
        """
        under = self._under(plan.entries)
        publishing = await self._session.publisher()
        speaking = {p for name in _SPOKEN_OF for p in self._streams.stream(name).providers}

        async def send(some: Sequence[CaseEndChecked]) -> None:
            snapshots = await self._snapshots({one.end.key for one in some})
            await self._send(publishing, some, under, snapshots, outcomes)

        for some in _sliced(plan.taken):
            await self._session.turns.during(speaking, partial(send, some))

    def _under(self, entries: Sequence[CaseEndChecked]) -> set[str]:
        """Who is covered once the list has taken effect."""
        for one in entries:
            key = one.end.key
            self._fence.closure.protection(key, covered(key, one.after, self._form))
        self._fence.closure.settle()
        return {comparable_key(key) for key in self._fence.closure.everybody.persons}

    async def _send(
        self,
        publishing: Publisher,
        taken: Sequence[CaseEndChecked],
        under: Collection[str],
        snapshots: Mapping[str, ChangeRecord],
        outcomes: list[Outcome],
    ) -> None:
        """Publish some ends, each with its person's snapshot and the flag that this has from now
        on. Nobody else appends for these systems since the snapshots were read.
        """
        now = datetime.now(UTC)
        (source, *_) = self._streams.stream(PROTECTION).providers
        for one in taken:
            known = await publishing.newest(PROTECTION, one.end.key)
            snapshot = snapshots.get(one.end.key)
            if snapshot is not None:
                version = await publishing.newest(snapshot.stream, one.end.key)
                body = {**snapshot.body, "protected": comparable_key(one.end.key) in under}
                snapshot = snapshot.model_copy(update={"version": version + 1, "body": body})
            made = change_of(
                one,
                version=known + 1,
                snapshot=snapshot,
                source=source,
                change_id=new_change_id(now),
                at=now,
            )
            outcomes += await publishing.publish([made])

    async def _snapshots(self, keys: Collection[str]) -> dict[str, ChangeRecord]:
        """The newest snapshot of each person in the log, as it is there."""
        found: dict[str, ChangeRecord] = {}
        for name, event_type in _SNAPSHOTS.items():
            stream = self._streams.stream(name)
            count = (await self._cluster.partitions([stream.topic]))[stream.topic]
            wanted = sorted(keys - found.keys())
            places: dict[int, list[str]] = {}
            for key, at in zip(
                wanted, partition_of([key.encode() for key in wanted], count), strict=True
            ):
                places.setdefault(at, []).append(key)
            for at, mine in places.items():
                for key, value in (await self._newest((stream.topic, at), mine)).items():
                    readable = await read_what_can_be(self._readers[name], [value])
                    if readable.records is None:
                        continue
                    (row,) = readable.records.to_pylist()
                    body = {item: to_json(held) for item, held in row.items() if item != "header"}
                    found[key] = ChangeRecord(
                        stream=name,
                        event_type=event_type,
                        subject_id=key.partition("/")[2],
                        version=row["header"]["version"],
                        body=body,
                    )
        return found

    async def _newest(self, place: tuple[str, int], keys: Sequence[str]) -> dict[str, bytes]:
        run = await read_subjects(self._cluster, place, set(keys))
        return {
            key.decode(): value
            for key, value in zip(run.keys, run.values, strict=True)
            if key is not None and value is not None
        }


def _sliced(taken: Sequence[CaseEndChecked]) -> Iterator[Sequence[CaseEndChecked]]:
    for first in range(0, len(taken), IN_ONE_TURN):
        yield taken[first : first + IN_ONE_TURN]


@asynccontextmanager
async def protecting(session: Session) -> AsyncIterator[CaseRegister]:
    """The cases of everybody.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    cluster = await session.broker()
    readers = {name: await session.reader(name) for name in {*RESTS_ON, *_SNAPSHOTS}}
    form = number_form(session.settings)
    fence = Fence(cluster, session.catalog.streams, readers, form)
    try:
        await fence.start()
        yield CaseRegister(session, cluster, readers, fence)
    finally:
        await fence.close()


@dataclass(frozen=True, slots=True)
class PersonListed:
    """A person's cases and, if asked for, whom they cover."""

    key: str
    standing: PersonCases


@dataclass(frozen=True, slots=True)
class PersonShown:
    """A person's cases, whom they cover and why, and who else has the address."""

    key: str
    standing: PersonCases
    covers: Mapping[str, Sequence[Reason]]
    same_address: Sequence[str]  # in a record of their own, and not covered
    unread: Sequence[tuple[str, int, int]] = ()
    """Topic, partition and offset of records that may cover more and cannot be read."""


async def everybody(session: Session, order: Order, *, is_all: bool) -> list[PersonListed]:
    """Everybody who has an open case or, if *is_all*, ever had one; recorded as a look-up first.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    found = (await session.enter(protecting(session))).everybody()
    chosen = [PersonListed(key, each) for key, each in found.items() if is_all or each.open]
    await record(session, Planned(act=Act.PROTECTIONS_LIST, count=len(chosen)), order)
    return chosen


async def cases_of(session: Session, subject: str, order: Order) -> PersonShown:
    """The cases of *subject*; recorded as a look-up first.

    Raises:
        ConfigurationError: It is no subject; no key of erasures is set, by which the journal knows
            whom somebody looked up.
        UnknownName: It never was under protection, as far as the log says.
        Unavailable: Broker or registry does not answer.
    """
    erasure_key(session.settings)  # before anything is opened
    known = await session.enter(protecting(session))
    municipality, _, number = subject.partition("/")
    looked_up = Planned(
        act=Act.PROTECTION_OF,
        count=1,
        subject_digest=digest_of(session, municipality, number_form(session.settings).of(number)),
    )
    await record(session, looked_up, order)
    key, standing, reasons = known.of(subject)
    return PersonShown(key, standing, reasons, await known.neighbours(key), known.unread)


@dataclass(frozen=True, slots=True)
class End:
    """End the cases that a list names."""

    data: bytes
    is_csv: bool

    @classmethod
    def of(cls, file: str) -> End:
        """The list in a file, or, ``-``, on stdin.

        Raises:
            ConfigurationError: It cannot be read, or is too long.
        """
        try:
            with sys.stdin.buffer if file == STDIN else Path(file).open("rb") as source:
                data = source.read(MOST_BYTES + 1)
        except OSError as error:
            raise ConfigurationError("cannot read the file", file=file) from error
        if len(data) > MOST_BYTES:
            raise ConfigurationError("the list is too long", file=file, bytes=MOST_BYTES)
        return cls(data, is_csv=file.lower().endswith(".csv"))

    async def plan(self, session: Session) -> EndPreview:
        """What that would do; each entry comes after those before it.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        known = await session.enter(protecting(session))
        return EndPreview(known, await known.plan(self.data, is_csv=self.is_csv))


@dataclass(frozen=True, slots=True)
class EndPreview:
    """What a list of ends would do."""

    protecting: CaseRegister
    plan: EndsPlan
    outcomes: list[Outcome] = field(default_factory=list)
    """What came of it so far, also where it was cut off."""

    def so_far(self) -> int:
        """Those that were acknowledged; the next one may be in the log too."""
        return sum(each.is_published for each in self.outcomes)

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return Planned(act=Act.PROTECTIONS_END, count=len(self.plan.taken), stream=PROTECTION)

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the list is only checked."""
        return Planned(act=Act.PROTECTIONS_LIST, count=len(self.plan.entries), stream=PROTECTION)

    async def perform(self, _: Session, __: Order) -> list[Outcome]:
        """Publish the entries that are taken, one change each, in the list's order.

        Raises:
            Unavailable: Something does not answer; with the same list, go on.
        """
        await self.protecting.end(self.plan, self.outcomes)
        return self.outcomes
