"""Protection inside a store: the fence's row, locations taken out, and what may come back.

One row, ``renkei_fence``, says as of what the coverage was known that this system's protection
lanes applied last: of each log that it rests on an offset, by ``<stream>/<partition>``. Whoever
writes rows that a protection may touch locks it ``FOR SHARE`` and looks whether they were masked
under at least that much; whoever applies a protection updates it first, if what they know is not
behind it, and then, in statements of their own, empties the locations. So either the writer came
first, and its rows are seen by the later statement, or it waits, sees the row as it has become,
and is refused. Both rest on READ COMMITTED: each statement has a snapshot of its own, and a row
that was waited for is looked at anew.

The row is always there: a lock on a row that is yet to be inserted would hold nobody up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from bus.connect import Withheld
from bus.errors import ConfigurationError, FenceBehind
from bus.model import Protected, ToRestore, View
from connectors.postgres.statements import (
    APPLIED_AT,
    TABLE_COLUMNS,
    Names,
    TableColumn,
    TableShape,
    identifier,
    is_known,
)

Connection = psycopg.Connection[Any]

_OWN = "(held.relation = {0}::text OR held.relation = {1}::text AND to_regclass({1}::text) IS NULL)"
"""What is written down of a table, and of a fresh one that has taken its place."""


def tables_of(names: Names, view: View) -> Mapping[str, str]:
    """The bus's own tables that *view* needs beside its positions, and how each is made."""
    if not (view.is_fenced or view.protects):
        return {}
    return {
        names.fence: f"""\
CREATE TABLE IF NOT EXISTS {names.fence} (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  cluster_id text,
  reached jsonb NOT NULL DEFAULT '{{}}'
) WITH (fillfactor = 50)""",
        names.withheld: f"""\
CREATE TABLE IF NOT EXISTS {names.withheld} (
  relation text PRIMARY KEY,
  flag text NOT NULL,
  locations text[] NOT NULL,
  located text[] NOT NULL,
  households text[] NOT NULL
)""",
        names.restore: f"""\
CREATE TABLE IF NOT EXISTS {names.restore} (
  relation text NOT NULL,
  municipality_code text NOT NULL,
  subject_id text NOT NULL,
  PRIMARY KEY (relation, municipality_code, subject_id)
)""",
    }


def note(connection: Connection, names: Names, view: View) -> None:
    """Let whoever applies a protection know what of the table of *view* it changes."""
    if not tables_of(names, view):
        return
    connection.execute(f"INSERT INTO {names.fence} DEFAULT VALUES ON CONFLICT DO NOTHING")
    connection.execute(  # an older release wrote partitions of the protection stream alone
        f"UPDATE {names.fence} SET reached = (SELECT jsonb_object_agg(log, upto) FROM ("
        "SELECT CASE WHEN log ~ '^[0-9]+$' THEN 'protection/' || log ELSE log END AS log,"
        " max(upto::bigint) AS upto FROM jsonb_each_text(reached) AS said (log, upto) GROUP BY 1"
        ") AS said)"
        " WHERE EXISTS (SELECT FROM jsonb_object_keys(reached) AS log WHERE log ~ '^[0-9]+$')"
    )
    withheld, noted = Withheld.of(view), _noted(connection, names).get(names.table)
    if withheld is None:
        connection.execute(f"DELETE FROM {names.withheld} WHERE relation = $1", (names.table,))
        return
    if noted is not None:
        withheld = withheld.after(noted)
    if withheld != noted:
        connection.execute(
            f"INSERT INTO {names.withheld} (relation, flag, locations, located, households)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (relation) DO UPDATE SET"
            " flag = excluded.flag, locations = excluded.locations,"
            " located = excluded.located, households = excluded.households",
            (
                names.table,
                withheld.flag,
                sorted(withheld.locations),
                sorted(withheld.located),
                sorted(withheld.households),
            ),
        )


def apply(connection: Connection, names: Names, cluster_id: str, protected: Protected) -> None:
    """Take out of every table of this store what says where somebody in *protected* is, and write
    down whose rows may have theirs back.

    Raises:
        ConfigurationError: A table does not let a location go.
        FenceBehind: The store knows of newer coverage.
    """
    known = json.dumps(dict(protected.as_of))
    written = connection.execute(
        f"UPDATE {names.fence} SET cluster_id = $1::text,"
        " reached = CASE WHEN cluster_id = $1::text THEN reached ELSE '{}' END"
        f" || $2::jsonb WHERE {is_known('$1', '$2')}",
        (cluster_id, known),
    )
    if not written.rowcount:
        raise FenceBehind("the store knows of newer coverage than it was to be told")
    keys = (sorted(protected.persons), sorted(protected.households))
    for relation, withheld in _noted(connection, names).items():
        shape = _shape(connection, relation)
        if shape:
            _suppress(connection, relation, withheld, shape, keys)
            _write_down(connection, names, relation, withheld, shape, keys)


