"""The two ways of a batch into its table: a few rows as JSON, many as columns.

Both do the same at once: move the position if it is where the batch starts, and write the rows.
Below some fifty rows one prepared statement with a JSON parameter costs least; above, COPY into a
temporary table and one upsert from there, in a transaction. Each way has a driver and a
connection of its own; a batch uses one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import fields
from datetime import datetime
from typing import Any, Protocol

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.types.numeric import Int4, Int8

from bus.errors import FenceBehind
from bus.model import Applied, Keeping, Receipt, ViewBatch
from bus.points import Point, passed
from connectors.postgres import finding, suppression
from connectors.postgres.statements import (
    APPLIED_AT,
    BEGIN,
    INBOX,
    MAKE_SAID,
    SAID,
    SESSION,
    Names,
    Statements,
)

TIME = pa.timestamp("us", tz="UTC")
CANCEL_S = 3.0
PROOF = "proof"  # beside what a receipt states
_RECEIPT = tuple(entry.name for entry in fields(Receipt))


class Writer(Protocol):
    """One connection that applies batches, one at a time, from one thread."""

    def apply(self, batch: ViewBatch) -> Applied | None:
        """Position, receipt, and rows or erasures, all or none; how many rows were changed.

        None if the lane is not where the batch starts: nothing was written.
        """

    def interrupt(self) -> None:
        """Make the server give up the statement in hand; called from another thread."""

    def close(self) -> None:
        """Let go of the connection; safe on a broken one."""


class SmallWriter:
    """A few rows or none, in one prepared statement, or an erasure: psycopg."""

    def __init__(
        self, connection: psycopg.Connection[Any], names: Names, statements: Statements
    ) -> None:
        self._names = names
        self._sql = statements
        self.connection = connection

    def apply(self, batch: ViewBatch) -> Applied | None:
        if batch.protected is not None or batch.restored or _erases(batch):
            return self._step_by_step(batch)
        if not batch.records.num_rows:
            moved_at = self._move(batch)
            return None if moved_at is None else Applied(0, moved_at)
        parameters = (*self._move_of(batch), json_rows(newest(batch)))
        if self._sql.guard is not None:
            parameters = (*parameters, masked_json(batch))
        moved_at, rows, is_let = self._one(self._sql.apply_rows, parameters) or (None, 0, True)
        if not is_let:
            raise behind(batch)
        return None if moved_at is None else Applied(rows, moved_at)

    def _step_by_step(self, batch: ViewBatch) -> Applied | None:
        """A protection, an erasure, or rows that are restored: in several statements, so that
        each sees what was written while the one before it waited."""
        connection, names = self.connection, self._names
        with connection.transaction():
            connection.execute(self._sql.lock)
            if batch.records.num_rows and self._sql.guard is not None:
                self._insist_on_fence(batch, self._sql.guard)
            moved_at = self._move(batch)
            if moved_at is None:
                return None
            if batch.protected is not None:
                suppression.apply(connection, names, batch.end.cluster_id, batch.protected)
            rows = self._written(batch, moved_at)
            if batch.restored:
                suppression.done(connection, names, batch.restored)
            return Applied(rows, moved_at)

    def _insist_on_fence(self, batch: ViewBatch, guard: str) -> None:
        if self._one(guard, (batch.end.cluster_id, masked_json(batch))) is None:
            raise behind(batch)

    def _written(self, batch: ViewBatch, moved_at: datetime) -> int:
        if batch.protected is not None:
            return self._said(batch, moved_at)
        if _erases(batch):
            return self.connection.execute(self._sql.erase, _keys_of(batch)).rowcount
        statement, records = self._sql.write_rows, newest(batch)
        if batch.restored:
            statement, records = self._sql.rewrite_rows, batch.records
        return self.connection.execute(statement, (json_rows(records), moved_at)).rowcount

    def _said(self, batch: ViewBatch, moved_at: datetime) -> int:
        """Rows or erasures of the protection stream, of which no log shall have anything."""
        connection, names = self.connection, self._names
        if _erases(batch):
            keys = zip(*_keys_of(batch), strict=True)
            finding.note(connection, {names.table: keys})
            erased = connection.execute(self._sql.erase_found, (names.table,)).rowcount
            finding.forget(connection)
            return erased
        if not batch.records.num_rows:
            return 0
        connection.execute(MAKE_SAID)
        with connection.cursor().copy(f"COPY {SAID} FROM STDIN") as copy:
            copy.write_row((json_rows(newest(batch)),))
        return connection.execute(self._sql.write_said, (moved_at,)).rowcount

    def _move(self, batch: ViewBatch) -> datetime | None:
        moved = self._one(self._sql.move, self._move_of(batch))
        return moved[0] if moved else None

    def _move_of(self, batch: ViewBatch) -> tuple[object, ...]:
        """The parameters of the move."""
        end = batch.end
        return (
            self._sql.stream, Int4(batch.partition), end.cluster_id, end.topic, Int8(end.offset),
            end.last_event_id, receipt_json(batch), Int8(batch.start), batch.view.fingerprint,
        )  # fmt: skip

    def _one(self, statement: str, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        return self.connection.execute(statement, parameters, prepare=True).fetchone()

    def interrupt(self) -> None:
        self.connection.cancel_safe(timeout=CANCEL_S)

    def close(self) -> None:
        self.connection.close()


class BulkWriter:
    """Many rows: ADBC, COPY of the batch's columns into a temporary table, one upsert."""

    def __init__(self, conninfo: str, statements: Statements) -> None:
        self._sql = statements
        with ExitStack() as stack:
            # autocommit: the driver would otherwise begin the next transaction at each commit,
            # and the session would stand in it until the next batch.
            connection = stack.enter_context(adbc.connect(conninfo, autocommit=True))
            self._cursor = stack.enter_context(connection.cursor())
            for statement in (*SESSION.split(";"), self._sql.make_inbox):
                self._cursor.execute(statement)
            self._open = stack.pop_all()  # closes the cursor first: the driver insists on it

    def apply(self, batch: ViewBatch) -> Applied | None:
        self._cursor.execute(BEGIN)
        try:
            self._cursor.execute(self._sql.lock)
            if self._sql.guard is not None:
                self._insist_on_fence(batch, self._sql.guard)
            moved_at = self._move(batch)
            if moved_at is None:
                self._cursor.execute("ROLLBACK")
                return None
            passed(Point.SINK_MOVED)
            rows = self._write(batch, moved_at)
            passed(Point.SINK_WRITTEN)
            self._cursor.execute("COMMIT")
        except BaseException:
            self._cursor.execute("ROLLBACK")
            raise
        return Applied(rows, moved_at)

    def _insist_on_fence(self, batch: ViewBatch, guard: str) -> None:
        parameters = {
            "cluster_id": pa.array([batch.end.cluster_id]),
            "masked_under": pa.array([masked_json(batch)]),
        }
        self._cursor.execute(guard, pa.record_batch(parameters))
        if self._cursor.fetchone() is None:
            raise behind(batch)

    def _move(self, batch: ViewBatch) -> datetime | None:
        end = batch.end
        parameters = {
            "stream": pa.array([self._sql.stream]),
            "partition": pa.array([batch.partition], pa.int32()),
            "cluster_id": pa.array([end.cluster_id]),
            "topic": pa.array([end.topic]),
            "end": pa.array([end.offset], pa.int64()),
            "last_event_id": pa.array([end.last_event_id], pa.string()),
            "receipt": pa.array([receipt_json(batch)]),
            "start": pa.array([batch.start], pa.int64()),
            "view": pa.array([batch.view.fingerprint]),
        }
        self._cursor.execute(self._sql.move, pa.record_batch(parameters))
        moved = self._cursor.fetchone()
        return moved[0] if moved else None

    def _write(self, batch: ViewBatch, moved_at: datetime) -> int:
        records = newest(batch)
        times = pa.repeat(pa.scalar(moved_at, TIME), records.num_rows)
        records = records.append_column(APPLIED_AT, times)
        self._cursor.adbc_ingest(INBOX, records, mode="append", temporary=True)
        self._cursor.execute(self._sql.write_inbox)
        return int(self._cursor.rowcount)

    def interrupt(self) -> None:
        self._cursor.adbc_cancel()

    def close(self) -> None:
        with suppress(adbc_driver_manager.Error):
            self._open.close()


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """A session that commits each statement by itself and takes ``$n`` placeholders."""
    connection = psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.RawCursor)
    try:
        connection.execute(SESSION)
    except BaseException:
        connection.close()
        raise
    return connection


