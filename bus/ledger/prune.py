"""Delete from the ledger what is older than it is to be kept (保存期間).

A receipt goes with everything that was said before it in its partition of the receipts' log, so
that what is left begins at one place; of each chain the receipts are remembered that others follow
or may still follow, so that the chain can be verified from there. An event stays as long as a
receipt of it does, also one of a rebuild, which is a provision of its own; and as long as it is
its subject's newest, for it is in the log then and may be given again. Of exceptions that are
closed, and of what was said of lanes before, only what is young or newest stays.

All in one transaction; a trial is the same transaction, undone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from bus.ledger import statements
from bus.ledger.custody import PruneMarks, marks
from bus.ledger.store import Lent
from bus.model.subject import subject_digest

_BOUNDS = """
CREATE TEMPORARY TABLE renkei_bound ON COMMIT DROP AS
SELECT log_partition,
       coalesce(min(log_offset) FILTER (
                  WHERE least(applied_at, renkei_applied_at) >= %(before)s),
                max(log_offset) + 1) AS below
FROM ledger.event_receipt GROUP BY log_partition"""

_OLD = """
CREATE TEMPORARY TABLE renkei_old ON COMMIT DROP AS
SELECT receipt.system, receipt.stream, receipt.partition, receipt.chain, receipt.previous,
       receipt."end", receipt.log_partition
FROM ledger.event_receipt AS receipt
JOIN renkei_bound AS bound USING (log_partition)
WHERE receipt.log_offset < bound.below"""

_DELETE = """
DELETE FROM ledger.event_receipt AS receipt USING renkei_bound AS bound
WHERE receipt.log_partition = bound.log_partition AND receipt.log_offset < bound.below"""

# Those that a receipt which is left follows, and those that none follows yet.
_REMEMBER = """
INSERT INTO ledger.pruned_head (system, stream, partition, chain, "end")
SELECT DISTINCT system, stream, partition, chain, "end" FROM renkei_old AS old
WHERE EXISTS (
    SELECT FROM ledger.event_receipt AS next
    WHERE next.system = old.system AND next.stream = old.stream
      AND next.partition = old.partition AND next.previous = old.chain)
  OR NOT EXISTS (
    SELECT FROM renkei_old AS next
    WHERE next.system = old.system AND next.stream = old.stream
      AND next.partition = old.partition AND next.previous = old.chain)
ON CONFLICT DO NOTHING"""

# What was followed, by one that is gone as well, and by none that is left.
_FORGET = """
DELETE FROM ledger.pruned_head AS head
WHERE EXISTS (
    SELECT FROM renkei_old AS next
    WHERE next.system = head.system AND next.stream = head.stream
      AND next.partition = head.partition AND next.previous = head.chain)
  AND NOT EXISTS (
    SELECT FROM ledger.event_receipt AS next
    WHERE next.system = head.system AND next.stream = head.stream
      AND next.partition = head.partition AND next.previous = head.chain)"""

_MARK = """
INSERT INTO ledger.pruned AS mark (log_partition, below, before, receipts)
SELECT bound.log_partition, bound.below, %(before)s::timestamptz, count(old.chain)
FROM renkei_bound AS bound JOIN renkei_old AS old USING (log_partition)
GROUP BY bound.log_partition, bound.below
ON CONFLICT (log_partition) DO UPDATE SET
  below = greatest(mark.below, excluded.below), before = greatest(mark.before, excluded.before),
  receipts = mark.receipts + excluded.receipts"""

_NEEDED = """
CREATE TEMPORARY TABLE renkei_needed ON COMMIT DROP AS
SELECT stream, partition, min(lower(delivered)) AS first
FROM ledger.event_receipt WHERE NOT isempty(delivered) GROUP BY stream, partition"""

# Old, and delivered to nobody by a receipt that is kept.
_IS_OLD = """
  event.renkei_applied_at < %(before)s
  AND event.log_offset < coalesce((
    SELECT first FROM renkei_needed AS needed
    WHERE needed.stream = %(stream)s AND needed.partition = event.log_partition), {last})"""

_GONE = "WITH gone AS (DELETE FROM ledger.{table} AS event WHERE" + _IS_OLD
_MARKED = """
  RETURNING log_partition, log_offset),
marked AS (
  INSERT INTO ledger.pruned_event AS mark (stream, partition, below)
  SELECT %(stream)s, log_partition, max(log_offset) + 1 FROM gone GROUP BY log_partition
  ON CONFLICT (stream, partition) DO UPDATE SET below = greatest(mark.below, excluded.below))
SELECT count(*) FROM gone"""

# A subject's newest event stays: it is in the log, and a rebuild would give it again.
_EVENTS = (
    _GONE
    + """
  AND EXISTS (
    SELECT FROM ledger.{table} AS newer
    WHERE newer.subject_id = event.subject_id
      AND newer.municipality_code = event.municipality_code
      AND newer.log_partition = event.log_partition AND newer.log_offset > event.log_offset)"""
    + _MARKED
)

# Unless the subject was erased: then it is not in the log any more.
_OLDEST = (
    "SELECT DISTINCT municipality_code, subject_id, log_partition"
    " FROM ledger.{table} AS event WHERE" + _IS_OLD
)

_ERASED = (
    _GONE
    + """
  AND event.municipality_code = %(municipality)s AND event.subject_id = %(subject)s
  AND event.log_partition = %(partition)s AND event.log_offset < %(erased)s"""
    + _MARKED
)

_ERASURES = """
SELECT municipality_code, subject_digest, streams, partitions, offsets FROM ledger.erasure
WHERE state = 'ERASED'"""

_TOOK = """
WITH gone AS ({delete} RETURNING said.log_partition, said.log_offset),
marked AS (
  INSERT INTO ledger.pruned_event AS mark (stream, partition, below)
  SELECT {stream}, log_partition, max(log_offset) + 1 FROM gone GROUP BY log_partition
  ON CONFLICT (stream, partition) DO UPDATE SET below = greatest(mark.below, excluded.below))
