"""The staging table beside the one in use, and how it is merged (``renkei rebuild``).

The staging table is filled as any other, by the same statements, with positions of its own in
``renkei_position``. It is made like the table in use, constraints and indexes included, so that a
row which that would refuse is found while it is filled; and every right on it that somebody else
would have (by default privileges) is revoked before anybody could see it.

It takes the place of the table in use by being merged into it, in one transaction: rows that it
lacks are deleted, rows that differ are written over unless they are newer, and its positions become
the table's. Nothing of the table itself changes hands: rights, triggers, indexes, views on it and
columns of the system's own stay as they are. Readers see the old rows or the new ones.

An advisory lock, held by the session that fills, keeps a second process out. Whoever is done lets
go of it first and ends the session then: a server notices the end of a session a moment later. A
process that dies leaves a table that the next one takes up where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from bus.connect import AppliedView, LeftoverStaging, LockedTarget, Merged
from bus.errors import ConfigurationError, EventRefused, RebuildBusy, SinkUnavailable, StoreForged
from bus.failpoints import Point, passed
from bus.model import Checkpoint, Keeping, Protected, View
from connectors.postgres import applied_view, believing, suppression, tables
from connectors.postgres.faults import translated
from connectors.postgres.statements import (
    APPLIED_AT,
    LOCK_SCHEMA,
    Names,
    Statements,
    TableShape,
    identifier,
    positions,
    type_of,
)
from connectors.postgres.table import PostgresTable, checkpoints_of, one_by_one
from connectors.postgres.writers import SmallWriter, connect

ALONE = "SELECT pg_try_advisory_lock(hashtextextended('renkei rebuild:' || $1, 0))"
LEAVE = "SELECT pg_advisory_unlock_all()"

STRANGERS = """\
SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.oid = to_regclass($1) AND a.grantee <> c.relowner"""
"""Who else has any right on a table."""


class StagingTable(PostgresTable):
    """A sink that fills a table which nobody reads yet."""

    def _names(self, view: View) -> Names:
        return super()._names(view).beside

    def _insist_on_table(self, connection: tables.Connection, names: Names, view: View) -> None:
        """Check that the staging table is there: only a rebuild makes or drops it."""

    def _prepare(
        self, connection: tables.Connection, names: Names, view: View
    ) -> tuple[TableShape, Statements]:
        if view.keeping is not Keeping.STATE:
            raise ConfigurationError("a history is not rebuilt", stream=view.stream)
        live = super()._names(view)
        _be_alone(connection, live, view)
        try:
            with connection.transaction():
                connection.execute(LOCK_SCHEMA, (live.schema,))
                _insist(connection, live, view)
                before = applied_view.of(connection, names)
                if before is None or before.fingerprint != view.fingerprint:
                    applied_view.forget_staging(connection, live)
                    _make(connection, live, view)
                suppression.note(connection, names, view)
            return tables.fit(connection, names, view)
        except BaseException:
            _leave(connection)
            raise

    def _session(self) -> SmallWriter:
        """The session that has the lock; a new one has to take it again."""
        if self._small is None or self._small.connection.closed:
            raise SinkUnavailable("the staging table is to be opened anew")
        return super()._session()

    def _close(self) -> None:
        if self._small is not None:
            _leave(self._small.connection)
        super()._close()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[LockedTarget]:
        opened = self._need_open()
        held = await asyncio.to_thread(
            _LockedTable.of, self._conninfo_of(opened), super()._names(opened.view), opened.view
        )
        try:
            yield held
        finally:
            await asyncio.to_thread(held.let_go)

    async def drop(self) -> None:
        await self._run(self._drop)

    def _drop(self) -> None:
        opened = self._need_open()
        with translated(**_where(opened.view)):
            connection = self._session().connection
            with connection.transaction():
                applied_view.forget_staging(connection, super()._names(opened.view))

    async def left(self, view: View) -> LeftoverStaging | None:
        return await asyncio.to_thread(self._look, view, is_to_go=False)

    async def discard(self, view: View) -> LeftoverStaging | None:
        return await asyncio.to_thread(self._look, view, is_to_go=True)

    def _look(self, view: View, *, is_to_go: bool) -> LeftoverStaging | None:
        live = super()._names(view)
        with translated(**_where(view)):
            connection = connect(self._conninfo(view.system, view.stream), view)
            try:
                if is_to_go:
                    _be_alone(connection, live, view)
                found = _left(connection, live)
                if is_to_go and found is not None:
                    with connection.transaction():
                        connection.execute(LOCK_SCHEMA, (live.schema,))
                        applied_view.forget_staging(connection, live)
            finally:
                _leave(connection)
                connection.close()
        return found


class _LockedTable:
    """A session that locks the table in use against writers."""

    def __init__(self, connection: tables.Connection, live: Names, view: View) -> None:
        self._connection = connection
        self._live = live
        self._view = view
        self.checkpoints: Mapping[int, Checkpoint] = self._believable()

    def _hold(self) -> None:
        """Lock the positions of the table in use."""
        self._connection.execute(
            f"SELECT count(*) FROM (SELECT FROM {self._live.position} WHERE stream = $1"
            " ORDER BY partition FOR UPDATE) AS held",
            (self._live.stream,),
        )

    def _believable(self) -> dict[int, Checkpoint]:
        """As :meth:`_positions`, without those that are nothing that the bus wrote: a rebuild is
        the remedy for them."""
        self._hold()
        try:
            return self._positions()
        except StoreForged:
            found = one_by_one(self._connection, self._live)
            return {lane: held for lane, held in found.items() if held is not None}

    def _positions(self) -> dict[int, Checkpoint]:
        """The positions of the lanes of the table in use."""
        live = self._live
        asked = positions(live, "")
        rows = believing.rows(self._connection, asked, [live.stream], table=live.position)
        return checkpoints_of(rows)

    @classmethod
    def of(cls, conninfo: str, live: Names, view: View) -> _LockedTable:
        with translated(**_where(view)):
            connection = connect(conninfo, view)
            try:
                connection.execute("BEGIN")
                applied_view.lock(connection, live)
                _insist(connection, live, view)
                return cls(connection, live, view)
            except BaseException:
                connection.close()
                raise

    async def merge(self, settled: Collection[str], protected: Protected | None = None) -> Merged:
        try:
            return await asyncio.to_thread(self._merge, settled, protected)
        except EventRefused as error:
            raise ConfigurationError(
                "the table refuses what was filled for it; nothing has changed", **error.where
            ) from None

    def _merge(self, settled: Collection[str], protected: Protected | None) -> Merged:
        connection, live = self._connection, self._live
        with translated(**_where(self._view)):
            with connection.transaction():  # undone alone, if the store knows of newer coverage
                swapped = self._merged(settled)
                self._hold()
                held = self._positions()
                if protected is not None and held:
                    cluster_id = next(iter(held.values())).position.cluster_id
                    suppression.apply(connection, live, cluster_id, protected)
            passed(Point.SINK_MERGED)
            connection.execute("COMMIT")
        return swapped

    def _merged(self, settled: Collection[str]) -> Merged:
        """Put rows and positions in place of those in use."""
        connection, live = self._connection, self._live
        merge = _Merge(live, self._view, tables.shape(connection, live))
        keys = [key.split("/", 1) for key in settled if "/" in key and "\x00" not in key]
        parted = [k[0] for k in keys], [k[1] for k in keys]
        removed = connection.execute(merge.remove, parted).rowcount
        (kept,) = connection.execute(merge.kept).fetchone() or (0,)
        changed = connection.execute(merge.change).rowcount
        added = connection.execute(merge.add).rowcount
        for statement in merge.positions:
            connection.execute(statement, (live.stream, live.beside.stream))
        applied_view.forget_staging(connection, live)
        return Merged(changed=changed, added=added, removed=removed, kept=kept)

    def let_go(self) -> None:
        """End the session; what was not committed is rolled back."""
        self._connection.close()


class _Merge:
    """The SQL that puts the staging table's rows in place of those in use."""

    def __init__(self, live: Names, view: View, shape: TableShape) -> None:
        table, fresh = live.table, live.beside.table
        names = [identifier(column.name) for column in view.columns]
        values = [name for column, name in zip(view.columns, names, strict=True)
                  if column.name not in view.key]  # fmt: skip
        same = " AND ".join(f"f.{k} = l.{k}" for k in map(identifier, view.key))
        newer = "l.version > f.version"
        plain = {c.name for c in view.columns if shape[c.name].type == type_of(c)}
        compared = [c for c in view.columns if c.name not in view.key]

        def row(alias: str) -> str:  # not every type that reads a text can be compared
            return ", ".join(
                f"{alias}.{identifier(c.name)}{'' if c.name in plain else '::text'}"
                for c in compared
            )

        listed = ", ".join(names)
        lacked = f"NOT EXISTS (SELECT FROM {fresh} f WHERE {same})"
        self.remove = f"""\
DELETE FROM {table} l WHERE {lacked} AND NOT EXISTS (
  SELECT FROM unnest($1::text[], $2::text[]) AS settled (municipality_code, subject_id)
  WHERE settled.municipality_code = l.municipality_code AND settled.subject_id = l.subject_id)"""
        self.kept = (
            f"SELECT count(*) FROM {table} l LEFT JOIN {fresh} f ON {same}"
            f" WHERE f.version IS NULL OR {newer}"
        )
        sets = [*(f"{n} = f.{n}" for n in values), f"{APPLIED_AT} = clock_timestamp()"]
        self.change = (
            f"UPDATE {table} l SET {', '.join(sets)} FROM {fresh} f"
            f" WHERE {same} AND NOT {newer} AND ROW({row('l')}) IS DISTINCT FROM ROW({row('f')})"
        )
        self.add = (
            f"INSERT INTO {table} ({listed}, {APPLIED_AT})"
            f" SELECT {', '.join(f'f.{name}' for name in names)}, clock_timestamp()"
            f" FROM {fresh} f WHERE NOT EXISTS (SELECT FROM {table} l WHERE {same})"
        )
        self.positions = (
            f"DELETE FROM {live.position} WHERE stream = $1 AND $2::text <> ''",
            f"UPDATE {live.position} SET stream = $1 WHERE stream = $2",
        )


