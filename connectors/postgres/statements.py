"""The SQL of the PostgreSQL sink, as text with ``$n`` placeholders for both drivers.

No value is ever part of the text: the server's log of statements shows none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from bus.connect import STAGING
from bus.errors import ConfigurationError
from bus.model import Keeping, Mode, View, ViewColumn
from connectors.postgres.believing import cut, question

APPLIED_AT = "renkei_applied_at"
CONFIRMED = "renkei_confirmed_version"
"""In a work list: up to which version the system's clerks have confirmed a row. They write it; the
sink makes the column and never touches it again."""
MARK = " (renkei)"  # ends the comment of a column that the sink made
NAME_BYTES = 63  # PostgreSQL cuts a longer name off in silence

_TYPES: tuple[tuple[pa.DataType, str], ...] = (
    (pa.string(), "text"),
    (pa.int32(), "integer"),
    (pa.int64(), "bigint"),
    (pa.bool_(), "boolean"),
    (pa.float64(), "double precision"),
    (pa.date32(), "date"),
    (pa.timestamp("us", tz="UTC"), "timestamp with time zone"),
    (pa.list_(pa.string()), "text[]"),
    (pa.list_(pa.int32()), "integer[]"),
    (pa.list_(pa.int64()), "bigint[]"),
    (pa.list_(pa.bool_()), "boolean[]"),
    (pa.list_(pa.date32()), "date[]"),
)
_WIDER = {
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "double precision": {"numeric"},
    "text[]": {"character varying[]"},
}
_PADDED = {"character", '"char"'}  # would give text back changed

SESSION = """\
SET search_path = pg_catalog;
SET timezone = 'UTC';
SET default_transaction_isolation = 'read committed';
SET client_min_messages = error;
SET log_parameter_max_length_on_error = 0;
SET lock_timeout = '30s';
SET idle_in_transaction_session_timeout = '60s'"""
"""Names mean what they say; nobody waits or holds a lane for ever."""

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

TABLE_COLUMNS = """\
SELECT a.attname, format_type(a.atttypid, NULL), a.atttypmod,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
       right(col_description(a.attrelid, a.attnum), 500)
FROM pg_attribute a
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped"""

LOCK_SCHEMA = "SELECT pg_advisory_xact_lock(hashtextextended('renkei:' || $1, 0))"
HAS_SCHEMA = "SELECT to_regnamespace($1) IS NOT NULL"


@dataclass(frozen=True)
class TableColumn:
    """One column of an existing table, as the catalogue has it."""

    type: str
    modifier: int
    is_demanded: bool  # NOT NULL without a default
    comment: str | None

    @property
    def is_ours(self) -> bool:
        """Whether the sink made it, so that it may empty it when the view loses it."""
        return (self.comment or "").endswith(MARK)


TableShape = Mapping[str, TableColumn]


@dataclass(frozen=True)
class Names:
    """Quoted names of the tables that a sink works on, and the stream as those tables have it."""

    schema: str
    table: str
    position: str
    views: str
    fence: str
    withheld: str
    restore: str
    stream: str
    beside_table: str

    @classmethod
    def of(cls, stream: str, schema: str, prefix: str) -> Names:
        """The names for *stream*; refuses those that PostgreSQL would cut."""
        quoted = identifier(schema)

        def named(name: str) -> str:
            return f"{quoted}.{identifier(prefix + name)}"

        return cls(
            schema=quoted,
            table=named(stream.replace(".", "_")),
            position=named("renkei_position"),
            views=named("renkei_view"),
            fence=named("renkei_fence"),
            withheld=named("renkei_withheld"),
            restore=named("renkei_restore"),
            stream=stream,
            beside_table=named(stream.replace(".", "_") + STAGING),
        )

    @property
    def beside(self) -> Names:
        """The names of the staging table."""
        return replace(self, table=self.beside_table, stream=self.stream + STAGING)


def identifier(name: str) -> str:
    """*name*, quoted."""
    if not name or "\x00" in name or len(name.encode()) > NAME_BYTES:
        raise ConfigurationError("PostgreSQL cannot have this name", name=repr(name))
    return '"' + name.replace('"', '""') + '"'


def type_of(column: ViewColumn) -> str:
    """The PostgreSQL type that holds a view's column without loss."""
    for arrow, name in _TYPES:
        if column.type.equals(arrow):
            return name
    raise ConfigurationError(
        "PostgreSQL tables have no type for this column", column=column.name, type=column.type
    )