def _erases(batch: ViewBatch) -> bool:
    """Whether rows go; a history stays what it was."""
    return bool(batch.erased) and batch.view.keeping is Keeping.STATE


def _keys_of(batch: ViewBatch) -> tuple[list[str], list[str]]:
    """Municipalities and numbers of the erased subjects, side by side."""
    keys = [key.split("/", 1) for key in batch.erased if "/" in key]
    keys = [key for key in keys if "\x00" not in "".join(key)]  # in no table
    return [key[0] for key in keys], [key[1] for key in keys]


def masked_json(batch: ViewBatch) -> str:
    """How far the logs were known that the batch was masked under; without any it knows of none."""
    return json.dumps(dict(batch.masked_under or {}))


def behind(batch: ViewBatch) -> FenceBehind:
    """What is said of a batch that was masked under too little."""
    return FenceBehind(
        "the store knows of a newer protection than the batch was masked under",
        system=batch.view.system,
        stream=batch.view.stream,
        partition=batch.partition,
    )


def receipt_json(batch: ViewBatch) -> str:
    """The batch's receipt as the position's row keeps it, and its proof beside it."""
    receipt = {name: getattr(batch.receipt, name) for name in _RECEIPT}
    return json.dumps(receipt if batch.proof is None else {**receipt, PROOF: batch.proof})


