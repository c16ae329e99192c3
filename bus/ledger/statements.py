"""The ledger's SQL: what makes its tables, and the questions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from psycopg import sql

MAKE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS ledger"
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('renkei:ledger', 0))"
SHAPE = files("bus.ledger").joinpath("schema.sql").read_text(encoding="utf-8")

_EVENT_COLUMNS = (
    "event_id, event_type, nature, change_id, change_size, change_index, municipality_code,"
    " subject_id, version, processed_at, source, cancels, log_partition, log_offset"
)

_EVENTS = """
CREATE TABLE IF NOT EXISTS ledger.{table} (
  municipality_code text,
  subject_id text,
  version integer,
  event_id text,
  event_type text,
  nature text,
  change_id text,
  change_size integer,
  change_index integer,
  processed_at timestamptz,
  source text,
  cancels text,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);
CREATE INDEX IF NOT EXISTS {by_change} ON ledger.{table} (change_id);
CREATE INDEX IF NOT EXISTS {by_subject} ON ledger.{table} (subject_id, version);
CREATE INDEX IF NOT EXISTS {by_prefix} ON ledger.{table} (subject_id text_pattern_ops)
"""

EVENTS_OF_A_CHANGE = """
SELECT stream, log_partition, log_offset, event_type, change_size
FROM ledger.event WHERE change_id = %(change_id)s
ORDER BY change_index"""

# What became of each event in each system that is entitled to it today, or was given it under a
# grant that has ended: receipts say so, whoever has a subscription now. ``superseded_at``: when a
# later version of the same subject was delivered, which holds everything that this one held. A
# lane that has gone on since it stopped is no longer stopped, whether it has said so or not. One
# whose store went back (RK-508) is behind its own receipts until it says otherwise.
REACH = """
WITH RECURSIVE
     event AS MATERIALIZED (SELECT * FROM ledger.event WHERE change_id = %(change_id)s),
     entitled AS (
       SELECT * FROM unnest(%(entitled)s::text[], %(streams)s::text[], %(types)s::text[])
       AS entitled (system, stream, event_type)),
     delivering (system) AS (
       SELECT min(system) FROM ledger.event_receipt WHERE NOT is_replay
       UNION ALL
       SELECT (SELECT min(receipt.system) FROM ledger.event_receipt AS receipt
               WHERE NOT receipt.is_replay AND receipt.system > delivering.system)
       FROM delivering WHERE delivering.system IS NOT NULL),
     known AS (
       SELECT unnest(%(systems)s::text[]) AS system
       UNION SELECT system FROM delivering WHERE system IS NOT NULL),
     standing AS MATERIALIZED (SELECT * FROM ledger.operation WHERE state <> 'RUNNING')
SELECT known.system, event.stream, event.log_partition, event.log_offset,
       coalesce(delivered.at, CASE set_aside.state WHEN 'APPLIED' THEN set_aside.at END),
       coalesce((SELECT min(ledger.delivered_at(known.system, event.stream, later.log_partition,
                                       later.log_offset))
        FROM (SELECT log_partition, log_offset FROM ledger.event AS newer
              WHERE newer.stream = event.stream AND newer.subject_id = event.subject_id
                AND newer.municipality_code = event.municipality_code
                AND newer.version > event.version
              ORDER BY newer.version LIMIT 16) AS later),
         CASE set_aside.state WHEN 'SUPERSEDED' THEN set_aside.at END),
       lane.reached, set_aside.state, set_aside.code,
       operated.system, operated.stream, operated.partition, operated.state, operated.at,
       operated.operator, operated.code, operated."offset", operated.note
FROM event
CROSS JOIN known
LEFT JOIN entitled ON entitled.system = known.system AND entitled.stream = event.stream
  AND entitled.event_type = event.event_type
CROSS JOIN LATERAL (
  SELECT ledger.delivered_at(known.system, event.stream, event.log_partition, event.log_offset)
    AS at) AS delivered
CROSS JOIN LATERAL (
  SELECT ledger.reached(known.system, event.stream, event.log_partition) AS reached) AS lane
