"""The two ways to write a delivery: a few rows as JSON, many as columns.

Both do the same at once: move the position if it is where the delivery starts, and write the rows.
Below some fifty rows one prepared statement with a JSON parameter costs least; above, COPY into a
temporary table and one upsert from there, in a transaction. Each way has a driver and a
connection of its own; a delivery uses one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import fields
from datetime import datetime
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.types.numeric import Int4, Int8

from bus.errors import FenceBehind, StoreForged
from bus.failpoints import Point, passed
from bus.model import (
    Applied,
    Delivery,
    Erasures,
    Keeping,
    ProtectionChange,
    Receipt,
    Rewrites,
    Upserts,
    View,
    content_of,
)
from connectors.postgres import finding, line, serverlog, suppression
from connectors.postgres.session import Session
from connectors.postgres.statements import (
    APPLIED_AT,
    BEGIN,
    INBOX,
    MAKE_SAID,
    SAID,
    SESSION,
    UNTRUE,
    Names,
    Statements,
)

TIME = pa.timestamp("us", tz="UTC")
CANCEL_S = 3.0
PROOF = "proof"  # beside what a receipt states
_RECEIPT = tuple(entry.name for entry in fields(Receipt))


class SmallWriter:
    """Writes a few rows, none, or an erasure in one prepared statement, with psycopg."""

    def __init__(
        self, connection: psycopg.Connection[Any], names: Names, statements: Statements
    ) -> None:
        self._names = names
        self._sql = statements
        self.connection = connection

    def apply(self, delivery: Delivery) -> Applied | None:
        """Position, receipt, and what is delivered, all or none; how many rows were changed.

        None if the lane is not where the delivery starts: nothing was written.
        """
        match delivery:
            case Upserts() if delivery.records.num_rows:
                return self._write_at_once(delivery)
            case ProtectionChange() | Rewrites():
                return self._step_by_step(delivery)
            case Erasures() if delivery.view.keeping is Keeping.STATE:
                return self._step_by_step(delivery)
            case _:  # no row, or an erasure from a history, which stays what it was
                moved_at = self._move(delivery)
                return None if moved_at is None else Applied(0, moved_at)

    def _write_at_once(self, upserts: Upserts) -> Applied | None:
        parameters = (*self._move_of(upserts), json_rows(newest(upserts)))
        if self._sql.guard is not None:
            parameters = (*parameters, masked_json(upserts))
        moved_at, rows, is_let = self._one(self._sql.apply_rows, parameters) or (None, 0, True)
        if not is_let:
            raise behind(upserts)
        return None if moved_at is None else Applied(rows, _true(moved_at, upserts))

    def _step_by_step(self, delivery: ProtectionChange | Rewrites | Erasures) -> Applied | None:
        """Write a protection, an erasure or rewrites in several statements.

        Each then sees what was written while the one before it waited.
        """
        connection, names = self.connection, self._names
        with connection.transaction():
            connection.execute(self._sql.lock)
            self._insist_on_fence(delivery)
            moved_at = self._move(delivery)
            if moved_at is None:
                return None
            match delivery:
                case ProtectionChange(protected=protected, brought_by=content):
                    suppression.apply(connection, names, delivery.end.cluster_id, protected)
                    rows = self._said(content, moved_at)
                case Rewrites():
                    rows = self._rewritten(delivery, moved_at)
                case Erasures():
                    keys = _keys_of(delivery)
                    rows = connection.execute(self._sql.erase, keys).rowcount
            return Applied(rows, moved_at)

    def _insist_on_fence(self, delivery: Delivery) -> None:
        content = content_of(delivery)
        if self._sql.guard is None or isinstance(content, Erasures):
            return
        parameters = (content.end.cluster_id, masked_json(content))
        if content.records.num_rows and self._one(self._sql.guard, parameters) is None:
            raise behind(content)

    def _rewritten(self, rewrites: Rewrites, moved_at: datetime) -> int:
        parameters = (json_rows(rewrites.records), moved_at)
        rows = self.connection.execute(self._sql.rewrite_rows, parameters).rowcount
        suppression.done(self.connection, self._names, rewrites.keys)
        return rows

    def _said(self, content: Upserts | Erasures, moved_at: datetime) -> int:
        """Write rows or erasures of the protection stream in a way that no log shows."""
        connection, names = self.connection, self._names
        if isinstance(content, Erasures):
            keys = zip(*_keys_of(content), strict=True)
            finding.note(connection, {names.table: keys})
            return connection.execute(self._sql.erase_found, (names.table,)).rowcount
        if not content.records.num_rows:
            return 0
        connection.execute(MAKE_SAID)
        with connection.cursor().copy(f"COPY {SAID} FROM STDIN") as copy:
            copy.write_row((json_rows(newest(content)),))
        return connection.execute(self._sql.write_said, (moved_at,)).rowcount

    def _move(self, delivery: Delivery) -> datetime | None:
        moved = self._one(self._sql.move, self._move_of(delivery))
        return _true(moved[0], delivery) if moved else None

    def _move_of(self, delivery: Delivery) -> tuple[object, ...]:
        """The parameters of the statement that moves the position."""
        end = delivery.end
        return (
            self._sql.stream, Int4(delivery.partition), end.cluster_id, end.topic,
            Int8(end.offset), end.last_event_id, receipt_json(delivery), Int8(delivery.start),
            delivery.view.fingerprint,
        )  # fmt: skip

    def _one(self, statement: str, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        return self.connection.execute(statement, parameters, prepare=True).fetchone()

    def interrupt(self) -> None:
        """Have the server cancel the statement in hand; called from another thread."""
        self.connection.cancel_safe(timeout=CANCEL_S)

    def close(self) -> None:
        """Close the connection; safe on a broken one."""
        self.connection.close()


class BulkWriter:
    """Writes many rows with ADBC: COPY of columns into a temporary table, and one upsert."""

    def __init__(self, conninfo: str, statements: Statements, view: View) -> None:
        self._sql = statements
        with ExitStack() as stack:
            # autocommit: the driver would otherwise begin the next transaction at each commit,
            # and the session would stand in it until the next upserts.
            connection = stack.enter_context(adbc.connect(conninfo, autocommit=True))
            self._cursor = stack.enter_context(connection.cursor())
            _insist(self._cursor, view)
            for statement in (*SESSION.split(";"), self._sql.make_inbox):
                self._cursor.execute(statement)
            self._open = stack.pop_all()  # closes the cursor first: the driver insists on it

    def apply(self, upserts: Upserts) -> Applied | None:
        """As :meth:`SmallWriter.apply`."""
        self._cursor.execute(BEGIN)
        try:
            self._cursor.execute(self._sql.lock)
            if self._sql.guard is not None:
                self._insist_on_fence(upserts, self._sql.guard)
            moved_at = self._move(upserts)
            if moved_at is None:
                self._cursor.execute("ROLLBACK")
                return None
            passed(Point.SINK_MOVED)
            rows = self._write(upserts, moved_at)
            passed(Point.SINK_WRITTEN)
            self._cursor.execute("COMMIT")
        except BaseException:
            self._cursor.execute("ROLLBACK")
            raise
        return Applied(rows, moved_at)

    def _insist_on_fence(self, upserts: Upserts, guard: str) -> None:
        parameters = {
            "cluster_id": pa.array([upserts.end.cluster_id]),
            "masked_under": pa.array([masked_json(upserts)]),
        }
        self._cursor.execute(guard, pa.record_batch(parameters))
        if self._cursor.fetchone() is None:
            raise behind(upserts)

    def _move(self, upserts: Upserts) -> datetime | None:
        end = upserts.end
        parameters = {
            "stream": pa.array([self._sql.stream]),
            "partition": pa.array([upserts.partition], pa.int32()),
            "cluster_id": pa.array([end.cluster_id]),
            "topic": pa.array([end.topic]),
            "end": pa.array([end.offset], pa.int64()),
            "last_event_id": pa.array([end.last_event_id], pa.string()),
            "receipt": pa.array([receipt_json(upserts)]),
            "start": pa.array([upserts.start], pa.int64()),
            "view": pa.array([upserts.view.fingerprint]),
        }
        self._cursor.execute(self._sql.move, pa.record_batch(parameters))
        moved = self._cursor.fetchone()
        return _true(moved[0], upserts) if moved else None

    def _write(self, upserts: Upserts, moved_at: datetime) -> int:
        records = newest(upserts)
        times = pa.repeat(pa.scalar(moved_at, TIME), records.num_rows)
        records = records.append_column(APPLIED_AT, times)
        self._cursor.adbc_ingest(INBOX, records, mode="append", temporary=True)
        self._cursor.execute(self._sql.write_inbox)
        return int(self._cursor.rowcount)

    def interrupt(self) -> None:
        """As :meth:`SmallWriter.interrupt`."""
        self._cursor.adbc_cancel()

    def close(self) -> None:
        """Close the connection; safe on a broken one."""
        with suppress(adbc_driver_manager.Error):
            self._open.close()


def connect(conninfo: str, view: View | None = None) -> psycopg.Connection[Any]:
    """A session that commits each statement by itself and takes ``$n`` placeholders.

    Args:
        conninfo: Where to.
        view: What may go over it; None: nothing of any view.

    Raises:
        ConfigurationError: The view is restricted, and somebody could read along.
    """
    connection = psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.RawCursor)
    try:
        connection.execute(SESSION)
        if view is not None:
            _insist(connection, view)
    except BaseException:
        connection.close()
        raise
    return connection


def _insist(session: Session, view: View) -> None:
    """Each session is asked, for a lost line may come back by another way."""
    line.insist_on_encryption(session, view)
    serverlog.insist_on_silence(session, view)


def _true(moved_at: datetime, delivery: Delivery) -> datetime:
    """The time of applying, if the table has stored it."""
    if moved_at == UNTRUE:
        raise StoreForged(
            "the bus's own table in the store says another time than was written; see its triggers",
            system=delivery.view.system,
            stream=delivery.view.stream,
            partition=delivery.partition,
        )
    return moved_at


def _keys_of(erasures: Erasures) -> tuple[list[str], list[str]]:
    """The municipalities and the numbers of the erased subjects, as two lists."""
    keys = [key.split("/", 1) for key in erasures.keys if "/" in key]
    keys = [key for key in keys if "\x00" not in "".join(key)]  # in no table
    return [key[0] for key in keys], [key[1] for key in keys]


def masked_json(content: Upserts | Rewrites) -> str:
    """The offsets as of which rows were masked, as JSON; empty for rows that were not."""
    return json.dumps(dict(content.masked_under or {}))


def behind(delivery: Delivery) -> FenceBehind:
    """The error for rows that were masked under older coverage."""
    return FenceBehind(
        "the store knows of a newer protection than the rows were masked under",
        system=delivery.view.system,
        stream=delivery.view.stream,
        partition=delivery.partition,
    )


def receipt_json(delivery: Delivery) -> str:
    """The receipt as the row of the position keeps it, with its proof."""
    step = delivery.step
    receipt = {name: getattr(step.receipt, name) for name in _RECEIPT}
    return json.dumps(receipt if step.proof is None else {**receipt, PROOF: step.proof})


def json_rows(records: pa.RecordBatch) -> str:
    """The rows as one JSON array.

    Days and times are ISO 8601 and floating numbers are texts, which PostgreSQL reads without loss
    and judges itself.
    """
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


def newest(upserts: Upserts) -> pa.RecordBatch:
    """The rows; of several versions of one subject only the newest, the first of equals.

    One statement may not touch a row twice. Most batches hold no subject twice, and that is seen
    in a fifth of a millisecond for 10,000 rows.
    """
    records = upserts.records
    if upserts.view.keeping is Keeping.HISTORY or records.num_rows < 2:
        return records
    if len(records.column("subject_id").unique()) == records.num_rows:
        return records
    # version and place in one number: the greatest has the highest version, and stands first
    place = pa.array(range(records.num_rows - 1, -1, -1), pa.int64())
    rank = pc.add(pc.multiply(records.column("version").cast(pa.int64()), 1 << 31), place)
    keys = {name: records.column(name) for name in upserts.view.key}
    best = pa.table({**keys, "rank": rank}).group_by(list(keys)).aggregate([("rank", "max")])
    if best.num_rows == records.num_rows:
        return records
    places = pc.bit_wise_and(best.column("rank_max"), (1 << 31) - 1)
    kept = pc.subtract(records.num_rows - 1, places).combine_chunks()
    return records.take(kept.take(pc.sort_indices(kept)))
