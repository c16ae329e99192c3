"""Verify a ledger: chains, proofs, receipts against their log, and digests of what was delivered.

One snapshot of the ledger is read from beginning to end, a lane or a stretch at a time, so that
memory is bounded by the largest lane; the log is read beside it. Nothing is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from bus.broker import Broker, Fetched, TopicPartition
from bus.catalog.decoding import BatchReader
from bus.ledger.anchor import Anchor, ChainEnd
from bus.ledger.chains import ChainFault, ChainFaultKind, ReceiptRow, check_lane, settle
from bus.ledger.custody import PruneMarks, deeds, marks, wrong_marks
from bus.ledger.deeds import OpenDeeds, RecordedDeed, all_deeds, unproved
from bus.ledger.digest_check import DigestCheck
from bus.ledger.event_rows import EventRows
from bus.ledger.log_comparison import LogComparison
from bus.ledger.proof_check import ProofCheck
from bus.ledger.provision_queries import VIEW_COLUMNS, recorded_view
from bus.ledger.statements import events_table
from bus.ledger.store import TABLE_PREFIX, Lent
from bus.ledger.view_check import disagreement
from bus.log.internal import decoded
from bus.log.partition import Log, opened
from bus.model import Receipt, Stream, View
from bus.model.custody import CustodyAct
from bus.policy import ledger_view, project
from bus.sealing import KeyRing

_ROWS = """
SELECT system, stream, partition, start, "end", delivered::text, view, rows, digest, previous,
       chain, applied_at, cluster_id, is_replay, proof, log_partition, log_offset
FROM ledger.event_receipt"""
_CHOSEN = """
  (%(system)s::text IS NULL OR system = %(system)s)
  AND (%(stream)s::text IS NULL OR stream = %(stream)s)"""
_LANES = f"""
SELECT DISTINCT system, stream, partition FROM ledger.event_receipt WHERE {_CHOSEN}
ORDER BY system, stream, partition"""
_LANE = f"""{_ROWS}
WHERE system = %(system)s AND stream = %(stream)s AND partition = %(partition)s
ORDER BY log_partition, log_offset"""
_PROVED = """
SELECT log_partition, min(log_offset) FROM ledger.event_receipt
WHERE proof IS NOT NULL GROUP BY log_partition"""
_HEADS = """
SELECT chain, "end" FROM ledger.pruned_head
WHERE system = %(system)s AND stream = %(stream)s AND partition = %(partition)s"""
_PRUNED = "SELECT log_partition, below, before FROM ledger.pruned"
# How far the ledger is in the receipts' log; rows beyond what it says are held against it too.
_REACHED = """
SELECT partition, max("offset") FROM (
  SELECT partition, "offset" FROM ledger.event_renkei_position WHERE stream = 'receipt'
  UNION ALL
  SELECT log_partition, max(log_offset) + 1 FROM ledger.event_receipt GROUP BY log_partition
) AS far GROUP BY partition"""
_STRETCH = f"""{_ROWS}
WHERE log_partition = %(log_partition)s AND log_offset >= %(first)s AND log_offset < %(after)s
  AND {_CHOSEN}
ORDER BY log_offset"""
_DELIVERED = f"""{_ROWS}
WHERE stream = %(stream)s AND partition = %(partition)s AND NOT isempty(delivered)
  AND (%(system)s::text IS NULL OR system = %(system)s)
ORDER BY lower(delivered)"""
_PLACES = f"""
SELECT DISTINCT stream, partition FROM ledger.event_receipt
WHERE NOT isempty(delivered) AND {_CHOSEN} ORDER BY stream, partition"""
_VIEWS_USED = f"SELECT DISTINCT view FROM ledger.event_receipt WHERE {_CHOSEN}"
_VIEWS = f"""
SELECT {VIEW_COLUMNS}
FROM ledger.event_view ORDER BY log_partition, log_offset"""
_ENDS = """
SELECT DISTINCT ON (system, stream, partition, chain)
       system, stream, partition, "end", chain, log_partition, log_offset
