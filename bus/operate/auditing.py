"""Verify, anchor and prune the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bus.broker import Broker
from bus.catalog.decoding import BatchReader
from bus.credentials import erasure_key
from bus.errors import ConfigurationError, UnknownName
from bus.ledger.anchor import Anchor
from bus.ledger.anchor import read as parsed
from bus.ledger.audit import Audit, AuditResult, AuditScope, LogSide, anchor_of
from bus.ledger.chains import ChainFault
from bus.ledger.custody import KEY, CustodyLog, PruneMarks, deeds, row_of
from bus.ledger.prune import Pruned, prune
from bus.ledger.store import prepare
from bus.log.internal import InternalTopic
from bus.log.partition import opened
from bus.model import Stream
from bus.model.custody import Custody, CustodyAct
from bus.model.deed import Act
from bus.operate.actor import Actor
from bus.operate.deeds import Order, Planned
from bus.operate.jobs import OnProgress, Progress
from bus.operate.session import Session
from bus.sealing import ProofKind, Proofs

__all__ = [
    "Anchor",
    "AuditResult",
    "AuditScope",
    "ChainFault",
    "Pruned",
]  # what verifying is asked, and what it names


async def verify(
    session: Session,
    choice: AuditScope,
    on_progress: OnProgress,
    *,
    anchor: Anchor | None = None,
    with_log: bool = True,
) -> Verified:
    """Compare the ledger with its log, chains, proofs and digests; all findings.

    Args:
        session: Where it is.
        choice: What of it.
        on_progress: How far it is.
        anchor: Heads that must be there.
        with_log: Whether it is held against the log as well.

    Raises:
        KeysUnusable: There are no keys that prove receipts.
        UnknownName: The ledger has no receipts of what was chosen.
        Unavailable: Database, broker or registry does not answer.
    """

    def step(what: str) -> None:
        on_progress(Progress(what))

    settings = session.settings
    ring = await session.proofs.ring()
    taken_before = datetime.now(UTC) - settings.provision_retention
    zone = ZoneInfo(settings.time_zone)
    audit = Audit((await session.ledger()).lent(), choice, step, ring, taken_before, zone)
    side = await _log_side(session) if with_log else None
    verdict = await audit.run(side, anchor)
    if (choice.system or choice.stream) and not verdict.lanes:
        raise UnknownName(
            "the ledger has no receipts of this", system=choice.system, stream=choice.stream
        )
    return Verified(verdict, anchor, with_log=with_log)


@dataclass(frozen=True, slots=True)
class Verified:
    """A verdict, and what the ledger was compared with."""

    verdict: AuditResult
    anchor: Anchor | None
    with_log: bool

    @property
    def heads_there(self) -> int:
        """How many heads of the anchor the ledger has."""
        heads = 0 if self.anchor is None else len(self.anchor.heads)
        return heads - len(self.verdict.lost_heads) - self.verdict.pruned_heads


async def _log_side(session: Session) -> LogSide:
    streams = session.catalog.streams
    readers = {name: await session.reader(name) for name in streams}
    return LogSide(await session.broker(), streams, readers)


def read_anchor(file: Path) -> Anchor:
    """The anchor in a file.

    Raises:
        ConfigurationError: It cannot be read, or is none.
    """
    try:
        return parsed(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("cannot read the anchor", file=str(file)) from error


@dataclass(frozen=True, slots=True)
class TakeAnchor:
    """Take an anchor of the ledger."""

    async def plan(self, session: Session) -> AnchorPreview:
        """The anchor, not yet recorded.

        Raises:
            KeysUnusable: There are no keys that prove an anchor.
            Unavailable: The database does not answer.
        """
        await session.proofs.ring()  # before anything is opened
        ledger = await session.ledger()
        return AnchorPreview(await anchor_of(ledger.lent(), datetime.now(UTC)))


@dataclass(frozen=True, slots=True)
class AnchorPreview:
    """An anchor that is not recorded yet."""

    anchor: Anchor

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it; a ledger without receipts has an anchor too."""
        return Planned(act=Act.ANCHOR, count=len(self.anchor.heads), may_be_empty=True)

    async def perform(self, session: Session, order: Order) -> Anchor:
        """Record the anchor in custody, by which verify recognises it, and give it out.

        Raises:
            KeysUnusable: There are no keys that prove it.
            Unavailable: Broker or registry does not answer.
        """
        custodian = await _custodian(session, order.actor)
        found = self.anchor
        await custodian.record(CustodyAct.ANCHORED, len(found.heads), found.digest)
        return found


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete from the ledger what is older than it is to be kept."""

    async def plan(self, _: Session) -> PrunePreview:
        """The prune; counting takes as long as deleting, and is :meth:`PrunePreview.tried`."""
        return PrunePreview()


@dataclass(frozen=True, slots=True)
class PrunePreview:
    """A prune, not yet done; nothing is counted."""

    def counted(self, done: Pruned) -> int:
        """How many rows were deleted."""
        return done.rows

    def so_far(self) -> int:
        """None: it takes effect at once, or not at all."""
        return 0

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it; deleting nothing is a prune too."""
        return Planned(act=Act.PRUNE, count=0, may_be_empty=True)

    async def tried(self, session: Session, order: Order) -> Pruned:
        """How many rows would be deleted.

        Raises:
            ConfigurationError: The ledger has marks of retention that nobody recorded.
            Unavailable: Database, broker or registry does not answer.
        """
        return await _prune(session, order.actor, is_dry=True)

    async def perform(self, session: Session, order: Order) -> Pruned:
        """Delete; what is deleted is recorded and proved before that takes effect.

        Raises:
            ConfigurationError: The ledger has marks of retention that nobody recorded.
            KeysUnusable: There are no keys that prove it.
            Unavailable: Database, broker or registry does not answer.
        """
        return await _prune(session, order.actor, is_dry=False)


