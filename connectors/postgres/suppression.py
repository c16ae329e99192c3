"""Protection inside a store: the fence's row, locations taken out, and rows to restore.

One row, ``renkei_fence``, says as of what the coverage was known that this system's protection
lanes applied last: of each log that it rests on an offset, by ``<stream>/<partition>``. Whoever
writes rows that a protection may touch locks it ``FOR SHARE`` and looks whether they were masked
under at least that much; whoever applies a protection updates it first, if what they know is not
behind it, and then, in statements of their own, empties the locations. So either the writer came
first, and its rows are seen by the later statement, or it waits, sees the row as it has become,
and is refused. Both rest on READ COMMITTED: each statement has a snapshot of its own, and a row
that was waited for is looked at anew.

The row is always there: a lock on a row that is yet to be inserted would hold nobody up.

``renkei_withheld`` says of each table by which columns rows are found, what goes, and as of what it
was told who is covered (``told``, with a seal of who that was): only whoever is new since then is
looked for. A table whose
entry is new while it has rows, or has changed, was told nothing: all of it is looked at next time.
How rows are found without a word of whom this system does not hold is in
:mod:`connectors.postgres.finding`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from bus.connect import Withheld
from bus.errors import (
    ConfigurationError,
    EventRefused,
    FenceBehind,
    SinkUnavailable,
    StoreForged,
)
from bus.model import Protected, Reached, ToRestore, View
from connectors.postgres import finding
from connectors.postgres.believing import MOST_RESTORED, cut, question
from connectors.postgres.believing import rows as believed
from connectors.postgres.faults import translated
from connectors.postgres.finding import Table
from connectors.postgres.statements import (
    APPLIED_AT,
    FOUND,
    MAKE_FOUND,
    MAKE_SAID,
    TABLE_COLUMNS,
    Names,
    TableColumn,
    TableShape,
    is_known,
)

Connection = psycopg.Connection[Any]

_OWN = "(held.relation = {0}::text OR held.relation = {1}::text AND to_regclass({1}::text) IS NULL)"
"""What is written down of a table, and of a staging table that has taken its place."""
_COLUMNS = f"""\
SELECT noted.relation, held.* FROM unnest($1::text[]) AS noted (relation)
CROSS JOIN LATERAL ({TABLE_COLUMNS.replace("$1", "noted.relation")}) AS held"""
UNTOLD = ""
"""What a table was told of which nothing is known."""


def tables_of(names: Names, view: View) -> Mapping[str, Mapping[str, str]]:
    """The SQL of the bus's own tables that *view* needs besides positions, new or completed."""
    if not (view.is_fenced or view.protects):
        return {}
    return {
        names.fence: {
            "": f"""\
CREATE TABLE IF NOT EXISTS {names.fence} (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  cluster_id text,
  reached jsonb NOT NULL DEFAULT '{{}}'
) WITH (fillfactor = 50)"""
        },
        names.withheld: {
            "": f"""\
CREATE TABLE IF NOT EXISTS {names.withheld} (
  relation text PRIMARY KEY,
  flag text NOT NULL,
  locations text[] NOT NULL,
  located text[] NOT NULL,
  households text[] NOT NULL,
  told jsonb
)""",
            "told": f"ALTER TABLE {names.withheld} ADD COLUMN IF NOT EXISTS told jsonb",
        },
        names.restore: {
            "": f"""\
CREATE TABLE IF NOT EXISTS {names.restore} (
  relation text NOT NULL,
  municipality_code text NOT NULL,
  subject_id text NOT NULL,
  PRIMARY KEY (relation, municipality_code, subject_id)
)"""
        },
    }