FROM ledger.event_receipt AS receipt
WHERE NOT EXISTS (
  SELECT FROM ledger.event_receipt AS next
  WHERE next.previous = receipt.chain AND next.system = receipt.system
    AND next.stream = receipt.stream AND next.partition = receipt.partition)
ORDER BY system, stream, partition, chain, log_partition, log_offset"""
_EVENT_REACHED = """
SELECT "offset" FROM ledger.event_renkei_position
WHERE stream = %(stream)s AND partition = %(partition)s"""
_EVENT_BELOW = """
SELECT below FROM ledger.pruned_event WHERE stream = %(stream)s AND partition = %(partition)s"""
_EVENTS = """
SELECT {columns} FROM ledger.{table}
WHERE log_partition = %(partition)s AND log_offset >= %(first)s
  AND (%(after)s::bigint IS NULL OR log_offset < %(after)s)
ORDER BY log_offset"""
_HELD = """
SELECT EXISTS (
  SELECT FROM ledger.event_receipt
  WHERE system = %(system)s AND stream = %(stream)s AND partition = %(partition)s
    AND chain = %(chain)s AND "end" = %(end)s)"""

_RECEIPTS = "receipt"
_CUSTODY = "custody"
_DEED = "deed"
_AT_ONCE = 20_000
MOST_FINDINGS = 1_000
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AuditScope:
    """The part of the ledger that is verified, by system and stream; None: all."""

    system: str | None = None
    stream: str | None = None

    @property
    def about(self) -> dict[str, Any]:
        """The choice as parameters of the SQL."""
        return {"system": self.system, "stream": self.stream}


@dataclass(slots=True)
class AuditResult:
    """What was verified, and all findings."""

    lanes: int = 0
    receipts: int = 0
    repeats: int = 0
    chains: int = 0
    forks: int = 0
    proved: int = 0  # receipts that are the bus's own by its key
    unproved: int = 0  # receipts of before there were proofs
    in_log: int = 0  # receipts that are in the log as they are in the ledger
    no_longer_in_log: int = 0  # receipts from before the log's beginning
    unreadable: int = 0  # records in the receipts' log that are no receipts
    digests: int = 0  # receipts whose events are in the log, and are those delivered
    compacted: int = 0  # receipts whose events are not all in the log any more
    events: int = 0  # rows of events that are as the log has them
    events_compacted: int = 0  # rows whose event is not in the log any more
    views: int = 0
    unrecorded_views: tuple[str, ...] = ()  # named by receipts, recorded nowhere
    false_views: Mapping[str, str] = field(default_factory=dict)  # fingerprint -> what is wrong
    pruned_before: datetime | None = None
    deeds: int = 0  # prunings and anchors in the log of custody
    deeds_proved: int = 0  # of operators, and look-ups: the bus's own word by its key
    deeds_without_end: Sequence[RecordedDeed] = ()  # begun: cut off, or at work; no fault of it
    wrong_marks: tuple[str, ...] = ()  # what of them cannot be so
    ahead: int = 0  # records in the log that the ledger has not come to
    lost_heads: tuple[ChainEnd, ...] = ()  # of the anchor, and not in the ledger
    pruned_heads: int = 0  # of the anchor, and taken by retention since
    findings: list[ChainFault] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether there are no findings."""
        return not (self.findings or self.false_views or self.lost_heads or self.wrong_marks)


@dataclass(frozen=True, slots=True)
class LogSide:
    """The broker and the readers of streams that the ledger is compared with."""

    broker: Broker
    streams: Mapping[str, Stream]  # by name
    readers: Mapping[str, BatchReader]  # of the receipts and of all published streams