# -- making the tables


def make_schema(names: Names) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {names.schema}"


def make_positions(names: Names) -> str:
    return f"""\
CREATE TABLE IF NOT EXISTS {names.position} (
  stream text NOT NULL,
  partition integer NOT NULL,
  cluster_id text NOT NULL,
  topic text NOT NULL,
  "offset" bigint NOT NULL,
  last_event_id text,
  receipt jsonb NOT NULL,
  applied_at timestamptz NOT NULL,
  PRIMARY KEY (stream, partition)
) WITH (fillfactor = 50)"""


def make_views(names: Names) -> str:
    return f"""\
CREATE TABLE IF NOT EXISTS {names.views} (
  stream text PRIMARY KEY,
  fingerprint text NOT NULL,
  edition bigint NOT NULL,
  stands jsonb NOT NULL,
  since timestamptz NOT NULL
)"""


def make_table(names: Names, view: View) -> list[str]:
    """The SQL of the table of *view*: only key and version are fixed, so that views can change."""
    demanded = {*view.key, *(["version"] if view.keeping is Keeping.STATE else [])}
    columns = [
        f"{identifier(c.name)} {type_of(c)}{' NOT NULL' if c.name in demanded else ''}"
        for c in view.columns
    ]
    columns.append(f"{APPLIED_AT} timestamptz NOT NULL DEFAULT clock_timestamp()")
    if view.mode is Mode.WORK_LIST:
        columns.append(f"{CONFIRMED} integer")
    columns.append(f"PRIMARY KEY ({_list(view.key)})")
    body = ",\n  ".join(columns)
    return [f"CREATE TABLE {names.table} (\n  {body}\n)", *_comments(names, view.columns)]


def add_columns(names: Names, view: View, shape: TableShape) -> list[str]:
    """The SQL that adds columns which an existing table lacks."""
    missing = [c for c in view.columns if c.name not in shape]
    statements = [
        f"ALTER TABLE {names.table} ADD COLUMN IF NOT EXISTS {identifier(c.name)} {type_of(c)}"
        for c in missing
    ]
    if APPLIED_AT not in shape:
        statements.append(
            f"ALTER TABLE {names.table} ADD COLUMN IF NOT EXISTS {APPLIED_AT}"
            " timestamptz NOT NULL DEFAULT clock_timestamp()"
        )
    if view.mode is Mode.WORK_LIST:
        statements.append(f"ALTER TABLE {names.table} ADD COLUMN IF NOT EXISTS {CONFIRMED} integer")
    return [*statements, *_comments(names, missing)]


def own_columns(view: View) -> frozenset[str]:
    """The columns of the table that are the bus's and not the view's."""
    return frozenset({APPLIED_AT, *([CONFIRMED] if view.mode is Mode.WORK_LIST else [])})


def _comments(names: Names, columns: Iterable[ViewColumn]) -> list[str]:
    return [
        f"COMMENT ON COLUMN {names.table}.{identifier(c.name)} IS "
        + "'{}'".format((c.ja + MARK).replace("'", "''"))
        for c in columns
    ]


def misfits(view: View, shape: TableShape) -> list[str]:
    """Names of columns whose type in the table would change what the view delivers."""
    exact = {*view.key, *(["version"] if view.keeping is Keeping.STATE else [])}
    return [
        column.name
        for column in view.columns
        if column.name in shape
        and not _holds(type_of(column), shape[column.name].type, column.name in exact)
    ]


