-- The ledger's own shape around the tables that the PostgreSQL connector fills. Safe to repeat.
--
-- The connector makes a table as its view says, unless the table is there; receipts are made here
-- beforehand, because their offsets are ranges and not text, and all get the indexes that the
-- questions need.

CREATE TABLE IF NOT EXISTS ledger.event_receipt (
  system text NOT NULL,
  stream text NOT NULL,
  partition integer NOT NULL,
  start bigint NOT NULL,
  "end" bigint NOT NULL,
  delivered int8multirange NOT NULL,
  view text NOT NULL,
  rows bigint NOT NULL,
  digest text NOT NULL,
  previous text NOT NULL,
  chain text NOT NULL,
  applied_at timestamptz NOT NULL,
  cluster_id text NOT NULL,
  is_replay boolean NOT NULL,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

CREATE TABLE IF NOT EXISTS ledger.event_exception (
  system text NOT NULL,
  stream text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  subject text NOT NULL,
  event_id text,
  state text NOT NULL,
  code text NOT NULL,
  attempts integer NOT NULL,
  at timestamptz NOT NULL,
  note text,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

CREATE TABLE IF NOT EXISTS ledger.event_operation (
  system text NOT NULL,
  stream text NOT NULL,
  partition integer,
  state text NOT NULL,
  operator text,
  at timestamptz NOT NULL,
  code text,
  "offset" bigint,
  note text,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

CREATE TABLE IF NOT EXISTS ledger.event_subscription (
  system text NOT NULL,
  sequence integer NOT NULL,
  text text NOT NULL,
  digest text NOT NULL,
  applied_by text NOT NULL,
  applied_at timestamptz NOT NULL,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

DO $$ BEGIN  -- version 2 of the exception stream; a ledger of before has the table without it
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ledger.event_exception'::regclass
                 AND attname = 'since' AND NOT attisdropped) THEN
    ALTER TABLE ledger.event_exception ADD COLUMN since timestamptz;
  END IF;
END $$;

-- A lane's receipts follow one another: the first that ends after an offset is the one that
-- covers it. Replays lie outside that order and are few.
CREATE INDEX IF NOT EXISTS receipt_lane
  ON ledger.event_receipt (system, stream, partition, "end") WHERE NOT is_replay;
CREATE INDEX IF NOT EXISTS receipt_replay
  ON ledger.event_receipt (system, stream, partition) WHERE is_replay;
CREATE INDEX IF NOT EXISTS receipt_applied_at ON ledger.event_receipt (applied_at);
CREATE INDEX IF NOT EXISTS exception_event
  ON ledger.event_exception (system, stream, partition, "offset", log_offset);
CREATE INDEX IF NOT EXISTS operation_newest
  ON ledger.event_operation (system, stream, partition, log_offset);

-- Every receipt once: a lane sends its last one again whenever it opens, with the same chain value.
CREATE OR REPLACE VIEW ledger.receipt AS
  SELECT DISTINCT ON (system, stream, partition, chain)
         system, stream, partition, start, "end", delivered, view, rows, digest, previous, chain,
         applied_at, cluster_id, is_replay
  FROM ledger.event_receipt
  ORDER BY system, stream, partition, chain, log_partition, log_offset;

-- One row for each event that was ever set aside, as it stands now: one subject's exceptions of
-- one system are in one partition of the log, so the highest offset is the newest word.
CREATE OR REPLACE VIEW ledger.exception AS
  SELECT DISTINCT ON (system, stream, partition, "offset")
         system, stream, partition, "offset", subject, event_id, state, code, attempts, at, note,
         state IN ('PARKED', 'WAITING', 'RETRY') AS is_open, coalesce(since, at) AS since
  FROM ledger.event_exception
  ORDER BY system, stream, partition, "offset", log_offset DESC;

-- The newest word about each stream of a system (partition null: an operator's) and about each of
-- its lanes (the lane's own). One key, one partition of the log, so the highest offset is newest.
CREATE OR REPLACE VIEW ledger.operation AS
  SELECT DISTINCT ON (system, stream, partition)
         system, stream, partition, state, operator, at, code, "offset", note
  FROM ledger.event_operation
  ORDER BY system, stream, partition, log_offset DESC;

-- When an event was first handed to a system; null if it was not, as far as the ledger knows.
-- After a rebuild an offset lies in more than one receipt: look at the next few.
CREATE OR REPLACE FUNCTION ledger.delivered_at(
  of_system text, of_stream text, of_partition integer, of_offset bigint
) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT min(found.applied_at)
  FROM (
    (SELECT applied_at, delivered FROM ledger.event_receipt
     WHERE system = of_system AND stream = of_stream AND partition = of_partition
       AND NOT is_replay AND "end" > of_offset
     ORDER BY "end" LIMIT 64)
    UNION ALL
    (SELECT applied_at, delivered FROM ledger.event_receipt
     WHERE system = of_system AND stream = of_stream AND partition = of_partition AND is_replay)
  ) AS found
  WHERE found.delivered @> of_offset
$$;

-- How far a lane has come: the offset after the last one that a receipt speaks of.
CREATE OR REPLACE FUNCTION ledger.reached(of_system text, of_stream text, of_partition integer)
RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT max("end") FROM ledger.event_receipt
  WHERE system = of_system AND stream = of_stream AND partition = of_partition AND NOT is_replay
$$;