class Audit:
    """One verification of one ledger.

    Args:
        lent: The ledger's database.
        choice: What of it.
        step: Told how far it is.
        ring: The keys that prove receipts.
        taken_before: Up to when retention may have taken what was applied.
        zone: In which people are told times.
    """

    def __init__(
        self,
        lent: Lent,
        choice: AuditScope,
        step: Step,
        ring: KeyRing,
        taken_before: datetime,
        zone: tzinfo,
    ) -> None:
        self._lent = lent
        self._ring = ring
        self._taken_before = taken_before
        self._zone = zone
        self._choice = choice
        self._step = step
        self._verdict = AuditResult()
        self._in_chains: list[ChainFault] = []
        self._in_log: list[ChainFault] = []
        self._said: set[str] = set()
        self._in_events: list[ChainFault] = []
        self._in_deeds: list[ChainFault] = []

    async def run(
        self,
        log: LogSide | None,
        anchor: Anchor | None = None,
    ) -> AuditResult:
        """Verify.

        Args:
            log: None: the ledger is held against itself alone.
            anchor: Heads that must be there.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The database does not answer.
            BrokerUnavailable: The broker does not answer.
        """
        async with _snapshot(self._lent) as connection:
            pruned = await self._pruned(connection)
            left = await marks(connection)
            self._verdict.wrong_marks = tuple(
                wrong_marks(left, None, self._taken_before, self._zone)
            )
            await self._check_chains(connection)
            await self._check_views(connection)
            if self._choice.system is None and self._choice.stream in (None, _DEED):
                await self._check_deeds(connection)
            if anchor is not None:
                await self._check_anchor(connection, anchor, pruned)
            if log is not None:
                async with opened(log.broker, "renkei-verify") as reading:
                    await self._check_custody(left, reading, log, anchor)
                    await self._compare(connection, reading, log, pruned)
                    topics = [stream.topic for stream in log.streams.values()]
                    counts = await log.broker.partitions(topics)
                    places = {
                        stream.name: (stream.topic, counts.get(stream.topic, 0))
                        for stream in log.streams.values()
                    }
                    await self._check_delivered(connection, reading, places)
                    if self._choice.system is None:
                        await self._check_events(connection, reading, log, places)
        settled = settle(self._in_chains, self._in_log, self._said)
        named = {found.place for found in self._in_events if found.stream == _DEED}
        not_proved = [found for found in self._in_deeds if found.place not in named]
        in_events = [*self._in_events[:MOST_FINDINGS], *not_proved[:MOST_FINDINGS]]
        self._verdict.findings = [*settled, *in_events]
        return self._verdict

    async def _pruned(self, connection: _Connection) -> Mapping[int, tuple[int, datetime]]:
        rows = await (await connection.execute(_PRUNED)).fetchall()
        self._verdict.pruned_before = max((before for _, _, before in rows), default=None)
        return {partition: (below, before) for partition, below, before in rows}

    # -- what was done to it

    async def _check_custody(
        self, left: PruneMarks, log: Log, side: LogSide, anchor: Anchor | None
    ) -> None:
        stream = side.streams[_CUSTODY]
        count = (await side.broker.partitions([stream.topic])).get(stream.topic, 0)
        said = await deeds(log, stream.topic, count, side.readers[_CUSTODY], self._ring)
        self._verdict.deeds = len(said.proved)
        wrong = list(wrong_marks(left, said, self._taken_before, self._zone))
        if anchor is not None:
            anchored = [deed for deed in said.proved if deed.act is CustodyAct.ANCHORED]
            is_there = said.have(CustodyAct.ANCHORED, anchor.digest) is not None
            if not is_there and any(deed.at < anchor.at for deed in anchored):
                wrong.append("the anchor is none that was recorded")
        self._verdict.wrong_marks = tuple(wrong)

    # -- the chains by themselves

    async def _check_chains(self, connection: _Connection) -> None:
        lanes = await (await connection.execute(_LANES, self._choice.about)).fetchall()
        verdict = self._verdict
        proved = ProofCheck(self._ring, dict(await _all(connection, _PROVED, {})))
        for number, (system, stream, partition) in enumerate(lanes, start=1):
            self._step(f"chains: {number:,} of {len(lanes):,} lanes")
            about = {"system": system, "stream": stream, "partition": partition}
            heads: dict[str, int] = dict(await (await connection.execute(_HEADS, about)).fetchall())
            rows = await (await connection.execute(_LANE, about)).fetchall()
            lane = [_row(row) for row in rows]
            found = check_lane(lane, heads)
            proved.take(lane, {finding.place for finding in found.findings})
            verdict.lanes += 1
            verdict.receipts += found.receipts
            verdict.repeats += found.repeats
            verdict.chains += found.chains
            verdict.forks += found.forks
            self._in_chains += found.findings[:MOST_FINDINGS]
        verdict.proved, verdict.unproved = proved.good, proved.before
        self._in_chains += proved.findings[:MOST_FINDINGS]

    async def _check_views(self, connection: _Connection) -> None:
        used = {row[0] for row in await _all(connection, _VIEWS_USED, self._choice.about)}
        recorded, false = set(), {}
        for row in await _all(connection, _VIEWS, {}):
            view = recorded_view(row)
            recorded.add(view.fingerprint)
            if view.fingerprint in used and (what := disagreement(view)) is not None:
                false[view.fingerprint] = what
        self._verdict.views = len(used & recorded)
        self._verdict.unrecorded_views = tuple(sorted(used - recorded))
        self._verdict.false_views = false

    async def _check_deeds(self, connection: _Connection) -> None:
        self._step("deeds")
        unended = OpenDeeds()
        async for recorded in all_deeds(connection, self._ring):
            unended.take(recorded)
            if recorded.is_proved:
                self._verdict.deeds_proved += 1
            elif len(self._in_deeds) < MOST_FINDINGS:
                self._in_deeds.append(unproved(recorded, self._zone))
        self._verdict.deeds_without_end = unended.found[:MOST_FINDINGS]

    async def _check_anchor(
        self, connection: _Connection, anchor: Anchor, pruned: Mapping[int, tuple[int, datetime]]
    ) -> None:
        lost = []
        for number, head in enumerate(anchor.heads, start=1):
            self._step(f"anchor: {number:,} of {len(anchor.heads):,} heads")
            about = {
                "system": head.system,
                "stream": head.stream,
                "partition": head.partition,
                "chain": head.chain,
                "end": head.end,
            }
            if (await _all(connection, _HELD, about))[0][0]:
                continue
            if head.log_offset < pruned.get(head.log_partition, (0, None))[0]:
                self._verdict.pruned_heads += 1
            else:
                lost.append(head)
        self._verdict.lost_heads = tuple(lost)

    # -- against the receipts' log

    async def _compare(
        self,
        connection: _Connection,
        log: Log,
        side: LogSide,
        pruned: Mapping[int, tuple[int, datetime]],
    ) -> None:
        stream, reader = side.streams[_RECEIPTS], side.readers[_RECEIPTS]
        compared = LogComparison()
        for partition, reached in await _all(connection, _REACHED, {}):
            begin, end = await log.bounds((stream.topic, partition))
            below, before = pruned.get(partition, (0, None))
            if begin > below:
                about = self._stretch(partition, below, begin)
                self._verdict.no_longer_in_log += len(await _all(connection, _STRETCH, about))
            last = min(reached, end)
            first = begin
            async for piece in log.read((stream.topic, partition), begin, last):
                self._step(f"receipts' log: {piece.offsets[-1]:,} of {last:,} in {partition}")
                after = piece.offsets[-1] + 1
                said = await self._said_in(reader, piece)
                appended_ms = dict(zip(piece.offsets, piece.timestamps_ms, strict=True))
                for row in said:
                    if row.log_offset >= below or before is None:
                        continue
                    # a store's clock may be ahead, and retention does not wait for it
                    at = min(row.applied_at.timestamp(), appended_ms[row.log_offset] / 1e3)
                    if at >= before.timestamp():
                        what = "retention took it before its time"
                        self._in_log.append(ChainFault.of(ChainFaultKind.REMOVED, row, what))
                about = self._stretch(partition, max(first, below), after)
                held = [_row(row) for row in await _all(connection, _STRETCH, about)]
                compared.take(held, [row for row in said if row.log_offset >= below])
                first = after
            about = self._stretch(partition, max(first, below), reached)
            compared.take([_row(row) for row in await _all(connection, _STRETCH, about)], [])
        self._verdict.in_log = compared.same
        self._in_log += compared.findings()[:MOST_FINDINGS]
        self._said = compared.chains

    def _stretch(self, partition: int, first: int, after: int) -> dict[str, Any]:
        about = {"log_partition": partition, "first": first, "after": after}
        return {**self._choice.about, **about}

    async def _said_in(self, reader: BatchReader, piece: Fetched) -> list[ReceiptRow]:
        """The receipts in a piece of their log that are part of the choice."""
        read = await decoded(reader, piece)
        self._verdict.unreadable += len(read.no_records)
        names = ("system", "stream")
        return [
            _row((*(said[name] for name in _SAID), piece.partition, offset))
            for offset, said in read.rows()
            if all(getattr(self._choice, n) in (None, said[n]) for n in names)
        ]

    # -- against what was delivered

    async def _check_delivered(
        self, connection: _Connection, log: Log, places: Mapping[str, tuple[str, int]]
    ) -> None:
        verdict = self._verdict
        for name, partition in await _all(connection, _PLACES, self._choice.about):
            topic, partitions = places.get(name, ("", 0))
            delivered = DigestCheck(self._ring)
            about = {**self._choice.about, "stream": name, "partition": partition}
            async with connection.cursor(name="renkei_delivered") as cursor:
                cursor.itersize = _AT_ONCE
                await cursor.execute(_DELIVERED, about)
                coming, end = _Ahead(cursor), 0
                if partition < partitions:
                    begin, end = await log.bounds((topic, partition))
                    async for piece in log.read((topic, partition), begin, end):
                        self._step(f"delivered: {name}/{partition}, {piece.offsets[-1]:,}/{end:,}")
                        for row in await coming.until(piece.offsets[-1] + 1):
                            delivered.add(row)
                        delivered.take(piece)
                for row in await coming.until(None):
                    delivered.add(row)
            delivered.passed(end)
            delivered.finish()
            verdict.digests += delivered.checked
            verdict.compacted += delivered.compacted
            self._add_content(delivered.findings)

    # -- whose events they were

    async def _check_events(
        self,
        connection: _Connection,
        log: Log,
        side: LogSide,
        places: Mapping[str, tuple[str, int]],
    ) -> None:
        for name, stream in sorted(side.streams.items()):
            if name == _RECEIPTS or self._choice.stream not in (None, name):
                continue
            view = ledger_view(stream)
            columns = sql.SQL(", ").join(map(sql.Identifier, view.schema.names))
            table = sql.Identifier(
                TABLE_PREFIX + name if stream.is_internal else events_table(name)
            )
            question = sql.SQL(_EVENTS).format(columns=columns, table=table)
            for partition in range(places[name][1]):
                await self._check_partition(
                    connection, log, question, view, side.readers[name], (stream.topic, partition)
                )

    async def _check_partition(
        self,
        connection: _Connection,
        log: Log,
        question: sql.Composed,
        view: View,
        reader: BatchReader,
        place: TopicPartition,
    ) -> None:
        names, partition = view.schema.names, place[1]
        about: dict[str, Any] = {"stream": view.stream, "partition": partition}
        reached = await _all(connection, _EVENT_REACHED, about)
        below = await _all(connection, _EVENT_BELOW, about)
        rows = EventRows(
            view.stream,
            partition,
            reached=reached[0][0] if reached else 0,
            below=below[0][0] if below else 0,
            before=self._verdict.pruned_before,
        )

        async def held(first: int, after: int | None) -> list[dict[str, Any]]:
            found = await connection.execute(question, {**about, "first": first, "after": after})
            return [dict(zip(names, row, strict=True)) for row in await found.fetchall()]

        begin, end = await log.bounds(place)
        first = 0
        async for piece in log.read(place, begin, end):
            self._step(f"events: {view.stream}/{partition}, {piece.offsets[-1]:,} of {end:,}")
            after = piece.offsets[-1] + 1
            read = await decoded(reader, piece)
            said: dict[int, dict[str, Any]] = {}
            if read.records is not None:
                good = pa.array(read.offsets, pa.int64())
                seen = project(
                    view, read.records, protected=None, partition=partition, offsets=good
                )
                said = {row["log_offset"]: row for row in seen.records.to_pylist()}
            rows.take(
                await held(first, after),
                said,
                there=set(piece.offsets),
                unreadable=set(read.unreadable),
            )
            first = after
        rows.beyond(await held(max(first, end), None))
        self._verdict.events += rows.same
        self._verdict.events_compacted += rows.compacted
        self._verdict.ahead += rows.ahead
        self._in_events += rows.findings[:MOST_FINDINGS]

    def _add_content(self, findings: Sequence[ChainFault]) -> None:
        """Add findings about contents, at most one for each row."""
        named = {finding.place for finding in (*self._in_log, *self._in_chains)}
        left = MOST_FINDINGS - len(self._in_log)
        self._in_log += [f for f in findings if f.place not in named][: max(left, 0)]


