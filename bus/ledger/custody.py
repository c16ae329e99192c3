"""The log of what was done to the ledger: prunes and anchors, each proved by the bus.

Retention leaves marks in the ledger: from where on receipts are still there, and which ones later
receipts follow. Whoever can write to the ledger could write marks too, over a ledger that is empty.
So a pruning is recorded in the stream *custody*, with a digest of the marks that it leaves, before
it takes effect; marks that no record has are nobody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

import psycopg

from bus.catalog.decoding import BatchReader
from bus.errors import ConfigurationError
from bus.log.internal import decoded
from bus.log.partition import Log
from bus.model.custody import Custody, CustodyAct
from bus.observe.moments import local_time
from bus.sealing import KeyRing, ProofKind
from bus.sealing.proofs import proves

KEY = "ledger"
"""Of every record: all lie in one partition, in order."""

_QUESTIONS = (
    ("pruned", "SELECT log_partition, below, before, receipts FROM ledger.pruned ORDER BY 1"),
    ("head", 'SELECT system, stream, partition, chain, "end" FROM ledger.pruned_head'
     ' ORDER BY system COLLATE "C", stream COLLATE "C", partition, chain COLLATE "C"'),
    ("event", "SELECT stream, partition, below FROM ledger.pruned_event"
     ' ORDER BY stream COLLATE "C", partition'),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PruneMarks:
    """The marks that prunes left in the ledger, summed up."""

    digest: str  # SHA-256 in hex of all of them, in order
    count: int
    before: datetime | None  # the newest time of them


async def marks(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> PruneMarks:
    """The ledger's marks now."""
    made, count, newest = hashlib.sha256(), 0, list[datetime]()
    for name, question in _QUESTIONS:
        for row in await (await connection.execute(question)).fetchall():
            newest += [value for value in row if isinstance(value, datetime)]
            said = (f"{v.timestamp():.6f}" if isinstance(v, datetime) else str(v) for v in row)
            made.update("\x1f".join((name, *said)).encode() + b"\n")
            count += 1
    return PruneMarks(made.hexdigest(), count, max(newest, default=None))


@dataclass(slots=True)
class CustodyLog:
    """The records in the log of custody, proved and unproved."""

    proved: list[Custody] = field(default_factory=list)
    unproved: list[tuple[int, int]] = field(default_factory=list)
    """Where records lie that the bus did not write."""

    def have(self, act: CustodyAct, digest: str) -> Custody | None:
        """The first proved record of that act with that digest; None if there is none."""
        return next((d for d in self.proved if (d.act, d.digest) == (act, digest)), None)

    def insist_on(self, left: PruneMarks) -> None:
        """Refuse marks in the ledger that no proved record explains.

        Raises:
            ConfigurationError: They are not: somebody wrote them into the ledger.
        """
        if left.count and self.have(CustodyAct.PRUNED, left.digest) is None:
            raise ConfigurationError(
                "the ledger's marks of retention are not those that a pruning left;"
                " look with: renkei ledger verify"
            )


async def deeds(
    log: Log, topic: str, partitions: int, reader: BatchReader, ring: KeyRing
) -> CustodyLog:
    """Everything in the log of custody.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    found = CustodyLog()
    async for piece in log.whole(topic, partitions):
        read = await decoded(reader, piece)
        found.unproved += [(piece.partition, offset) for offset in read.no_records]
        for offset, row in read.rows():
            deed = _deed(row)
            if proves(ring, deed.proof, ProofKind.CUSTODY, deed.proved):
                found.proved.append(deed)
            else:
                found.unproved.append((piece.partition, offset))
    return found


def row_of(deed: Custody) -> dict[str, Any]:
    """A record of custody as a row of the stream."""
    return {
        "act": deed.act.value,
        "at": deed.at,
        "operator": deed.operator,
        "before": deed.before,
        "receipts": deed.receipts,
        "digest": deed.digest,
        "proof": deed.proof,
    }


def _deed(row: Mapping[str, Any]) -> Custody:
    return Custody(
        act=CustodyAct(row["act"]),
        at=row["at"],
        operator=row["operator"],
        before=row["before"],
        receipts=row["receipts"],
        digest=row["digest"],
        proof=row["proof"],
    )


def wrong_marks(
    left: PruneMarks, said: CustodyLog | None, newest_allowed: datetime, zone: tzinfo
) -> Sequence[str]:
    """What is wrong with the ledger's marks and with the log of custody; empty if nothing.

    Args:
        said: What the log has; None: it was not read.
        newest_allowed: What was applied since then must still be there.
        zone: In which people are told times.
    """
    wrong = []
    if left.before is not None and left.before > newest_allowed:
        wrong.append(
            f"retention took what was applied before {local_time(left.before, zone)};"
            f" what is younger than {local_time(newest_allowed, zone)} must be there"
        )
    if said is not None:
        if left.count and said.have(CustodyAct.PRUNED, left.digest) is None:
            wrong.append("the marks of retention are not those that a recorded pruning left")
        wrong += [f"custody {p}/{o}: the bus did not write this record" for p, o in said.unproved]
    return wrong
