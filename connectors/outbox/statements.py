"""The SQL that relays and operators send to an outbox; its tables are in ``schema.sql``."""

from __future__ import annotations

from bus.connect.lease import LeaseStatements

CHANNEL = "renkei_outbox"  # a change was committed; the payload is empty

# In sequence order; ends before the text's size passes %(bytes)s, but has one row at least. A text
# above %(most)s bytes stays where it is. Those %(held)s are passed over; "seen" says how many
# others were there up to %(rows)s. What was sealed is larger by a third than what it holds, and is
# no change that is handed in.
TAKE = """
SELECT seq, change_id::text, CASE WHEN size <= %(most)s AND sealed IS NULL THEN change::text END,
    sealed, size, seen
FROM (
    SELECT seq, change_id, change, sealed, size, taken, count(*) OVER () AS seen,
           sum(taken) OVER (ORDER BY seq) AS total
    FROM (
        SELECT seq, change_id, change, size,
            CASE WHEN size <= %(most)s THEN sealed END AS sealed,
            CASE WHEN size <= %(most)s THEN size ELSE 0 END AS taken
        FROM (
            SELECT seq, change_id, change, sealed,
                coalesce(octet_length(sealed) * 3 / 4, octet_length(change::text)) AS size
            FROM renkei.outbox WHERE sent_at IS NULL AND seq <> ALL(%(held)s)
            ORDER BY seq LIMIT %(rows)s
        ) AS first
    ) AS measured
) AS counted
WHERE total - taken < %(bytes)s
ORDER BY seq
"""

FIRST = """
SELECT seq FROM renkei.outbox WHERE sent_at IS NULL AND seq <> ALL(%(held)s) ORDER BY seq LIMIT 1
"""

MARK = "UPDATE renkei.outbox SET sent_at = clock_timestamp() WHERE seq = ANY(%(seqs)s)"

# Of a change with what is restricted only the journal stays.
MARK_EMPTIED = """
UPDATE renkei.outbox SET sent_at = clock_timestamp(), change = change - 'records', sealed = NULL
WHERE seq = ANY(%(seqs)s)
"""

# Whom a change is about, but not by what may be a 個人番号 in the place of a 宛名番号.
_HIDDEN = """ARRAY(
            SELECT CASE WHEN regexp_replace(
                translate(split_part(subject, '/', 2), '０１２３４５６７８９', '0123456789'),
                '[^0-9]', '', 'g') ~ '^[0-9]{12}$'
                THEN split_part(subject, '/', 1) || '/hidden' ELSE subject END
            FROM unnest(subjects) AS subject)"""

# Moves rows out of the way. A row whose subject has an open refusal before it says which.
REFUSE = """
WITH refused AS (
    SELECT * FROM unnest(
        %(seqs)s::bigint[], %(reasons)s::jsonb[], %(sealed)s::text[], %(kept)s::text[]
    ) AS r (seq, reasons, sealed, kept)
), gone AS (
    DELETE FROM renkei.outbox AS o USING refused AS r
    WHERE o.seq = r.seq AND o.sent_at IS NULL
    RETURNING o.seq, o.change_id,
        CASE WHEN r.kept IN ('sealed', 'lacking')
            THEN jsonb_build_object('change_id', o.change_id::text) ELSE o.change END AS change,
        CASE WHEN r.kept IN ('sealed', 'lacking') THEN {hidden} ELSE o.subjects END AS subjects,
        o.created_at, r.reasons, r.sealed, r.kept
), earlier AS (
    SELECT seq, subjects FROM renkei.outbox_refused
    UNION ALL SELECT seq, subjects FROM gone
)
INSERT INTO renkei.outbox_refused
    (seq, change_id, change, subjects, created_at, reasons, sealed, kept, behind)
SELECT gone.*, (
    SELECT max(e.seq) FROM earlier AS e WHERE e.seq < gone.seq AND e.subjects && gone.subjects
)
FROM gone
""".replace("{hidden}", _HIDDEN)

# Refused by a program that did not look what is in them.
NOT_LOOKED_AT = """
SELECT seq, change_id::text, CASE WHEN octet_length(change::text) <= %(most)s THEN change::text END
FROM renkei.outbox_refused WHERE kept IS NULL ORDER BY seq LIMIT 20
"""

LOOKED_AT = """
UPDATE renkei.outbox_refused SET sealed = %(sealed)s, kept = %(kept)s,
    change = CASE WHEN %(kept)s IN ('sealed', 'lacking')
        THEN jsonb_build_object('change_id', change_id::text) ELSE change END,
    subjects = CASE WHEN %(kept)s IN ('sealed', 'lacking') THEN {hidden} ELSE subjects END,
    reasons = reasons || %(reasons)s::jsonb
WHERE seq = %(seq)s AND kept IS NULL
""".replace("{hidden}", _HIDDEN)

PRUNE = """
DELETE FROM renkei.outbox WHERE seq IN (
    SELECT seq FROM renkei.outbox
    WHERE sent_at < clock_timestamp() - %(keep)s ORDER BY sent_at LIMIT %(rows)s
)
"""

PRUNE_REFUSED = """
DELETE FROM renkei.outbox_refused WHERE seq IN (
    SELECT seq FROM renkei.outbox_refused
    WHERE refused_at < clock_timestamp() - %(keep)s ORDER BY refused_at LIMIT %(rows)s
)
"""

LEASE = LeaseStatements.of("renkei.relay_lease")