LEFT JOIN LATERAL (
  SELECT state, code, at FROM ledger.event_exception AS exception
  WHERE exception.system = known.system AND exception.stream = event.stream
    AND exception.partition = event.log_partition AND exception."offset" = event.log_offset
  ORDER BY exception.log_offset DESC LIMIT 1) AS set_aside ON true
LEFT JOIN LATERAL (
  SELECT * FROM standing
  WHERE standing.system = known.system AND standing.stream = event.stream
    AND (standing.partition IS NULL
         OR standing.partition = event.log_partition
            AND (standing."offset" >= coalesce(lane.reached, 0) OR standing.code = 'RK-508'))
  ORDER BY standing.partition NULLS LAST LIMIT 1) AS operated ON true
WHERE entitled.system IS NOT NULL OR delivered.at IS NOT NULL
ORDER BY known.system, event.stream, event.log_partition, event.log_offset"""

# Of each lane asked about: when a batch was last applied, and how far that went.
LANES = """
SELECT lane.system, lane.stream, lane.partition, newest.applied_at, newest."end"
FROM unnest(%(systems)s::text[], %(streams)s::text[], %(partitions)s::integer[])
  AS lane (system, stream, partition)
CROSS JOIN LATERAL (
  SELECT applied_at, "end" FROM ledger.event_receipt AS receipt
  WHERE receipt.system = lane.system AND receipt.stream = lane.stream
    AND receipt.partition = lane.partition AND NOT is_replay
  ORDER BY "end" DESC, applied_at DESC LIMIT 1) AS newest"""

# A lane sends its last receipt again whenever it opens: the chain says that it is the same one.
ROWS_LATELY = """
SELECT system, stream, sum(rows)::bigint FROM (
  SELECT DISTINCT ON (system, stream, partition, chain) system, stream, rows
  FROM ledger.event_receipt WHERE applied_at > now() - %(window)s::interval
) AS once
GROUP BY system, stream"""

OPEN_EXCEPTIONS = """
SELECT system, stream, count(*), min(since) FROM ledger.exception WHERE is_open
GROUP BY system, stream"""

# Pauses in force, and lanes that have stopped and did not go on since.
STANDING = """
SELECT system, stream, partition, state, at, operator, code, "offset", note
FROM ledger.operation
WHERE state <> 'RUNNING'
  AND (partition IS NULL
       OR "offset" >= coalesce(ledger.reached(system, stream, partition), 0)
       OR code = 'RK-508')
ORDER BY system, stream, partition NULLS FIRST"""


def events_table(stream: str) -> str:
    """The table that holds a stream's events, as the connector names it."""
    return "event_" + stream.replace(".", "_")


def make_events(stream: str) -> sql.Composed:
    """The SQL that makes the table of one stream's events and its indexes."""
    table = events_table(stream)
    return sql.SQL(_EVENTS).format(
        table=sql.Identifier(table),
        by_change=sql.Identifier(f"{table}_change"),
        by_subject=sql.Identifier(f"{table}_subject"),
        by_prefix=sql.Identifier(f"{table}_prefix"),
    )


def make_union(streams: Sequence[str]) -> sql.Composed:
    """The SQL of ``ledger.event``, the view of all streams' events."""
    parts = [
        sql.SQL("SELECT {stream}::text AS stream, {columns} FROM ledger.{table}").format(
            stream=sql.Literal(stream),
            columns=sql.SQL(_EVENT_COLUMNS),
            table=sql.Identifier(events_table(stream)),
        )
        for stream in sorted(streams)
    ]
    body = sql.SQL("\nUNION ALL ").join(parts)
    return sql.SQL("CREATE OR REPLACE VIEW ledger.event AS\n{body}").format(body=body)


EDITIONS = """
SELECT DISTINCT ON (system) system, sequence, text, digest, applied_by, applied_at
FROM ledger.event_subscription
ORDER BY system, sequence DESC, log_partition, log_offset
"""
"""The newest edition of each system; of two with one number, the one that the log has first."""

KNOWS_SYSTEM = "SELECT 1 FROM ledger.event_receipt WHERE system = %(system)s LIMIT 1"