def json_rows(records: pa.RecordBatch) -> str:
    """The rows as one JSON array. Days and times are written in ISO 8601, floating numbers as
    text: PostgreSQL reads them without loss, and says itself what it does not take."""
    try:
        return _JSON.encode(_with_text(records, pa.types.is_floating).to_pylist())
    except (OverflowError, ValueError):  # a day that Python has not; Arrow can write it
        temporal = _with_text(records, pa.types.is_temporal)
        return _JSON.encode(_with_text(temporal, pa.types.is_floating).to_pylist())


def _with_text(
    records: pa.RecordBatch, is_written: Callable[[pa.DataType], bool]
) -> pa.RecordBatch:
    """The records with some columns, or what is in their lists, as text."""
    for index, kind in enumerate(records.schema.types):
        is_list = isinstance(kind, pa.ListType)
        if is_written(kind.value_type if isinstance(kind, pa.ListType) else kind):
            text = records.column(index).cast(pa.list_(pa.string()) if is_list else pa.string())
            records = records.set_column(index, records.schema.names[index], text)
    return records


_JSON = json.JSONEncoder(ensure_ascii=False, default=lambda moment: moment.isoformat())


def newest(batch: ViewBatch) -> pa.RecordBatch:
    """The batch's rows; of several versions of one subject only the newest, the first of equals.

    One statement may not touch a row twice. Most batches hold no subject twice, and that is seen
    in a fifth of a millisecond for 10,000 rows.
    """
    records = batch.records
    if batch.view.keeping is Keeping.HISTORY or records.num_rows < 2:
        return records
    if len(records.column("subject_id").unique()) == records.num_rows:
        return records
    # version and place in one number: the greatest has the highest version, and stands first
    place = pa.array(range(records.num_rows - 1, -1, -1), pa.int64())
    rank = pc.add(pc.multiply(records.column("version").cast(pa.int64()), 1 << 31), place)
    keys = {name: records.column(name) for name in batch.view.key}
    best = pa.table({**keys, "rank": rank}).group_by(list(keys)).aggregate([("rank", "max")])
    if best.num_rows == records.num_rows:
        return records
    places = pc.bit_wise_and(best.column("rank_max"), (1 << 31) - 1)
    kept = pc.subtract(records.num_rows - 1, places).combine_chunks()
    return records.take(kept.take(pc.sort_indices(kept)))