def done(connection: Connection, names: Names, keys: Iterable[str]) -> None:
    """These rows have their locations back."""
    parts = [key.split("/", 1) for key in keys]
    connection.execute(
        f"DELETE FROM {names.restore} AS held"
        " USING unnest($2::text[], $3::text[]) AS done (municipality_code, subject_id)"
        f" WHERE {_OWN.format('$1', '$4')} AND held.subject_id = done.subject_id"
        " AND held.municipality_code = done.municipality_code",
        (names.table, [p[0] for p in parts], [p[1] for p in parts], names.beside_table),
    )


def to_restore(connection: Connection, names: Names) -> ToRestore:
    """How far the protection lanes are, and which rows may have their locations back by then.

    What was written down of a fresh table that has taken this one's place is this one's.
    """
    reached = connection.execute(f"SELECT reached FROM {names.fence}").fetchone()
    rows = connection.execute(
        "SELECT held.municipality_code || '/' || held.subject_id, coalesce(stored.version, 0)"
        f" FROM {names.restore} AS held LEFT JOIN {names.table} AS stored"
        " USING (municipality_code, subject_id)"
        f" WHERE {_OWN.format('$1', '$2')}",
        (names.table, names.beside_table),
    ).fetchall()
    return ToRestore(
        dict(reached[0]) if reached else {},
        {key: int(version) for key, version in rows},
    )


def _noted(connection: Connection, names: Names) -> dict[str, Withheld]:
    rows = connection.execute(
        f"SELECT relation, locations, flag, located, households FROM {names.withheld}"
        " ORDER BY relation"
    ).fetchall()
    return {
        relation: Withheld(frozenset(locations), flag, frozenset(located), frozenset(households))
        for relation, locations, flag, located, households in rows
    }


def _shape(connection: Connection, relation: str) -> TableShape:
    """The table's columns; none if it is gone."""
    rows = connection.execute(TABLE_COLUMNS, (relation,)).fetchall()
    return {name: TableColumn(*rest) for name, *rest in rows}


def _suppress(
    connection: Connection,
    relation: str,
    withheld: Withheld,
    shape: TableShape,
    keys: tuple[list[str], list[str]],
) -> None:
    flag = identifier(withheld.flag)
    locations = [identifier(name) for name in sorted(withheld.locations) if name in shape]
    sets = [f"{name} = NULL" for name in locations]
    sets += [f"{flag} = true", f"{APPLIED_AT} = clock_timestamp()"]
    holds = " OR ".join([f"{flag} IS NOT TRUE", *(f"{name} IS NOT NULL" for name in locations)])
    try:
        connection.execute(
            f"UPDATE {relation} SET {', '.join(sets)}"
            f" WHERE {_is_covered(withheld, shape)} AND ({holds})",
            keys,
        )
    except psycopg.IntegrityError as error:
        raise ConfigurationError(
            "a table does not let the location of a protected person go",
            table=relation,
            column=error.diag.column_name,
            sqlstate=error.sqlstate,
        ) from None


def _write_down(
    connection: Connection,
    names: Names,
    relation: str,
    withheld: Withheld,
    shape: TableShape,
    keys: tuple[list[str], list[str]],
) -> None:
    connection.execute(
        f"INSERT INTO {names.restore} (relation, municipality_code, subject_id)"
        f" SELECT $3::text, municipality_code, subject_id FROM {relation}"
        f" WHERE {identifier(withheld.flag)} AND NOT {_is_covered(withheld, shape)}"
        " ON CONFLICT DO NOTHING",
        (*keys, relation),
    )


def _is_covered(withheld: Withheld, shape: TableShape) -> str:
    """Whether a row may say where somebody is: $1 keys of persons, $2 keys of households."""
    tests = [
        _is_among(name, shape[name].type, keys)
        for columns, keys in ((withheld.located, "$1"), (withheld.households, "$2"))
        for name in sorted(columns)
        if name in shape
    ]
    # without a column nobody is found by $1 or $2; both are named, for their types
    return f"({' OR '.join(['cardinality($1::text[]) + cardinality($2::text[]) < 0', *tests])})"


def _is_among(name: str, kind: str, keys: str) -> str:
    column = identifier(name)
    if kind.endswith("[]"):
        return (
            f"EXISTS (SELECT FROM unnest({column}) AS held (id)"
            f" WHERE municipality_code || '/' || held.id = ANY ({keys}::text[]))"
        )
    return f"coalesce(municipality_code || '/' || {column} = ANY ({keys}::text[]), false)"