# Counting stops at %(most)s: a backlog of millions must not be counted every few seconds.
BACKLOG = """
SELECT
    (SELECT count(*) FROM (
        SELECT FROM renkei.outbox WHERE sent_at IS NULL LIMIT %(most)s
    ) AS pending),
    (SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
     FROM renkei.outbox WHERE sent_at IS NULL ORDER BY seq LIMIT 1),
    (SELECT count(*) FROM (SELECT FROM renkei.outbox_refused LIMIT %(most)s) AS refused),
    (SELECT extract(epoch FROM clock_timestamp() - refused_at)::float8
     FROM renkei.outbox_refused ORDER BY seq LIMIT 1)
"""

LEADER = """
SELECT holder, extract(epoch FROM expires_at - clock_timestamp())::float8
FROM renkei.relay_lease WHERE id = 1 AND holder IS NOT NULL
"""

REFUSED = """
SELECT seq, change_id::text, subjects, refused_at, reasons, behind, kept
FROM renkei.outbox_refused ORDER BY seq LIMIT %(most)s
"""

# Back in their old places, so that a subject's changes are taken in the order they were made.
# A change that was handed in again under the same id stays where it is, and so does one whose
# content was taken out.
RETRY = """
WITH back AS (
    INSERT INTO renkei.outbox (seq, change_id, change, subjects, created_at, sealed)
    OVERRIDING SYSTEM VALUE
    SELECT seq, change_id, change, subjects, created_at, sealed FROM renkei.outbox_refused
    WHERE (%(seqs)s::bigint[] IS NULL OR seq = ANY(%(seqs)s)) AND kept IS DISTINCT FROM 'lacking'
    ON CONFLICT DO NOTHING
    RETURNING seq
), gone AS (
    DELETE FROM renkei.outbox_refused WHERE seq IN (SELECT seq FROM back) RETURNING seq
)
SELECT seq, pg_notify('renkei_outbox', '') FROM gone ORDER BY seq
"""

DROP = "DELETE FROM renkei.outbox_refused WHERE seq = ANY(%(seqs)s) RETURNING seq"

# Beside the login of whoever installs and superusers, nobody may be a member; it may do nothing.
OWNER_ROLE = """
SELECT
    array_remove(ARRAY[
        CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolsuper THEN 'SUPERUSER' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END
    ], NULL) || ARRAY(
        SELECT pg_get_userbyid(m.roleid)::text FROM pg_auth_members m WHERE m.member = r.oid
    ),
    ARRAY(
        SELECT u.rolname::text FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member
        WHERE m.roleid = r.oid AND NOT u.rolsuper AND u.rolname <> current_user
    )
FROM pg_roles r WHERE rolname = %(owner)s
"""

HAND_OVER = """
WITH own AS (
    SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
)
SELECT format('ALTER SCHEMA %%I OWNER TO %%I', %(schema)s::text, %(owner)s::text) FROM own
UNION ALL
SELECT format('ALTER TABLE %%s OWNER TO %%I', c.oid::regclass, %(owner)s::text)
FROM pg_class c JOIN own ON c.relnamespace = own.oid WHERE c.relkind = 'r'
UNION ALL
SELECT format('ALTER FUNCTION %%s OWNER TO %%I', p.oid::regprocedure, %(owner)s::text)
FROM pg_proc p JOIN own ON p.pronamespace = own.oid
"""

# How a relay finds an outbox: nothing of it may do more than it should. (form, what is wrong)
LOOK = """
WITH own AS (
    SELECT n.oid, n.nspowner FROM pg_namespace n WHERE n.nspname = 'renkei'
), relation AS (
    SELECT c.* FROM pg_class c JOIN own ON c.relnamespace = own.oid
    WHERE c.relname IN ('outbox', 'outbox_refused', 'relay_lease')
)
SELECT
    EXISTS (SELECT FROM relation JOIN pg_attribute ON attrelid = relation.oid
        WHERE relname = 'outbox' AND attname = 'sealed'),
    CASE
        WHEN EXISTS (SELECT FROM own JOIN pg_roles r ON r.oid = own.nspowner
            WHERE r.rolcanlogin OR r.rolsuper) THEN 'its owner may log in'
        WHEN EXISTS (SELECT FROM relation JOIN own ON true WHERE relowner <> nspowner)
            THEN 'a table has another owner'
        WHEN EXISTS (SELECT FROM relation WHERE relkind <> 'r' OR relrowsecurity
            OR relhasrules) THEN 'a table is no plain one'
        WHEN EXISTS (SELECT FROM relation JOIN pg_trigger ON tgrelid = relation.oid)
            THEN 'a table has a trigger'
        WHEN EXISTS (SELECT FROM relation JOIN pg_inherits ON relation.oid IN (inhrelid, inhparent))
            THEN 'a table has children'
    END
FROM own
"""

GRANT_CORE = (
    "GRANT USAGE ON SCHEMA renkei TO {role}",
    "GRANT EXECUTE ON FUNCTION renkei.publish_change(jsonb) TO {role}",
)

GRANT_RELAY = (
    "GRANT USAGE ON SCHEMA renkei TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON renkei.outbox, renkei.outbox_refused TO {role}",
    "GRANT SELECT, UPDATE ON renkei.relay_lease TO {role}",
)

_ROWS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
GIVEN = {  # the same, as PostgreSQL tells it: (kind, name) -> rights
    ("schema", "renkei"): {"USAGE"},
    ("function", "publish_change"): {"EXECUTE"},
    ("relation", "outbox"): _ROWS,
    ("relation", "outbox_refused"): _ROWS,
    ("relation", "relay_lease"): {"SELECT", "UPDATE"},
}