def note(connection: Connection, names: Names, view: View) -> None:
    """Note which columns of the table of *view* are withheld, for protections to come."""
    if not tables_of(names, view):
        return
    made = connection.execute(f"INSERT INTO {names.fence} DEFAULT VALUES ON CONFLICT DO NOTHING")
    if made.rowcount:  # it is new, or was taken away: nothing is known of what was told
        connection.execute(f"UPDATE {names.withheld} SET told = NULL")
    connection.execute(  # an older release wrote partitions of the protection stream alone
        f"UPDATE {names.fence} SET reached = (SELECT jsonb_object_agg(log, upto) FROM ("
        "SELECT CASE WHEN log ~ '^[0-9]+$' THEN 'protection/' || log ELSE log END AS log,"
        " max(upto::numeric) AS upto FROM jsonb_each(reached) AS said (log, upto) GROUP BY 1"
        ") AS said) WHERE jsonb_typeof(reached) = 'object'"
        " AND reached @? '$.keyvalue() ? (@.key like_regex \"^[0-9]+$\")'"
        " AND NOT reached @? '$.* ? (@.type() <> \"number\")'"
    )
    withheld = Withheld.of(view)
    noted, word = _noted(connection, names).get(names.table, (None, UNTOLD))
    if withheld is None:
        connection.execute(f"DELETE FROM {names.withheld} WHERE relation = $1", (names.table,))
        return
    if noted is not None:
        withheld = withheld.after(noted)
    if withheld != noted:
        # not while a protection is applied, which would say that this table was told of it
        connection.execute(f"SELECT FROM {names.fence} FOR SHARE")
        connection.execute(
            f"INSERT INTO {names.withheld} (relation, flag, locations, located, households)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (relation) DO UPDATE SET"
            " flag = excluded.flag, locations = excluded.locations, located = excluded.located,"
            " households = excluded.households, told = NULL",
            (
                names.table,
                withheld.flag,
                sorted(withheld.locations),
                sorted(withheld.located),
                sorted(withheld.households),
            ),
        )
    if withheld != noted or word == UNTOLD:
        # what comes into an empty table is masked under what the store knows by now
        connection.execute(
            f"UPDATE {names.withheld} SET told = (SELECT coalesce((SELECT other.told"
            f" FROM {names.withheld} AS other WHERE other.told -> 'as_of' = reached LIMIT 1),"
            f" jsonb_build_object('as_of', reached)) FROM {names.fence})"
            f" WHERE relation = $1 AND NOT EXISTS (SELECT FROM {names.table})",
            (names.table,),
        )


def make_ready(connection: Connection) -> None:
    """Prepare in the session what a protection needs, before one comes.

    Doing it then would take the server as long as the search for a person.
    """
    connection.execute(f"{MAKE_FOUND}; {MAKE_SAID}")


def apply(connection: Connection, names: Names, cluster_id: str, protected: Protected) -> None:
    """Take locations of *protected* out of every table of this store, and note rows to restore.

    Raises:
        ConfigurationError: A table does not let a location go.
        FenceBehind: The store knows of newer coverage.
    """
    is_same_log = _move_fence(connection, names, cluster_id, protected)
    tables = _tables(connection, names)
    by_word = defaultdict[str, list[Table]](list)
    for table, word in tables.items():
        by_word[word if is_same_log else UNTOLD].append(table)
    covered, released = dict[Table, set[finding.Key]](), dict[Table, set[finding.Key]]()
    for word, alike in by_word.items():
        as_of, seal = _read(word)
        known = None if as_of is None else protected.since(as_of, seal)
        if newly := protected.newly(known):
            covered |= finding.rows_of(connection, alike, newly)
        if protected.may_release(as_of):
            released |= {each: finding.let_go(connection, each, protected) for each in alike}
    if any(covered.values()):
        finding.note(connection, {table.relation: keys for table, keys in covered.items()})
        for table in (table for table, keys in covered.items() if keys):
            _suppress(connection, table)
    if any(released.values()):
        finding.note(connection, {table.relation: keys for table, keys in released.items()})
        _write_down(connection, names)
    connection.execute(
        f"UPDATE {names.withheld} SET told = CASE WHEN relation = ANY($1::text[])"
        f" THEN (SELECT jsonb_build_object('as_of', reached, 'seal', $2::text)"
        f" FROM {names.fence}) END",
        ([table.relation for table in tables], protected.seal),
    )


def _move_fence(
    connection: Connection, names: Names, cluster_id: str, protected: Protected
) -> bool:
    """Set the offsets of the fence, and plan by indexes from here on; False if it was of another
    log."""
    before = connection.execute(
        f"SELECT {cut('cluster_id')}, {finding.BY_INDEX} FROM {names.fence} FOR UPDATE"
    ).fetchone()
    written = connection.execute(
        f"UPDATE {names.fence} SET cluster_id = $1::text,"
        " reached = CASE WHEN cluster_id = $1::text THEN reached ELSE '{}' END"
        f" || $2::jsonb WHERE {is_known('$1', '$2')}",
        (cluster_id, json.dumps(dict(protected.as_of))),
    )
    if not written.rowcount:
        raise FenceBehind("the store knows of newer coverage than it was to be told")
    return before is not None and before[0] in (None, cluster_id)


