"""Erase a subject, and list what the erasure cannot reach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bus.catalog import Catalog
from bus.clock import SystemClock
from bus.connect.source import Guard
from bus.control.erasing import Erasures
from bus.control.fence import RESTS_ON, Fence
from bus.credentials import erasure_key, number_form
from bus.errors import ErasureRefused, NothingChanged, UnknownName
from bus.ledger import Ledger
from bus.ledger.erasure_scope import ErasureScope, KnownKey
from bus.ledger.provision_queries import ProvisionQueries
from bus.ledger.subjects import PersonsStreams, persons_streams
from bus.model import PROTECTION, Operation, Stream, event_key
from bus.model.deed import Act
from bus.model.erasure import Erasure, ErasureState
from bus.model.number import comparable_key
from bus.model.subject import subject_digest
from bus.operate.deeds import Order, Planned
from bus.operate.naming import source_names
from bus.operate.provisions import whose
from bus.operate.questions import entitled
from bus.operate.session import Session
from bus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCopies:
    """What one system holds of a stream, by the ledger."""

    system: str
    stream: str
    events: int
    has_lane: bool  # whether its lane takes the row out; otherwise somebody must


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePlan:
    """What an erasure would do, and what it cannot reach."""

    municipality_code: str
    digest: str
    keys: Sequence[tuple[Stream, str]]  # streams and the Kafka keys in them
    known: Mapping[str, int]  # events by stream, as far as the ledger has them
    before: Erasure | None
    is_done: bool  # erased already, and nothing has come since
    copies: Sequence[SystemCopies]
    set_aside: Mapping[tuple[str, str], int]  # settled by the erasure
    standing: Sequence[Operation]  # lanes that erase only when they go on
    naming: Sequence[Stream]  # whose records may name the subject under another number
    outboxes: Sequence[str]  # core systems that hold changes of their own
    refusal: ErasureRefused | UnknownName | None = None  # why there is none


class Erasing:
    """One erasure of a session: planned, then done."""

    def __init__(
        self,
        settings: Settings,
        streams: Catalog,
        asked: Ledger,
        erasures: Erasures,
        fence: Fence,
    ) -> None:
        self._settings = settings
        self._streams = streams
        self._asked = asked
        self._erasures = erasures
        self._fence = fence

    async def plan(self, subject: str) -> ErasurePlan:
        """What erasing *subject* would do, or why it is refused: who learns that somebody is under
        protection is recorded first.

        Raises:
            UnknownName: The ledger knows nothing of a number that is said without municipality.
            ConfigurationError: The number is of several municipalities; no key is set.
        """
        where = persons_streams(self._streams.streams.values())
        queries = ProvisionQueries(self._asked)
        municipality, number = await whose(queries, subject, where, number_form(self._settings))
        digest = subject_digest(erasure_key(self._settings), municipality, number)
        erasable = ErasureScope(self._asked)
        known = await erasable.keys(municipality, number, where)
        keys = self._keys(municipality, number, where, known)
        before = self._erasures.of(digest)
        given = await queries.counts_of_subject(municipality, number, where)
        names = {stream.name for stream, _ in keys}
        return ErasurePlan(
            municipality_code=municipality,
            digest=digest,
            keys=keys,
            known={
                name: sum(key.events for key in known if key.stream == name)
                for name in sorted({key.stream for key in known})
            },
            before=before,
            is_done=before is not None and _covers(before, known),
            copies=await self._copies(given),
            set_aside=await erasable.set_aside(sorted({key for _, key in keys})),
            standing=[o for o in await self._asked.standing() if o.stream in names],
            naming=[self._streams.stream(name) for name in where.naming],
            outboxes=source_names(self._settings),
            refusal=self._refusal(municipality, number, is_known=bool(before or known)),
        )

    async def erase(
        self, plan: ErasurePlan, *, operator: str, reason: str, guard: Guard
    ) -> Erasure:
        """Append the null values and the record of the erasure.

        Args:
            plan: What is erased.
            operator: Who wants it.
            reason: Why.
            guard: Asked before each append.

        Raises:
            ErasureRefused, UnknownName: It is no erasure that may be.
            LeaseLost, IntakeDiffers: As *guard* says; erasing again finishes it.
            Unavailable: Something does not answer; erasing again finishes it.
        """
        if plan.refusal is not None:
            raise plan.refusal
        begun = Erasure(
            subject_digest=plan.digest,
            municipality_code=plan.municipality_code,
            state=ErasureState.BEGUN,
            streams=tuple(stream.name for stream, _ in plan.keys),
            at=datetime.now(UTC),
            operator=operator,
            reason=reason,
        )
        return await self._erasures.erase(begun, plan.keys, guard)

    def _refusal(
        self, municipality: str, number: str, *, is_known: bool
    ) -> ErasureRefused | UnknownName | None:
        if self._is_protected(municipality, number):
            return ErasureRefused(
                "the subject is under protection (支援措置): erased, others' records would show"
                " where it is; end the protection first"
            )
        return None if is_known else UnknownName("the ledger knows no event of this number")

    def _is_protected(self, municipality: str, number: str) -> bool:
        covered = map(comparable_key, self._fence.everybody.persons)
        return comparable_key(event_key(municipality, number)) in set(covered)

    def _keys(
        self, municipality: str, number: str, where: PersonsStreams, known: Sequence[KnownKey]
    ) -> list[tuple[Stream, str]]:
        """The subject's key in every stream of persons, for the ledger may be behind.

        Of numbers that only begin with the person's, those that the ledger knows.
        """
        wanted = {(name, number) for name in where.own}
        wanted |= {(key.stream, key.subject_id) for key in known}
        return [
            (self._streams.stream(name), event_key(municipality, each))
            for name, each in sorted(wanted, key=lambda pair: (pair[0] == PROTECTION, pair))
        ]

    async def _copies(self, given: Mapping[tuple[str, str], int]) -> list[SystemCopies]:
        now = await entitled(self._settings, self._asked)
        return [
            SystemCopies(
                system=system,
                stream=stream,
                events=events,
                has_lane=stream in now.get(system, {}) and system in self._settings.systems,
            )
            for (system, stream), events in sorted(given.items())
        ]


def _covers(before: Erasure, known: Sequence[KnownKey]) -> bool:
    """Whether nothing of the subject was published since its erasure."""
    if before.state is not ErasureState.ERASED:
        return False
    first: dict[tuple[str, int], int] = {}
    for stream, partition, offset in zip(
        before.streams, before.partitions, before.offsets, strict=True
    ):
        first[stream, partition] = min(offset, first.get((stream, partition), offset))
    return all(key.offset < first.get((key.stream, key.partition), -1) for key in known)


@asynccontextmanager
async def erasing(session: Session) -> AsyncIterator[Erasing]:
    """An erasure in this session.

    Raises:
        Unavailable: Database, broker or registry does not answer.
    """
    erasure_key(session.settings)  # before anything is opened
    streams, cluster = session.catalog, await session.broker()
    own = streams.stream("erasure")
    readers = {name: await session.reader(name) for name in RESTS_ON}
    erasures = Erasures(
        cluster,
        await session.producer(),
        await session.topic("erasure"),
        own,
        await session.reader("erasure"),
        SystemClock(),
    )
    fence = Fence(cluster, streams.streams, readers, number_form(session.settings))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(erasures.close)
        await erasures.start()
        stack.push_async_callback(fence.close)
        await fence.start()
        yield Erasing(session.settings, streams, await session.ledger(), erasures, fence)


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase a subject from every store."""

    subject: str

    async def plan(self, session: Session) -> ErasePreview:
        """What that would do, or why it is refused.

        Raises:
            UnknownName: The ledger knows nothing of a number that is said without municipality.
        """
        opened = await session.enter(erasing(session))
        return ErasePreview(opened, await opened.plan(self.subject))


