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

CREATE TABLE IF NOT EXISTS ledger.event_view (
  fingerprint text NOT NULL,
  system text NOT NULL,
  system_ja text NOT NULL,
  stream text NOT NULL,
  stream_ja text NOT NULL,
  schema_version integer NOT NULL,
  columns_name text[] NOT NULL,
  columns_path text[] NOT NULL,
  columns_ja text[] NOT NULL,
  columns_sensitivity text[] NOT NULL,
  columns_mask text[] NOT NULL,
  event_types text[] NOT NULL,
  conditions text[] NOT NULL,
  suppression text NOT NULL,
  mode text NOT NULL,
  legal_basis text NOT NULL,
  number_use text NOT NULL,
  purpose text NOT NULL,
  approver text NOT NULL,
  approved_on date NOT NULL,
  expires_on date NOT NULL,
  statement text NOT NULL,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

CREATE TABLE IF NOT EXISTS ledger.event_erasure (
  subject_digest text NOT NULL,
  municipality_code text NOT NULL,
  state text NOT NULL,
  streams text[] NOT NULL,
  partitions text[] NOT NULL,
  offsets text[] NOT NULL,
  at timestamptz NOT NULL,
  operator text NOT NULL,
  reason text NOT NULL,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

CREATE TABLE IF NOT EXISTS ledger.event_custody (
  act text NOT NULL,
  at timestamptz NOT NULL,
  operator text NOT NULL,
  before timestamptz,
  receipts bigint NOT NULL,
  digest text NOT NULL,
  proof text NOT NULL,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

CREATE TABLE IF NOT EXISTS ledger.event_deed (
  act text NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  account text NOT NULL,
  system text,
  stream text,
  subject_digest text,
  count bigint NOT NULL,
  reason text,
  proof text,
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  renkei_applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (log_partition, log_offset)
);

-- What retention took: of each partition of the receipts' log everything below an offset, and the
-- receipts among it that later ones follow, or may still follow.
CREATE TABLE IF NOT EXISTS ledger.pruned (
  log_partition integer PRIMARY KEY,
  below bigint NOT NULL,
  before timestamptz NOT NULL,
  receipts bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS ledger.pruned_head (
  system text NOT NULL,
  stream text NOT NULL,
  partition integer NOT NULL,
  chain text NOT NULL,
  "end" bigint NOT NULL,
  PRIMARY KEY (system, stream, partition, chain)
);

-- Of each partition of a stream, below which offset events were taken: not all, but some.
CREATE TABLE IF NOT EXISTS ledger.pruned_event (
  stream text NOT NULL,
  partition integer NOT NULL,
  below bigint NOT NULL,
  PRIMARY KEY (stream, partition)
);

DO $$ BEGIN  -- version 2 of the receipts; a ledger of before has the table without it
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ledger.event_receipt'::regclass
                 AND attname = 'proof' AND NOT attisdropped) THEN
    ALTER TABLE ledger.event_receipt ADD COLUMN proof text;
  END IF;
END $$;

DO $$ BEGIN  -- version 2 of the exception stream; a ledger of before has the table without it
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ledger.event_exception'::regclass
                 AND attname = 'since' AND NOT attisdropped) THEN
    ALTER TABLE ledger.event_exception ADD COLUMN since timestamptz;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ledger.event_exception'::regclass
                 AND attname = 'operator' AND NOT attisdropped) THEN  -- version 3
    ALTER TABLE ledger.event_exception ADD COLUMN operator text;
  END IF;
END $$;

-- How long the stretch from a receipt's first delivered offset to its last is, as the number of its
-- binary digits. Of one class, a chain of a lane has at most a few receipts near an offset.
CREATE OR REPLACE FUNCTION ledger.span_class(of_delivered int8multirange) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(ltrim((upper(of_delivered) - lower(of_delivered))::bit(64)::text, '0'));

CREATE INDEX IF NOT EXISTS receipt_lane
  ON ledger.event_receipt (system, stream, partition, "end") WHERE NOT is_replay;
CREATE INDEX IF NOT EXISTS receipt_replay
  ON ledger.event_receipt (system, stream, partition) WHERE is_replay;
CREATE INDEX IF NOT EXISTS receipt_delivered
  ON ledger.event_receipt
  (system, stream, partition, ledger.span_class(delivered), upper(delivered))
  WHERE NOT isempty(delivered);
-- What a system was given in a period is summed from the index alone.
CREATE INDEX IF NOT EXISTS receipt_given ON ledger.event_receipt (system, applied_at)
  INCLUDE (stream, partition, start, "end", view, rows);
CREATE INDEX IF NOT EXISTS receipt_applied_at ON ledger.event_receipt (applied_at);
CREATE INDEX IF NOT EXISTS exception_event
  ON ledger.event_exception (system, stream, partition, "offset", log_offset);
-- Deeds, the newest first, page by page.
CREATE INDEX IF NOT EXISTS deed_newest
  ON ledger.event_deed (at, log_partition, log_offset);

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

-- What a fingerprint means. A view may be recorded more than once; it then says the same.
CREATE OR REPLACE VIEW ledger.view AS
  SELECT DISTINCT ON (fingerprint)
         fingerprint, system, system_ja, stream, stream_ja, schema_version, columns_name,
         columns_path, columns_ja, columns_sensitivity, columns_mask, event_types, conditions,
         suppression, mode, legal_basis, number_use, purpose, approver, approved_on, expires_on, statement
  FROM ledger.event_view
  ORDER BY fingerprint, log_partition, log_offset;

-- The newest word about each erasure.
CREATE OR REPLACE VIEW ledger.erasure AS
  SELECT DISTINCT ON (subject_digest)
         subject_digest, municipality_code, state, streams, partitions, offsets, at, operator,
         reason
  FROM ledger.event_erasure
  ORDER BY subject_digest, log_offset DESC;

-- Every receipt of a system whose delivered offsets hold this one: the first handing over, what a
-- retry or a rebuild handed over again, and receipts that were sent twice. Exact, however many
-- chains a lane has: of each class only a stretch as long as the class can reach the offset. One
-- probe of the index per class that the lane has; a planner that may join would read the table.
CREATE OR REPLACE FUNCTION ledger.receipts_of(
  of_system text, of_stream text, of_partition integer, of_offset bigint
) RETURNS SETOF ledger.event_receipt LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 4 COST 1000 AS $$
DECLARE
  bits integer := 0;
BEGIN
  LOOP
    SELECT ledger.span_class(receipt.delivered) INTO bits
    FROM ledger.event_receipt AS receipt
    WHERE receipt.system = of_system AND receipt.stream = of_stream
      AND receipt.partition = of_partition AND NOT isempty(receipt.delivered)
      AND ledger.span_class(receipt.delivered) > bits
    ORDER BY ledger.span_class(receipt.delivered) LIMIT 1;
    EXIT WHEN NOT FOUND;
    RETURN QUERY
    SELECT receipt.* FROM ledger.event_receipt AS receipt
    WHERE receipt.system = of_system AND receipt.stream = of_stream
      AND receipt.partition = of_partition AND NOT isempty(receipt.delivered)
      AND ledger.span_class(receipt.delivered) = bits
      AND upper(receipt.delivered) > of_offset
      AND upper(receipt.delivered) <= of_offset + (1::bigint << least(bits, 61))
      AND receipt.delivered @> of_offset;
  END LOOP;
END
$$;

-- When an event was first handed to a system; null if it was not, as far as the ledger knows.
CREATE OR REPLACE FUNCTION ledger.delivered_at(
  of_system text, of_stream text, of_partition integer, of_offset bigint
) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT min(applied_at)
  FROM ledger.receipts_of(of_system, of_stream, of_partition, of_offset)
$$;

-- How far a lane has come: the offset after the last one that a receipt speaks of.
CREATE OR REPLACE FUNCTION ledger.reached(of_system text, of_stream text, of_partition integer)
RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT max("end") FROM ledger.event_receipt
  WHERE system = of_system AND stream = of_stream AND partition = of_partition AND NOT is_replay
$$;
