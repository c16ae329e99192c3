"""Describe a schema of a PostgreSQL database as lines, to compare it with another.

Everything that could make its objects do something else than they should is a line: each object
of whatever kind that is in the schema, tables with their columns, defaults, constraints, indexes,
row security, policies, rules, triggers and inheritance, functions whole, sequences, and whatever
stands elsewhere and depends on its tables (a trigger, a rule, a view, a child table, a foreign
key, a publication). The order of columns and the names of constraints are no lines; owners and
rights are asked for apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.outbox.database import Connection

LINES = """
WITH own AS (
    SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
), relation AS (
    SELECT c.* FROM pg_class c JOIN own ON c.relnamespace = own.oid
)
SELECT 'object ' || i.type || ' ' || i.identity
FROM pg_depend d JOIN own ON d.refobjid = own.oid
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
WHERE d.refclassid = 'pg_namespace'::regclass
UNION ALL
SELECT 'upon ' || r.relname || ': ' || i.type || ' ' || i.identity
FROM relation r JOIN pg_depend d ON d.refobjid = r.oid AND d.refclassid = 'pg_class'::regclass
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
WHERE NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (
    SELECT FROM pg_constraint k JOIN own ON k.connamespace = own.oid WHERE k.oid = d.objid))
AND i.type <> 'toast table'
UNION ALL
SELECT concat_ws(' ', 'relation', relname, relkind, relpersistence, relrowsecurity,
    relforcerowsecurity, relreplident, relispartition, relhasrules, relhastriggers,
    relhassubclass, reloftype <> 0, reltablespace, array_to_string(reloptions, ','), am.amname)
FROM relation LEFT JOIN pg_am am ON am.oid = relam
UNION ALL
SELECT concat_ws(' ', 'column', r.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    a.attnotnull, a.attidentity, a.attgenerated, a.attcollation::regcollation, a.attislocal,
    a.attinhcount, array_to_string(a.attoptions, ','), pg_get_expr(d.adbin, d.adrelid))
FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.relkind <> 'i'
UNION ALL
SELECT concat_ws(' ', 'constraint', coalesce(r.relname, k.contypid::regtype::text), k.contype,
    k.convalidated, k.condeferrable, pg_get_constraintdef(k.oid))
FROM pg_constraint k JOIN own ON k.connamespace = own.oid
LEFT JOIN relation r ON r.oid = k.conrelid
UNION ALL
SELECT concat_ws(' ', 'index', r.relname, i.indisvalid, pg_get_indexdef(i.indexrelid))
FROM relation r JOIN pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT concat_ws(' ', 'trigger', r.relname, t.tgenabled, pg_get_triggerdef(t.oid))
FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid
UNION ALL
SELECT concat_ws(' ', 'rule', r.relname, pg_get_ruledef(w.oid))
FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
UNION ALL
SELECT concat_ws(' ', 'policy', r.relname, p.polname, p.polcmd, p.polpermissive, p.polroles::text,
    pg_get_expr(p.polqual, r.oid), pg_get_expr(p.polwithcheck, r.oid))
FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT concat_ws(' ', 'inherits', h.inhrelid::regclass, h.inhparent::regclass)
FROM pg_inherits h WHERE h.inhrelid IN (SELECT oid FROM relation)
    OR h.inhparent IN (SELECT oid FROM relation)
UNION ALL
SELECT concat_ws(' ', 'sequence', r.relname, s.seqtypid::regtype, s.seqincrement, s.seqmin,
    s.seqmax, s.seqstart, s.seqcycle)
FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
UNION ALL
SELECT 'function ' || pg_get_functiondef(p.oid)
FROM pg_proc p JOIN own ON p.pronamespace = own.oid WHERE p.prokind IN ('f', 'p')
"""

OWNERS = """
WITH own AS (
    SELECT oid, nspowner, nspname FROM pg_namespace WHERE nspname = %(schema)s
)
SELECT 'schema ' || nspname, pg_get_userbyid(nspowner) FROM own
UNION ALL
SELECT 'relation ' || relname, pg_get_userbyid(relowner)
FROM pg_class JOIN own ON relnamespace = own.oid
UNION ALL
SELECT 'function ' || proname, pg_get_userbyid(proowner)
FROM pg_proc JOIN own ON pronamespace = own.oid
UNION ALL
SELECT 'type ' || typname, pg_get_userbyid(typowner)
FROM pg_type JOIN own ON typnamespace = own.oid
"""

# Whom something is granted to beside the owner; "" is everybody.
RIGHTS = """
WITH own AS (
    SELECT oid, nspowner, nspname, nspacl FROM pg_namespace WHERE nspname = %(schema)s
), held AS (
    SELECT 'schema' AS kind, nspname::text AS name, nspowner AS owner,
        coalesce(nspacl, acldefault('n', nspowner)) AS acl FROM own
    UNION ALL
    SELECT 'relation', relname, relowner,
        coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
    FROM pg_class JOIN own ON relnamespace = own.oid
    UNION ALL
    SELECT 'relation', relname, relowner, attacl
    FROM pg_class c JOIN own ON relnamespace = own.oid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
    UNION ALL
    SELECT 'function', proname, proowner, coalesce(proacl, acldefault('f', proowner))
    FROM pg_proc JOIN own ON pronamespace = own.oid
)
SELECT held.kind, held.name, CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
    a.privilege_type, a.is_grantable
FROM held CROSS JOIN LATERAL aclexplode(held.acl) AS a
WHERE a.grantee <> held.owner
"""


async def lines(connection: Connection, schema: str) -> set[str]:
    """The description of *schema*, without its name."""
    cursor = await connection.execute(LINES, {"schema": schema})
    own = re.compile(rf"\b{re.escape(schema)}(?=\.)")
    return {own.sub("…", row[0]) for row in await cursor.fetchall()}


async def owners(connection: Connection, schema: str) -> dict[str, set[str]]:
    """Who owns the schema and what is in it: role -> what."""
    found: dict[str, set[str]] = {}
    for what, role in await (await connection.execute(OWNERS, {"schema": schema})).fetchall():
        found.setdefault(role, set()).add(what)
    return found


async def rights(connection: Connection, schema: str) -> Sequence[tuple[str, str, str, str, bool]]:
    """Rights of others than the owners: kind and name of the object, role, right, grant option."""
    return await (await connection.execute(RIGHTS, {"schema": schema})).fetchall()