def _make(connection: tables.Connection, live: Names, view: View) -> None:
    """Make the staging table, which only the bus's role can read."""
    beside = live.beside
    connection.execute(f"CREATE TABLE {beside.table} (LIKE {live.table} INCLUDING ALL)")
    for (stranger,) in connection.execute(STRANGERS, (beside.table,)).fetchall():
        connection.execute(f"REVOKE ALL ON {beside.table} FROM {stranger}")
    applied_view.note(connection, beside, AppliedView.of(view))


def _be_alone(connection: tables.Connection, live: Names, view: View) -> None:
    """Lock the table's rebuild until the session ends."""
    alone = connection.execute(ALONE, (live.table,)).fetchone()
    if alone != (True,):
        raise RebuildBusy("another process rebuilds this table now", **_where(view))


def _leave(connection: tables.Connection) -> None:
    """Let go of the table's rebuild; safe on a broken connection, whose end does it."""
    with suppress(psycopg.Error):
        connection.execute(LEAVE)


def _left(connection: tables.Connection, live: Names) -> LeftoverStaging | None:
    """The staging table that is there, complete or not; None if there is none."""
    beside = live.beside
    is_noted, has_table = connection.execute(
        "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL,"
        " to_regclass($3) IS NOT NULL",
        (live.position, live.views, beside.table),
    ).fetchone() or (False, False)
    since, events, rows = None, 0, 0
    if is_noted:
        (since, events) = connection.execute(
            f"SELECT (SELECT since FROM {live.views} WHERE stream = $1),"
            f' coalesce((SELECT sum("offset") FROM {live.position} WHERE stream = $1), 0)::bigint',
            (beside.stream,),
        ).fetchone() or (None, 0)
    if has_table:
        (rows,) = connection.execute(f"SELECT count(*) FROM {beside.table}").fetchone() or (0,)
    return LeftoverStaging(rows, events, since) if has_table or since is not None else None


def _insist(connection: tables.Connection, live: Names, view: View) -> None:
    """Check that the table in use has the same applied view as the staging table."""
    now = applied_view.of(connection, live)
    if now is None or now.fingerprint != view.fingerprint:
        raise ConfigurationError(
            "the system's table does not stand under the view that is in force;"
            " have it delivered to first",
            **_where(view),
        )


def _where(view: View) -> dict[str, Any]:
    return {"system": view.system, "stream": view.stream}