def _holds(wanted: str, found: str, is_exact: bool) -> bool:
    """Whether a column of type *found* can hold every value of type *wanted*, or refuses it.

    Text may become any type (the ledger's ranges); keys and versions keep theirs.
    """
    if found == wanted or found in _WIDER.get(wanted, ()):
        return True
    if wanted != "text" or found in _PADDED:
        return False
    return found == "character varying" if is_exact else True


_READABLE_TIME = (
    "CASE WHEN applied_at > '0001-01-03Z' AND applied_at < '9999-12-29Z' THEN applied_at END"
)
"""Null for a time that no driver can say: one row's is no other row's matter."""


def marks(names: Names) -> str:
    """The SQL that reads where all lanes of the store are."""
    said = [cut("stream"), "partition", '"offset"', _READABLE_TIME]
    return question(said, names.position, "stream, partition")


_POSITION = (
    "partition", cut("cluster_id"), cut("topic"), '"offset"', cut("last_event_id"), "receipt",
    "applied_at", "applied_at > clock_timestamp() + interval '1 day'",
)  # fmt: skip


def positions(names: Names, condition: str) -> str:
    """The SQL that reads positions and last receipts of a table's lanes; $1 is the stream."""
    return question(_POSITION, f"{names.position} WHERE stream = $1{condition}", "partition")


# -- applying batches


@dataclass(frozen=True)
class Statements:
    """The SQL of one open sink."""

    stream: str  # what the table is called in the bus's own tables
    positions: str  # $1 stream
    checkpoint: str  # $1 stream, $2 partition
    lock: str  # before a transaction of several statements: nobody changes the view meanwhile
    move: str  # see _move; gives the time of applying, or UNTRUE
    guard: str | None  # $1 cluster, $2 protection offsets; no row: masked under too little
    apply_rows: str  # $1 to $9 as _move, $10 JSON array of rows, $11 as guard's $2; see _together
    write_said: str  # $1 time of applying; the rows that are in SAID
    rewrite_rows: str  # of the version that is stored: $1 JSON array of rows, $2 time of applying
    erase: str  # $1 municipality codes, $2 subject ids
    erase_found: str  # $1 the table; the keys that are in FOUND
    make_inbox: str
    write_inbox: str
    probe: str


INBOX = "renkei_inbox"
FOUND = "pg_temp.renkei_found"
"""Keys of rows, by relation, for the transaction that fills it by COPY: no log has them then."""
MAKE_FOUND = """\
CREATE TEMPORARY TABLE IF NOT EXISTS renkei_found (
  relation text NOT NULL,
  municipality_code text NOT NULL,
  subject_id text NOT NULL
) ON COMMIT DELETE ROWS"""
SAID = "pg_temp.renkei_said"
"""A JSON array of rows, in the same way."""
MAKE_SAID = "CREATE TEMPORARY TABLE IF NOT EXISTS renkei_said (rows text) ON COMMIT DELETE ROWS"