class _Ahead:
    """Receipts in the order of their first delivered offset, fetched as far as needed."""

    def __init__(self, cursor: psycopg.AsyncServerCursor[tuple[Any, ...]]) -> None:
        self._cursor = cursor
        self._row: ReceiptRow | None = None

    async def until(self, offset: int | None) -> list[ReceiptRow]:
        """The next receipts that begin before *offset*; None: all that are left."""
        found: list[ReceiptRow] = []
        while True:
            if self._row is None:
                row = await self._cursor.fetchone()
                if row is None:
                    return found
                self._row = _row(row)
            if offset is not None and _first(self._row) >= offset:
                return found
            found.append(self._row)
            self._row = None


async def anchor_of(lent: Lent, at: datetime) -> Anchor:
    """The anchor of a ledger now.

    Raises:
        ConfigurationError: There is no ledger in this database.
        StoreUnavailable: The database does not answer.
    """
    async with _snapshot(lent) as connection:
        return Anchor.of([ChainEnd(*row) for row in await _all(connection, _ENDS, {})], at)


_Connection = psycopg.AsyncConnection[tuple[Any, ...]]
_SAID = (
    "system", "stream", "partition", "start", "end", "delivered", "view", "rows", "digest",
    "previous", "chain", "applied_at", "cluster_id", "is_replay", "proof",
)  # fmt: skip


def _row(row: Sequence[Any]) -> ReceiptRow:
    return ReceiptRow(
        receipt=Receipt(**dict(zip(_SAID[:10], row[:10], strict=True))),
        chain=row[10],
        applied_at=row[11],
        cluster_id=row[12],
        is_replay=row[13],
        proof=row[14],
        log_partition=row[15],
        log_offset=row[16],
    )


def _first(row: ReceiptRow) -> int:
    delivered = row.receipt.delivered
    return int(delivered[2 : delivered.index(",")])


async def _all(
    connection: _Connection, question: str, about: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(question, about)).fetchall()


@asynccontextmanager
async def _snapshot(lent: Lent) -> AsyncIterator[_Connection]:
    """One consistent view of the ledger, whatever is written meanwhile."""
    async with lent as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        async with connection.transaction():
            yield connection