def done(connection: Connection, names: Names, keys: Iterable[str]) -> None:
    """Note that these rows have their locations back."""
    parts = [key.split("/", 1) for key in keys]
    finding.note(connection, {names.table: [(part[0], part[1]) for part in parts]})
    connection.execute(
        f"DELETE FROM {names.restore} AS held USING {FOUND} AS done"
        f" WHERE {_OWN.format('$1', '$2')} AND held.subject_id = done.subject_id"
        " AND held.municipality_code = done.municipality_code",
        (names.table, names.beside_table),
    )


def to_restore(connection: Connection, names: Names) -> ToRestore:
    """How far the protection lanes are, and the rows that may have their locations back.

    What was written down of a staging table that has taken this one's place is this one's.
    """
    asked = question(["reached"], names.fence, "is_only")
    fence = believed(connection, asked, table=names.fence)
    if not fence:
        raise SinkUnavailable("the table is to be opened anew", table=names.fence)
    listed = question(
        [
            f"{cut('held.municipality_code')} || '/' || {cut('held.subject_id')}",
            "coalesce(stored.version, 0)::bigint",
        ],
        f"{names.restore} AS held LEFT JOIN {names.table} AS stored"
        f" USING (municipality_code, subject_id) WHERE {_OWN.format('$1', '$2')}",
        "held.subject_id",
        MOST_RESTORED,
    )
    rows = believed(
        connection,
        listed,
        (names.table, names.beside_table),
        table=names.restore,
        most=MOST_RESTORED,
    )
    return ToRestore(_reached(fence[0][0], names), dict(rows))


def _reached(said: object, names: Names) -> Reached:
    """The offsets in the fence's row; an error if the bus cannot have written it."""
    if isinstance(said, dict) and all(type(upto) is int and upto >= 0 for upto in said.values()):
        return said
    raise StoreForged("the fence in the store is none that the bus wrote", table=names.fence)


def _tables(connection: Connection, names: Names) -> dict[Table, str]:
    """Each table that is there, locked against new rows, and as of what it was told of coverage."""
    noted = _noted(connection, names)
    while True:
        shapes = _shapes(connection, noted)
        if not shapes:
            return {}
        try:
            with connection.transaction():
                # a table in use before the staging table that is about to take its place
                connection.execute(f"LOCK TABLE {', '.join(sorted(shapes))} IN ROW EXCLUSIVE MODE")
        except psycopg.errors.UndefinedTable:
            continue
        return {
            Table(relation, withheld, shapes[relation]): word
            for relation, (withheld, word) in sorted(noted.items())
            if withheld.flag in shapes.get(relation, {})
        }


def _noted(connection: Connection, names: Names) -> dict[str, tuple[Withheld, str]]:
    """What is noted of each table, and as of which offsets it was told."""
    columns = ["relation", "locations", "flag", "located", "households", "told::text"]
    rows = believed(connection, question(columns, names.withheld, "relation"), table=names.withheld)
    return {
        relation: (
            Withheld(frozenset(locations), flag, frozenset(located), frozenset(households)),
            word or UNTOLD,
        )
        for relation, locations, flag, located, households, word in rows
    }


def _read(word: str) -> tuple[Reached | None, str]:
    """As of which offsets a table was told, None if nothing is known; and the seal of whom."""
    if word == UNTOLD:
        return None, ""
    said = json.loads(word)
    return said.get("as_of", {}), said.get("seal") or ""


def _shapes(connection: Connection, relations: Iterable[str]) -> dict[str, TableShape]:
    """The columns of those *relations* that exist."""
    shapes = defaultdict[str, dict[str, TableColumn]](dict)
    for relation, name, *rest in connection.execute(_COLUMNS, (list(relations),)).fetchall():
        shapes[relation][name] = TableColumn(*rest)
    return dict(shapes)


def _suppress(connection: Connection, table: Table) -> None:
    sets = [f"{name} = NULL" for name in table.locations]
    sets += [f"{table.flag} = true", f"{APPLIED_AT} = clock_timestamp()"]
    try:
        with translated(table=table.relation):
            connection.execute(
                f"UPDATE {table.relation} AS stored SET {', '.join(sets)} FROM {FOUND} AS found"
                " WHERE found.relation = $1 AND stored.subject_id = found.subject_id"
                " AND stored.municipality_code = found.municipality_code"
                f" AND {table.is_unfinished}",
                (table.relation,),
            )
    except EventRefused as error:  # no event is at fault
        raise ConfigurationError(
            "a table does not let the location of a protected person go", **error.where
        ) from None


def _write_down(connection: Connection, names: Names) -> None:
    connection.execute(
        f"INSERT INTO {names.restore} (relation, municipality_code, subject_id)"
        f" SELECT relation, municipality_code, subject_id FROM {FOUND} ON CONFLICT DO NOTHING"
    )