def for_view(names: Names, view: View, shape: TableShape) -> Statements:
    """The SQL for *view* on a table of *shape*, in which :func:`misfits` found nothing."""
    columns = view.schema.names
    upsert = _on_conflict(view)
    insert = f"INSERT INTO {names.table} AS stored ({_list([*columns, APPLIED_AT])})\nSELECT "
    from_json = f"{_list(columns)}, {{}}\nFROM json_populate_recordset(NULL::{names.table}, {{}})"
    # The time of applying goes through the inbox too: what is selected is then the inbox's row as
    # it stands, and PostgreSQL need not take it apart (a tenth of the whole cost).
    cast = ", ".join(_cast(column, shape[column.name].type) for column in view.columns)
    inbox = ", ".join(f"{identifier(c.name)} {type_of(c)}" for c in view.columns)
    is_fenced = view.is_fenced
    return Statements(
        stream=names.stream,
        positions=positions(names, ""),
        checkpoint=positions(names, " AND partition = $2"),
        lock=f"LOCK TABLE {names.table} IN ROW EXCLUSIVE MODE",
        move=_move(names),
        guard=_guard(names, "$1", "$2") if is_fenced else None,
        apply_rows=_together(
            names,
            f"{insert}{from_json.format(_MOVED_AT, '$10::json')}, moved\n{upsert}",
            _guard(names, "$3", "$11") if is_fenced else None,
        ),
        write_said=insert
        + from_json.format("$1::timestamptz", f"(SELECT rows::json FROM {SAID})")
        + f"\n{upsert}",
        rewrite_rows=_rewrite(names, view),
        erase=(
            f"DELETE FROM {names.table} AS stored"
            " USING unnest($1::text[], $2::text[]) AS gone (municipality_code, subject_id)"
            " WHERE stored.municipality_code = gone.municipality_code"
            " AND stored.subject_id = gone.subject_id"
        ),
        erase_found=(
            f"DELETE FROM {names.table} AS stored USING {FOUND} AS gone"
            " WHERE gone.relation = $1 AND stored.municipality_code = gone.municipality_code"
            " AND stored.subject_id = gone.subject_id"
        ),
        make_inbox=f"CREATE TEMPORARY TABLE {INBOX} ({inbox}, {APPLIED_AT} timestamptz)"
        " ON COMMIT DELETE ROWS",
        write_inbox=f"{insert}{cast}, {APPLIED_AT}\nFROM pg_temp.{INBOX}\n{upsert}",
        probe=f"EXPLAIN {insert}" + from_json.format("now()", "'[]'") + f"\n{upsert}",
    )


_MOVED_AT = "moved.renkei_moved_at"


def _together(names: Names, writing: str, guard: str | None) -> str:
    """A statement that moves a lane and, only if it moved, does *writing*, which joins ``moved``.

    It returns the time of applying (null: not moved), how many rows changed, and whether *guard*
    let it.

    One statement is one transaction: all of it is there or nothing. It costs a third of a
    transaction of several statements, mostly in turns between the client's threads (measured).
    It also has one snapshot, from before it waited for another owner of the lane. An upsert sees
    past that, a DELETE does not: erasures are a statement of their own, after the move.
    """
    guarded = f"guard AS (\n{guard}),\n" if guard else ""
    move = _move(names, "EXISTS (SELECT FROM guard)" if guard else "true")
    return f"""\
WITH {guarded}moved AS (
{move} AS renkei_moved_at),
written AS (
{writing}
RETURNING 1)
SELECT (SELECT renkei_moved_at FROM moved), (SELECT count(*) FROM written),
  {"EXISTS (SELECT FROM guard)" if guard else "true"}"""


def _guard(names: Names, cluster: str, masked_under: str) -> str:
    """The SQL that locks the fence's row if the rows were masked under all that is applied here.

    Who waits for a protection sees the row as that leaves it, and asks again of that.
    """
    return f"""\
SELECT 1 FROM {names.fence}
WHERE {is_known(cluster, masked_under)}
FOR SHARE"""


def is_known(cluster: str, known: str) -> str:
    """Whether the fence's row says nothing that *known*, offsets by log, is behind of.

    A row that an older release wrote says of partitions of the protection stream alone. What is no
    number of a log is behind nobody: who refuses then looks what it is.
    """
    return f"""(cluster_id IS DISTINCT FROM {cluster}::text OR NOT EXISTS (
  SELECT FROM jsonb_each(CASE jsonb_typeof(reached) WHEN 'object' THEN reached
                         ELSE '{{"no log": null}}' END) AS applied (log, "offset")
  WHERE CASE jsonb_typeof(applied."offset") WHEN 'number' THEN
    applied."offset"::numeric < 0 OR applied."offset"::numeric % 1 <> 0
    OR applied."offset"::numeric > coalesce(
      ({known}::jsonb ->> applied.log)::bigint,
      ({known}::jsonb ->> ('protection/' || applied.log))::bigint,
      0)
    ELSE true END))"""


