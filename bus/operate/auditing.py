"""The ledger verified, anchored and pruned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from bus.access import erasure_key
from bus.app.configured import catalog
from bus.app.keys import proofs
from bus.app.outside import broker, registry
from bus.broker import Broker
from bus.catalog.reading import Reads
from bus.catalog.wire import Reader
from bus.ledger.anchor import Anchor
from bus.ledger.audit import Audit, Choice, LogSide, Step, Verdict, anchor_of
from bus.ledger.custody import KEY, Deeds, Marks, deeds, row_of
from bus.ledger.prune import Pruned, prune
from bus.ledger.store import prepare
from bus.log.internal import InternalTopic
from bus.log.partition import opened
from bus.model import Stream
from bus.model.custody import Custody, CustodyAct
from bus.operate.session import operator
from bus.sealing import Proofs, Statement
from bus.settings import Settings


async def verify(
    settings: Settings,
    choice: Choice,
    step: Step,
    *,
    anchor: Anchor | None = None,
    with_log: bool = True,
) -> Verdict:
    """What is wrong with the ledger of these settings.

    Args:
        choice: What of it.
        step: Told how far it is.
        anchor: Heads that must be there.
        with_log: Whether it is held against the log as well.

    Raises:
        KeysUnusable: There are no keys that prove receipts.
        Unavailable: Database, broker or registry does not answer.
    """
    ring = await proofs(settings).ring()
    taken_before = datetime.now(UTC) - settings.provision_retention
    audit = Audit(settings.need("database"), choice, step, ring, taken_before)
    if not with_log:
        return await audit.run(None, anchor)
    streams = catalog(settings)
    async with registry(settings) as known, broker(settings) as cluster:
        readers = {n: Reader(stream, streams, known) for n, stream in streams.streams.items()}
        return await audit.run(LogSide(cluster, streams.streams, readers), anchor)


async def anchor(settings: Settings) -> Anchor:
    """Where every chain of the ledger ends now; that it was asked for is recorded.

    Raises:
        KeysUnusable: There are no keys that prove it.
        Unavailable: Database, broker or registry does not answer.
    """
    async with _custodian(settings) as custodian:
        found = await anchor_of(settings.need("database"), datetime.now(UTC))
        await custodian.record(CustodyAct.ANCHORED, len(found.heads), found.digest)
    return found


async def prune_ledger(settings: Settings, *, is_dry: bool) -> Pruned:
    """Take from the ledger what is older than it is to be kept; it is recorded before it is done.

    Raises:
        ConfigurationError: The ledger has marks of retention that nobody recorded.
        KeysUnusable: There are no keys that prove it.
        Unavailable: Database, broker or registry does not answer.
    """
    uri = settings.need("database")
    streams = [s.name for s in catalog(settings).streams.values() if not s.is_internal]
    before = datetime.now(UTC) - settings.provision_retention
    key = None if settings.erasure_key_file is None else erasure_key(settings)
    async with _custodian(settings) as custodian:

        async def insist(left: Marks) -> None:
            (await custodian.deeds()).insist_on(left)

        async def record(done: Pruned, left: Marks) -> None:
            await custodian.record(CustodyAct.PRUNED, done.receipts, left.digest, done.before)

        await prepare(uri, streams)
        return await prune(
            uri,
            before,
            streams,
            is_dry=is_dry,
            insist=insist,
            record=record,
            erasure_key=key,
        )


class Custodian:
    """Records what is done to the ledger, by whom."""

    def __init__(
        self, cluster: Broker, topic: InternalTopic, stream: Stream, reader: Reads, proofs: Proofs
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._stream = stream
        self._reader = reader
        self._proofs = proofs

    async def deeds(self) -> Deeds:
        """What was recorded so far.

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
        """Record a deed, acknowledged by all replicas.

        Raises:
            ConfigurationError: The topic does not exist.
            Unavailable: Broker or registry does not answer.
        """
        deed = Custody(
            act=act,
            at=datetime.now(UTC),
            operator=operator(),
            receipts=receipts,
            digest=digest,
            before=before,
        )
        proof = await self._proofs.prove(Statement.CUSTODY, deed.proved)
        await self._topic.append([KEY], [row_of(replace(deed, proof=proof))])


@asynccontextmanager
async def _custodian(settings: Settings) -> AsyncIterator[Custodian]:
    keys = proofs(settings)
    await keys.ring()
    streams = catalog(settings)
    stream = streams.stream("custody")
    async with registry(settings) as known, broker(settings) as cluster:
        producer = cluster.producer(client_id="renkei-ledger")
        await producer.start()
        try:
            topic = InternalTopic(cluster, producer, known, stream)
            yield Custodian(cluster, topic, stream, Reader(stream, streams, known), keys)
        finally:
            await producer.close()
