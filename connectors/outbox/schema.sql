-- The outbox of a core system, in the core system's own PostgreSQL database (14 or newer).
--
-- A core system calls renkei.publish_change(change) inside the transaction that changes its own
-- tables: both are committed, or neither. The relay (renkei relay run) reads what is committed.
--
-- Order. Within a subject, sequence order is commit order: publish_change holds a lock per
-- subject until the transaction ends, and draws the sequence number only then, so that a lower
-- number of the same subject cannot be committed later. Numbers of different subjects may be
-- committed in any order; pending rows are therefore found by their flag, never by a cursor.
--
-- The lock is a row of renkei.subject_lock that is put in and taken out again by the same
-- transaction: whoever puts in the same one waits until that has ended, and nobody ever sees a row.
-- Nobody but the owner reaches that table, so that no other login can hold up a clerk; an advisory
-- lock could be taken by anybody.
--
-- Locks are taken in one order within a call. A transaction that calls several times, for several
-- subjects, may still meet another one that does so the other way round: PostgreSQL then ends one
-- of them with 40P01 (deadlock_detected), and its caller repeats the transaction.
--
-- Rights. Everything belongs to a role that may not log in. A core system's role needs USAGE on
-- the schema and EXECUTE on publish_change, and gets nothing else: the function runs as its owner.
-- The relay's role reads, marks and prunes. "renkei relay install --core ROLE --relay ROLE" grants
-- both, and looks first at what is there (bus/publish/outbox/installing.py).
--
-- Run by that command, in one transaction and as the owner, in a schema that is empty.

CREATE TABLE renkei.outbox (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change_id  uuid NOT NULL UNIQUE,
    change     jsonb NOT NULL,
    subjects   text[] NOT NULL,  -- whom it is about: <municipality_code>/<subject_id>
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at    timestamptz,      -- acknowledged by all in-sync replicas; null: pending
    sealed     text              -- the change, of one that was put back and is sealed
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE INDEX outbox_pending ON renkei.outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON renkei.outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE renkei.outbox_refused (
    seq        bigint PRIMARY KEY,
    change_id  uuid NOT NULL,
    change     jsonb NOT NULL,
    subjects   text[] NOT NULL,
    created_at timestamptz NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reasons    jsonb NOT NULL,   -- [{"code", "field", "item", "record", "expected"}], never values
    behind     bigint,           -- the refused change of the same subject just before, if any
    sealed     text,             -- the change, where it must not lie about as it is
    kept       text CHECK (kept IN ('plain', 'sealed', 'lacking', 'unread'))  -- null: not looked at
);

CREATE TABLE renkei.relay_lease (
    id         smallint PRIMARY KEY CHECK (id = 1),
    holder     text,             -- null: free
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO renkei.relay_lease (id) VALUES (1);

-- Always empty to whoever looks: see "The lock" above.
CREATE TABLE renkei.subject_lock (
    key bigint PRIMARY KEY
) WITH (autovacuum_vacuum_threshold = 1000);

-- As which sources a role may publish; one without a row: as any that the relay takes.
CREATE TABLE renkei.speaker (
    role   name NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (role, source)
);

CREATE TABLE renkei.bound (
    id           smallint PRIMARY KEY CHECK (id = 1),
    change_bytes integer NOT NULL CHECK (change_bytes > 0)  -- the most that a change has as text
);
INSERT INTO renkei.bound VALUES (1, 4194304);

-- A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then version, variant and randomness.
CREATE FUNCTION renkei.new_change_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Hand a change to the bus, as part of the calling transaction; the change's id.
--
-- What only a programming fault can get wrong is an error here: no object, an unusable change_id
-- (22023), a change_id handed in before (23505), more than one change may be (54000), a source that
-- the calling role does not speak for (42501). Everything else is checked by the relay: faults
-- of data go to renkei.outbox_refused and do not stop a clerk.
CREATE FUNCTION renkei.publish_change(change jsonb) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given text := change ->> 'change_id';
    id    uuid;
    most  integer;
    keys  text[];
    lock  bigint;
BEGIN
    IF change IS NULL OR jsonb_typeof(change) <> 'object' THEN
        RAISE EXCEPTION 'renkei: a change is a JSON object' USING ERRCODE = '22023';
    END IF;
    SELECT bound.change_bytes INTO STRICT most FROM renkei.bound;
    IF octet_length(change::text) > most THEN
        RAISE EXCEPTION 'renkei: a change has at most % bytes as text', most
            USING ERRCODE = '54000', HINT = 'Hand in several changes, or have RENKEI_CHANGE_BYTES raised.';
    END IF;
    IF given IS NULL THEN
        id := renkei.new_change_id();
    ELSIF given ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' THEN
        id := given::uuid;
    ELSE
        RAISE EXCEPTION 'renkei: a change_id is a UUIDv7 in lower case' USING ERRCODE = '22023';
    END IF;
    IF EXISTS (
        SELECT FROM renkei.speaker JOIN pg_roles ON rolname = speaker.role
        WHERE pg_has_role(session_user, pg_roles.oid, 'MEMBER')
        HAVING count(*) > 0 AND bool_or(speaker.source = change ->> 'source') IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'renkei: this role does not publish as that source'
            USING ERRCODE = '42501';
    END IF;

    SELECT coalesce(array_agg(DISTINCT left(named.key, 200)), '{}') INTO keys
    FROM (
        SELECT (change ->> 'municipality_code') || '/' || (record ->> 'subject_id') AS key
        FROM jsonb_array_elements(
            CASE jsonb_typeof(change -> 'records') WHEN 'array' THEN change -> 'records' ELSE '[]' END
        ) AS record
    ) AS named
    WHERE named.key IS NOT NULL;

    FOR lock IN  -- of a source's own: nobody waits for whoever speaks for another
        SELECT DISTINCT hashtextextended(concat(change ->> 'source', '/', key), 0) AS hash
        FROM unnest(keys) AS key ORDER BY hash
    LOOP
        INSERT INTO renkei.subject_lock VALUES (lock);
        DELETE FROM renkei.subject_lock WHERE subject_lock.key = lock;
    END LOOP;

    INSERT INTO renkei.outbox (change_id, change, subjects)
    VALUES (id, change || jsonb_build_object('change_id', id::text), keys);
    PERFORM pg_notify('renkei_outbox', '');
    RETURN id;
END
$$;

REVOKE ALL ON FUNCTION renkei.publish_change(jsonb), renkei.new_change_id() FROM PUBLIC;