def _rewrite(names: Names, view: View) -> str:
    """The SQL that replaces rows by those of the same version, seen anew."""
    values = [identifier(n) for n in view.schema.names if n not in view.key]
    same = [identifier(n) for n in (*view.key, "version") if n in view.schema.names]
    sets = [f"{name} = anew.{name}" for name in values]
    return f"""\
UPDATE {names.table} AS stored SET {", ".join(sets)}, {APPLIED_AT} = $2::timestamptz
FROM json_populate_recordset(NULL::{names.table}, $1::json) AS anew
WHERE {" AND ".join(f"stored.{name} = anew.{name}" for name in same)}"""


UNTRUE = datetime(1970, 1, 1, tzinfo=UTC)
"""Given as the time of applying where the table has not kept what was written."""
_TRUE_TIME = """\
CASE WHEN applied_at BETWEEN now() - interval '1 minute' AND clock_timestamp() + interval '1 minute'
  THEN applied_at ELSE to_timestamp(0) END"""
"""A trigger of the table's owner may have put another time in its place, at which nothing was
applied; a minute is for clocks that are set."""


def _move(names: Names, only_if: str = "true") -> str:
    """Move a lane from $8 to $5, or insert it if $8 is 0; no row if it is not there.

    $1 stream, $2 partition, $3 cluster, $4 topic, $5 end, $6 last event id, $7 receipt, $8 start,
    $9 the view's fingerprint: no row if the table stands under another view.
    A delivery out of turn ($5 = $8) leaves the position as it is and changes the receipt.

    Whoever changes the view locks the table first. A statement that writes rows as well has its
    own lock on the table before it looks, so it sees the view as it is then.
    """
    return f"""\
INSERT INTO {names.position} AS stored
  (stream, partition, cluster_id, topic, "offset", last_event_id, receipt, applied_at)
SELECT $1::text, $2::integer, $3::text, $4::text, $5::bigint, $6::text, $7::jsonb, clock_timestamp()
WHERE {only_if}
  AND EXISTS (SELECT FROM {names.views} WHERE stream = $1::text AND fingerprint = $9::text)
  AND ($8::bigint = 0
  OR EXISTS (SELECT FROM {names.position} WHERE stream = $1::text AND partition = $2::integer))
ON CONFLICT (stream, partition) DO UPDATE SET
  last_event_id = CASE WHEN stored."offset" = excluded."offset"
                  THEN stored.last_event_id ELSE excluded.last_event_id END,
  "offset" = excluded."offset",
  receipt = excluded.receipt,
  applied_at = excluded.applied_at
WHERE stored."offset" = $8::bigint
  AND stored.cluster_id = excluded.cluster_id
  AND stored.topic = excluded.topic
RETURNING {_TRUE_TIME}"""


def _on_conflict(view: View) -> str:
    if view.keeping is Keeping.HISTORY:
        return f"ON CONFLICT ({_list(view.key)}) DO NOTHING"
    values = [n for n in view.schema.names if n not in view.key]
    sets = [f"{identifier(n)} = excluded.{identifier(n)}" for n in values]
    sets.append(f"{APPLIED_AT} = excluded.{APPLIED_AT}")
    return (
        f"ON CONFLICT ({_list(view.key)}) DO UPDATE SET\n  {', '.join(sets)}\n"
        "WHERE stored.version < excluded.version"
    )


def _cast(column: ViewColumn, found: str) -> str:
    """The inbox's column as the table's type. The cast names no length, so that a text that is
    too long is refused and not cut off."""
    name = identifier(column.name)
    return name if found == type_of(column) else f"{name}::{found}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(identifier(name) for name in names)
