"""The indexes by which rows of protected persons are found, in tables that the bus made.

A table that the system made itself is left as it is, and searched without. They are made when the
table is opened: in a table that has rows already, writers of it wait so long, and readers do not.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import psycopg

from bus.connect import Withheld
from bus.model import View
from connectors.postgres.finding import is_odd, listed_anybody
from connectors.postgres.statements import Names, TableShape, identifier

Connection = psycopg.Connection[Any]

_OWNS = """\
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass($1)"""
_MISSING = """\
SELECT name FROM unnest($1::text[]) AS wanted (name)
WHERE to_regclass($2 || '.' || quote_ident(name)) IS NULL"""


def make(connection: Connection, names: Names, view: View, shape: TableShape) -> None:
    """Make the missing indexes, if the bus made the table and owns it."""
    wanted = _wanted(names, view, shape)
    for name in missing(connection, names, view, shape):
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {identifier(name)} ON {names.table} {wanted[name]}"
        )


def missing(connection: Connection, names: Names, view: View, shape: TableShape) -> list[str]:
    """Names of the indexes that have to be made."""
    key = shape.get("subject_id")
    if key is None or not key.is_ours:
        return []
    wanted = _wanted(names, view, shape)
    rows = connection.execute(_MISSING, (list(wanted), names.schema)).fetchall()
    if not rows or connection.execute(_OWNS, (names.table,)).fetchone() != (True,):
        return []
    return [name for (name,) in rows]


def _wanted(names: Names, view: View, shape: TableShape) -> dict[str, str]:
    """Name and columns of each index. The table's key needs none."""
    withheld = Withheld.of(view)
    if withheld is None:
        return {}
    kinds = [f"(municipality_code, subject_id) WHERE {identifier(withheld.flag)}"]
    names_of_persons = sorted(withheld.located | withheld.households)
    if odd := is_odd(names_of_persons, shape):
        kinds.append(f"(municipality_code) WHERE {odd}")
    for name in names_of_persons:
        column = shape.get(name)
        if column is not None and column.type == "text[]":
            kinds.append(f"(municipality_code) WHERE {listed_anybody(name)}")
        elif column is not None and name != "subject_id":
            kinds.append(f"(municipality_code, {identifier(name)})")
    return {
        f"renkei_{sha256(f'{names.table} {kind}'.encode()).hexdigest()[:16]}": kind
        for kind in kinds
    }