@dataclass(frozen=True, slots=True)
class ErasePreview:
    """An erasure, not yet done."""

    erasing: Erasing
    plan: ErasurePlan

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return Planned(
            act=Act.ERASE,
            count=0 if self.plan.is_done else len(self.plan.keys),
            nothing="erased already",
            subject_digest=self.plan.digest,
            refusal=self.plan.refusal,
        )

    @property
    def looked_up(self) -> Planned:
        """The look-up as the journal records it, if the erasure is only shown."""
        known = sum(self.plan.known.values())
        return Planned(act=Act.ERASURE_OF, count=known, subject_digest=self.plan.digest)

    async def perform(self, session: Session, order: Order) -> Erasure:
        """Do it, in the turn of everybody who publishes what is erased.

        Raises:
            ConfigurationError: There are turns to be taken, and no database to take them by.
            IntakeDiffers: A living process has another ``RENKEI_INTAKE``.
            Unavailable: Something does not answer; erasing again finishes it.
        """
        guard = await session.guard()

        async def erase() -> Erasure:
            return await self.erasing.erase(
                self.plan, operator=order.actor.name, reason=order.note, guard=guard
            )

        speaking = {provider for stream, _ in self.plan.keys for provider in stream.providers}
        return await session.turns.during(speaking, erase)


def insist_on_change(plan: ErasurePlan, erased: Erasure | None) -> None:
    """That somebody was erased.

    Raises:
        NothingChanged: Nobody was.
    """
    if erased is None:
        why = "erased already" if plan.is_done else "you said no"
        raise NothingChanged(f"nothing was changed: {why}")


def not_reached(plan: ErasurePlan) -> list[tuple[str, list[str]]]:
    """What stays in spite of the erasure, and in which system."""
    stays = [
        (
            "rows in a system whose grant or lane has ended: it must delete them itself",
            sorted({f"{c.system}/{c.stream}" for c in plan.copies if not c.has_lane}),
        ),
        (
            "files, printouts and copies that a system made of what it was given",
            sorted({copies.system for copies in plan.copies}),
        ),
        (
            "records under another number that name the person: their owners must publish them",
            [f"{s.name} ({', '.join(s.providers)})" for s in plan.naming],
        ),
        ("a core system's own tables, and changes in its outbox", list(plan.outboxes)),
        (
            "the record of what was given: number and receipts, until retention takes them",
            ["ledger"],
        ),
        ("the log, until it is compacted; and backups of databases and of the log", ["kafka"]),
    ]
    return [(what, who) for what, who in stays if who]
