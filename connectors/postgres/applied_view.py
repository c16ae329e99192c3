"""A table's applied view (``renkei_view``), and what the table gives up when that changes.

A view is changed in one transaction: the table is locked against writers, what the new view does
not show is taken away, and the new view is noted. A crash leaves the old values with the old
view, or neither. Readers are not held up, and see the one or the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import psycopg

from bus.connect import STAGING, AppliedView, Retraction, is_behind, retraction
from bus.errors import ConfigurationError
from bus.model import View
from connectors.postgres.believing import cut, question, rows
from connectors.postgres.statements import Names, TableShape, identifier, misfits, type_of

Connection = psycopg.Connection[Any]


def of(connection: Connection, names: Names) -> AppliedView | None:
    """The table's applied view; None if none was noted.

    Raises:
        ConfigurationError: Somebody else said it: what is compared with is another.
    """
    if not _is_there(connection, names.views):
        return None
    asked = question(
        ["stands", cut("fingerprint")], f"{names.views} WHERE stream = $1", "fingerprint"
    )
    noted = rows(connection, asked, (names.stream,), table=names.views)
    if not noted:
        return None
    (stands, fingerprint) = noted[0]
    found = AppliedView.read(stands)
    if found.fingerprint != fingerprint:
        raise ConfigurationError("what the store holds of its view is not what the bus noted")
    return found


def stand(connection: Connection, names: Names, view: View, shape: TableShape) -> None:
    """Note *view* as the applied view of the table of *shape*; inside the caller's transaction.

    Raises:
        EditionOutdated: The table stands under a newer edition.
    """
    before = of(connection, names)
    if not is_behind(before, view):
        return
    lock(connection, names)
    gone = retraction(before, view) if before is not None else _unsaid(view, shape)
    _take(connection, names, gone, shape)
    is_empty = gone.everything or (before is not None and not before.columns)
    emptied = shape.keys() if is_empty else gone.columns
    _retype(connection, names, view, emptied, shape)
    if before is not None and before.fingerprint != view.fingerprint:
        forget_staging(connection, names)
    note(connection, names, AppliedView.of(view))


def lock(connection: Connection, names: Names) -> None:
    """Lock the table against writers until the transaction ends; readers are let in."""
    connection.execute(f"LOCK TABLE {names.table} IN SHARE ROW EXCLUSIVE MODE")


def note(connection: Connection, names: Names, standing: AppliedView) -> None:
    """Note the table's applied view."""
    connection.execute(
        f"""\
INSERT INTO {names.views} AS stored (stream, fingerprint, edition, stands, since)
VALUES ($1, $2, $3, $4::jsonb, clock_timestamp())
ON CONFLICT (stream) DO UPDATE SET fingerprint = excluded.fingerprint,
  edition = excluded.edition, stands = excluded.stands, since = excluded.since""",
        (names.stream, standing.fingerprint, standing.edition, standing.text),
    )


def withdraw(
    connection: Connection, schema: str, prefix: str, granted: Collection[str], edition: int
) -> list[str]:
    """Remove what the schema holds of streams that are not *granted*; the names of those.

    A stream that somebody granted in a newer edition is left alone.
    """
    own = Names.of("renkei_view", schema, prefix)
    if not _is_there(connection, own.views):
        return []
    asked = question(
        [cut("stream")], f"{own.views} WHERE edition <= $1 AND fingerprint <> ''", "stream"
    )
    noted = rows(connection, asked, (edition,), table=own.views)
    held = [stream for (stream,) in noted if not stream.endswith(STAGING)]
    return [
        stream
        for stream in held
        if stream not in granted
        and _withdrawn(connection, Names.of(stream, schema, prefix), edition)
    ]


def forget_staging(connection: Connection, names: Names) -> None:
    """Drop the staging table."""
    beside = names.beside
    connection.execute(f"DROP TABLE IF EXISTS {beside.table}")
    for table in (names.position, names.views):
        connection.execute(f"DELETE FROM {table} WHERE stream = $1", (beside.stream,))


def _withdrawn(connection: Connection, names: Names, edition: int) -> bool:
    with connection.transaction():
        if _is_there(connection, names.table):
            lock(connection, names)
        before = of(connection, names)
        if before is None or before.edition > edition:
            return False
        forget_staging(connection, names)
        if _is_there(connection, names.table):
            connection.execute(f"DELETE FROM {names.table}")
        connection.execute(f"DELETE FROM {names.position} WHERE stream = $1", (names.stream,))
        note(connection, names, AppliedView.nothing(edition))
    return True


def _unsaid(view: View, shape: TableShape) -> Retraction:
    """The columns that the sink made and the view lacks, of a table without an applied view."""
    names = set(view.schema.names)
    return Retraction(tuple(n for n, column in shape.items() if column.is_ours and n not in names))


def _take(connection: Connection, names: Names, gone: Retraction, shape: TableShape) -> None:
    if gone.everything:
        connection.execute(f"DELETE FROM {names.table}")
        connection.execute(f"DELETE FROM {names.position} WHERE stream = $1", (names.stream,))
        return
    if gone.event_types:
        connection.execute(
            f"DELETE FROM {names.table} WHERE event_type = ANY($1::text[])",
            (sorted(gone.event_types),),
        )
    columns = [identifier(name) for name in gone.columns if name in shape]
    if columns:
        connection.execute(
            f"UPDATE {names.table} SET {_each(columns, '= NULL', ', ')}"
            f" WHERE {_each(columns, 'IS NOT NULL', ' OR ')}"
        )


def _retype(
    connection: Connection,
    names: Names,
    view: View,
    emptied: Collection[str],
    shape: TableShape,
) -> None:
    """Give the sink's own columns, once emptied, the type of their new mask."""
    unfit = set(misfits(view, shape))
    for column in view.columns:
        if column.name in unfit and column.name in emptied and shape[column.name].is_ours:
            kind = type_of(column)
            connection.execute(
                f"ALTER TABLE {names.table} ALTER COLUMN {identifier(column.name)}"
                f" TYPE {kind} USING NULL::{kind}"
            )


def _each(columns: Iterable[str], what: str, between: str) -> str:
    return between.join(f"{column} {what}" for column in columns)


def _is_there(connection: Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass($1) IS NOT NULL", (table,)).fetchone()
    return row == (True,)