SELECT count(*) FROM gone"""

_EXCEPTIONS = """
DELETE FROM ledger.event_exception AS said USING ledger.exception AS newest
WHERE said.system = newest.system AND said.stream = newest.stream
  AND said.partition = newest.partition AND said."offset" = newest."offset"
  AND NOT newest.is_open AND newest.at < %(before)s"""

_OPERATIONS = """
DELETE FROM ledger.event_operation AS said
WHERE said.at < %(before)s AND EXISTS (
  SELECT FROM ledger.event_operation AS newer
  WHERE newer.system = said.system AND newer.stream = said.stream
    AND newer.partition IS NOT DISTINCT FROM said.partition
    AND newer.log_offset > said.log_offset)"""

_LAST = 2**63 - 1


@dataclass(slots=True)
class Pruned:
    """How many rows were deleted, by table."""

    before: datetime
    receipts: int = 0
    events: dict[str, int] = field(default_factory=dict)  # by stream, those with any
    exceptions: int = 0
    operations: int = 0

    @property
    def rows(self) -> int:
        """How many rows were deleted in all."""
        return self.receipts + sum(self.events.values()) + self.exceptions + self.operations


Insist = Callable[[PruneMarks], Awaitable[None]]
Record = Callable[[Pruned, PruneMarks], Awaitable[None]]


async def prune(
    lent: Lent,
    before: datetime,
    streams: Sequence[str],
    *,
    is_dry: bool,
    insist: Insist,
    record: Record,
    erasure_key: bytes | None = None,
) -> Pruned:
    """Delete what is older than *before*.

    Args:
        lent: The ledger's database.
        before: What was applied, or said, at this time or later stays.
        streams: The streams whose events the ledger keeps; not the internal ones.
        is_dry: Count it, and leave it.
        insist: Told of the marks of before; raises if nobody recorded them.
        record: Records what was taken and which marks are left, before it takes effect. If it
            takes none after all, the marks of before are still among those that are recorded.
        erasure_key: By which erasures are known; without it the newest events of subjects that
            were erased stay.

    Raises:
        ConfigurationError: There is no ledger in this database, or the role may not.
        StoreUnavailable: The database does not answer.
    """
    done = Pruned(before)
    about = {"before": before}
    async with lent as connection:
        await connection.execute(statements.LOCK)
        await insist(await marks(connection))
        await connection.execute(_BOUNDS, about)
        await connection.execute(_OLD)
        done.receipts = (await connection.execute(_DELETE)).rowcount
        await connection.execute(_REMEMBER)
        await connection.execute(_FORGET)
        await connection.execute(_MARK, about)
        await connection.execute(_NEEDED)
        erased = await _erased(connection) if erasure_key is not None else {}
        for stream in streams:
            gone = await _events(connection, stream, before)
            if erasure_key is not None and erased:
                gone += await _erased_events(connection, stream, before, erased, erasure_key)
            if gone:
                done.events[stream] = gone
        done.exceptions = await _count(connection, _words(_EXCEPTIONS, "exception"), about)
        done.operations = await _count(connection, _words(_OPERATIONS, "operation"), about)
        if is_dry:
            await connection.rollback()
            return done
        if done.rows:
            await record(done, await marks(connection))
        await connection.commit()
    return done


_Connection = psycopg.AsyncConnection[tuple[Any, ...]]
_Places = Mapping[tuple[str, int], int]  # stream and partition -> offset of the null value


async def _events(connection: _Connection, stream: str, before: datetime) -> int:
    about = {"before": before, "stream": stream}
    return await _count(connection, _of(_EVENTS, stream), about)


async def _erased(connection: _Connection) -> Mapping[str, _Places]:
    """By digest of each erased subject, where its null values lie."""
    rows = await (await connection.execute(_ERASURES)).fetchall()
    found: dict[str, dict[tuple[str, int], int]] = {}
    for _, digest, *lists in rows:
        places = found.setdefault(digest, {})
        for stream, partition, offset in zip(*lists, strict=True):
            place = (stream, int(partition))
            places[place] = min(int(offset), places.get(place, int(offset)))
    return found


async def _erased_events(
    connection: _Connection,
    stream: str,
    before: datetime,
    erased: Mapping[str, _Places],
    key: bytes,
) -> int:
    about = {"before": before, "stream": stream}
    oldest = await (await connection.execute(_of(_OLDEST, stream), about)).fetchall()
    gone = 0
    for municipality, subject, partition in oldest:
        digest = subject_digest(key, municipality, subject.partition("-")[0])
        offset = erased.get(digest, {}).get((stream, partition))
        if offset is not None:
            mine = {"municipality": municipality, "subject": subject, "partition": partition}
            whole = {**about, **mine, "erased": offset}
            gone += await _count(connection, _of(_ERASED, stream), whole)
    return gone


def _words(delete: LiteralString, stream: str) -> sql.Composed:
    """The SQL that deletes old records of the bus's own, and marks them as deleted."""
    return sql.SQL(_TOOK).format(delete=sql.SQL(delete), stream=sql.Literal(stream))


def _of(question: LiteralString, stream: str) -> sql.Composed:
    table = sql.Identifier(statements.events_table(stream))
    return sql.SQL(question).format(table=table, last=sql.Literal(_LAST))


async def _count(connection: _Connection, question: sql.Composed, about: Mapping[str, Any]) -> int:
    row = await (await connection.execute(question, about)).fetchone()
    return int(row[0]) if row is not None else 0
