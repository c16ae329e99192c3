"""The receiving table: read its shape, make what is missing, refuse what does not fit.

A table that the system made itself is used as it is, if it can hold the view. Only what is missing
is made, and only then are the rights to make it needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from bus.connect import is_behind
from bus.errors import ConfigurationError
from bus.model import View
from connectors.postgres import applied_view, indexes, statements, suppression
from connectors.postgres.statements import Names, Statements, TableColumn, TableShape

Connection = psycopg.Connection[Any]


def prepare(connection: Connection, names: Names, view: View) -> tuple[TableShape, Statements]:
    """Make missing tables of *view*, remove what it no longer shows, and try the statements out.

    Raises:
        EditionOutdated: The table stands under a newer edition of the subscription.
        ConfigurationError: A column's type would change what the view delivers.
        psycopg.Error: A right, a key or a column is missing.
    """
    with connection.transaction():
        if not _is_complete(connection, names, view) or is_behind(
            applied_view.of(connection, names), view
        ):
            connection.execute(statements.LOCK_SCHEMA, (names.schema,))
            _make(connection, names, view)
            applied_view.stand(connection, names, view, shape(connection, names))
            indexes.make(connection, names, view, shape(connection, names))
        suppression.note(connection, names, view)
    return fit(connection, names, view)


def fit(connection: Connection, names: Names, view: View) -> tuple[TableShape, Statements]:
    """The shape of a table that is there; its statements are tried out.

    Raises as :func:`prepare`.
    """
    found = shape(connection, names)
    wrong = statements.misfits(view, found)
    if wrong:
        raise ConfigurationError(
            "columns of the table have a type that would change what is delivered",
            table=names.table,
            columns=", ".join(f"{name} {found[name].type}" for name in wrong),
        )
    sql = statements.for_view(names, view, found)
    connection.execute(sql.probe)
    return found, sql


def shape(connection: Connection, names: Names) -> TableShape:
    """The table's columns now; empty if there is no such table."""
    return _columns(connection, names.table)


@dataclass(frozen=True, slots=True)
class MissingTable:
    """A table that does not exist."""

    table: str
    has_positions: bool  # whether the store says nevertheless that its lanes were delivered to


def missing_table(connection: Connection, names: Names) -> MissingTable | None:
    """Which of the stream's table and the positions' table is missing; None if neither."""
    if not _columns(connection, names.position):
        return MissingTable(names.position, has_positions=False)
    if _columns(connection, names.table):
        return None
    row = connection.execute(
        f"SELECT EXISTS (SELECT FROM {names.position} WHERE stream = $1)", (names.stream,)
    ).fetchone()
    return MissingTable(names.table, has_positions=row == (True,))


def differs(view: View, before: TableShape, now: TableShape) -> bool:
    """Whether the table changed in columns that the view writes, or has new constraints."""
    return any(before.get(name) != now.get(name) for name in view.schema.names) or any(
        column.is_demanded and name not in before for name, column in now.items()
    )


def _columns(connection: Connection, table: str) -> TableShape:
    rows = connection.execute(statements.TABLE_COLUMNS, (table,)).fetchall()
    return {name: TableColumn(*rest) for name, *rest in rows}


def _is_complete(connection: Connection, names: Names, view: View) -> bool:
    wanted, found = {*view.schema.names, *statements.own_columns(view)}, shape(connection, names)
    return (
        wanted <= found.keys()
        and all(_columns(connection, table) for table in (names.position, names.views))
        and not _lacking(connection, names, view)
        and not indexes.missing(connection, names, view, found)
    )


def _lacking(connection: Connection, names: Names, view: View) -> list[str]:
    """The SQL that completes the tables for protections."""
    statements = []
    for table, ways in suppression.tables_of(names, view).items():
        columns = _columns(connection, table)
        is_lacking = [way for lacks, way in ways.items() if lacks and lacks not in columns]
        statements += is_lacking if columns else [ways[""]]
    return statements


def _make(connection: Connection, names: Names, view: View) -> None:
    """Make what is missing, under a lock; whoever waited for it finds it made."""
    has_schema = connection.execute(statements.HAS_SCHEMA, (names.schema,)).fetchone()
    if has_schema != (True,):
        connection.execute(statements.make_schema(names))
    if not _columns(connection, names.position):
        connection.execute(statements.make_positions(names))
    if not _columns(connection, names.views):
        connection.execute(statements.make_views(names))
    for making in _lacking(connection, names, view):
        connection.execute(making)
    found = shape(connection, names)
    add, make = statements.add_columns, statements.make_table
    for statement in add(names, view, found) if found else make(names, view):
        connection.execute(statement)