async def _prune(session: Session, actor: Actor, *, is_dry: bool) -> Pruned:
    settings = session.settings
    ledger = await session.ledger()
    streams = [s.name for s in session.catalog.streams.values() if not s.is_internal]
    before = datetime.now(UTC) - settings.provision_retention
    key = None if settings.erasure_key_file is None else erasure_key(settings)
    custodian = await _custodian(session, actor)

    async def insist(left: PruneMarks) -> None:
        (await custodian.deeds()).insist_on(left)

    async def record(done: Pruned, left: PruneMarks) -> None:
        await custodian.record(CustodyAct.PRUNED, done.receipts, left.digest, done.before)

    await prepare(ledger.lent(), streams)
    return await prune(
        ledger.lent(), before, streams, is_dry=is_dry, insist=insist, record=record, erasure_key=key
    )


class Custodian:
    """Records what is done to the ledger, and by whom."""

    def __init__(
        self,
        cluster: Broker,
        topic: InternalTopic,
        stream: Stream,
        reader: BatchReader,
        proofs: Proofs,
        operator: str,
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._stream = stream
        self._reader = reader
        self._proofs = proofs
        self._operator = operator

    async def deeds(self) -> CustodyLog:
        """The records of custody so far.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        topic = self._stream.topic
        count = (await self._cluster.partitions([topic])).get(topic, 0)
        async with opened(self._cluster, "renkei-verify") as log:
            return await deeds(log, topic, count, self._reader, await self._proofs.ring())

    async def record(
        self, act: CustodyAct, receipts: int, digest: str, before: datetime | None = None
    ) -> None:
        """Append a record of custody; returns once all replicas have it.

        Raises:
            ConfigurationError: The topic does not exist.
            Unavailable: Broker or registry does not answer.
        """
        deed = Custody(
            act=act,
            at=datetime.now(UTC),
            operator=self._operator,
            receipts=receipts,
            digest=digest,
            before=before,
        )
        proof = await self._proofs.prove(ProofKind.CUSTODY, deed.proved)
        await self._topic.append([KEY], [row_of(replace(deed, proof=proof))])


async def _custodian(session: Session, actor: Actor) -> Custodian:
    await session.proofs.ring()  # before anything is opened
    topic, reader = await session.topic("custody"), await session.reader("custody")
    stream = session.catalog.stream("custody")
    return Custodian(await session.broker(), topic, stream, reader, session.proofs, actor.name)
