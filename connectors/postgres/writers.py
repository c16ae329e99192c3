"""The two ways of a batch into its table: a few rows as JSON, many as columns.

Both do the same in one transaction: move the position if it is where the batch starts, then write
the rows. Below some fifty rows a prepared statement over one JSON parameter costs least (0.2 ms of
processor for one row of 36 columns); above, COPY into a temporary table and one upsert from there.
Each way has a driver and a connection of its own; a batch uses one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.types.numeric import Int4, Int8

from bus.model import Keeping, ViewBatch
from connectors.postgres.statements import APPLIED_AT, BEGIN, INBOX, SESSION, Statements

TIME = pa.timestamp("us", tz="UTC")
CANCEL_S = 3.0


class Writer(Protocol):
    """One connection that applies batches, one at a time, from one thread."""

    def transaction(self) -> Any:
        """A context: committed at its end, undone if anything is raised inside."""

    def move(self, batch: ViewBatch) -> datetime | None:
        """Move the lane; the server's time, or None if it is not at the batch's start."""

    def write(self, batch: ViewBatch) -> None:
        """Write the rows, or erase."""

    def rows(self) -> int:
        """How many rows the last committed transaction changed."""

    def interrupt(self) -> None:
        """Make the server give up the statement in hand; called from another thread."""

    def close(self) -> None:
        """Let go of the connection; safe on a broken one."""


class SmallWriter:
    """A few rows, or none, or an erasure: psycopg, two round trips, prepared statements."""

    def __init__(self, connection: psycopg.Connection[Any], statements: Statements) -> None:
        self._sql = statements
        self.connection = connection
        self._pipeline: psycopg.Pipeline | None = None
        self._written: psycopg.Cursor[Any] | None = None
        self._moved_at: datetime | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            with self.connection.pipeline() as self._pipeline:
                self.connection.execute(BEGIN)
                yield
                self.connection.execute("COMMIT")
        except BaseException:
            self.connection.rollback()
            raise

    def move(self, batch: ViewBatch) -> datetime | None:
        assert self._pipeline is not None
        end = batch.end
        cursor = self.connection.execute(
            self._sql.move,
            (
                batch.view.stream, Int4(batch.partition), end.cluster_id, end.topic,
                Int8(end.offset), end.last_event_id, receipt_json(batch), Int8(batch.start),
            ),
            prepare=True,
        )  # fmt: skip
        self._pipeline.sync()
        moved = cursor.fetchone()
        self._moved_at = moved[0] if moved else None
        return self._moved_at

    def write(self, batch: ViewBatch) -> None:
        self._written = None
        if batch.erased:
            if batch.view.keeping is Keeping.STATE:
                keys = [key.split("/", 1) for key in batch.erased if "/" in key]
                keys = [key for key in keys if "\x00" not in "".join(key)]  # in no table
                columns = ([key[0] for key in keys], [key[1] for key in keys])
                self._written = self.connection.execute(self._sql.erase, columns)
        elif batch.records.num_rows:
            parameters = (json_rows(newest(batch)), self._moved_at)
            self._written = self.connection.execute(self._sql.write_json, parameters, prepare=True)

    def rows(self) -> int:
        return self._written.rowcount if self._written else 0

    def interrupt(self) -> None:
        self.connection.cancel_safe(timeout=CANCEL_S)

    def close(self) -> None:
        self.connection.close()


class BulkWriter:
    """Many rows: ADBC, COPY of the batch's columns into a temporary table, one upsert."""

    def __init__(self, conninfo: str, statements: Statements) -> None:
        self._sql = statements
        self._rows = 0
        self._moved_at: datetime | None = None
        with ExitStack() as stack:
            # autocommit: the driver would otherwise begin the next transaction at each commit,
            # and the session would stand in it until the next batch.
            connection = stack.enter_context(adbc.connect(conninfo, autocommit=True))
            self._cursor = stack.enter_context(connection.cursor())
            for statement in (*SESSION.split(";"), self._sql.make_inbox):
                self._cursor.execute(statement)
            self._open = stack.pop_all()  # closes the cursor first: the driver insists on it

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._cursor.execute(BEGIN)
        try:
            yield
            self._cursor.execute("COMMIT")
        except BaseException:
            self._cursor.execute("ROLLBACK")
            raise

    def move(self, batch: ViewBatch) -> datetime | None:
        end = batch.end
        parameters = {
            "stream": pa.array([batch.view.stream]),
            "partition": pa.array([batch.partition], pa.int32()),
            "cluster_id": pa.array([end.cluster_id]),
            "topic": pa.array([end.topic]),
            "end": pa.array([end.offset], pa.int64()),
            "last_event_id": pa.array([end.last_event_id], pa.string()),
            "receipt": pa.array([receipt_json(batch)]),
            "start": pa.array([batch.start], pa.int64()),
        }
        self._cursor.execute(self._sql.move, pa.record_batch(parameters))
        moved = self._cursor.fetchone()
        self._moved_at = moved[0] if moved else None
        return self._moved_at

    def write(self, batch: ViewBatch) -> None:
        records = newest(batch)
        moved_at = pa.repeat(pa.scalar(self._moved_at, TIME), records.num_rows)
        records = records.append_column(APPLIED_AT, moved_at)
        self._cursor.adbc_ingest(INBOX, records, mode="append", temporary=True)
        self._cursor.execute(self._sql.write_inbox)
        self._rows = self._cursor.rowcount

    def rows(self) -> int:
        return self._rows

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


def receipt_json(batch: ViewBatch) -> str:
    """The batch's receipt as the position's row keeps it."""
    return json.dumps(asdict(batch.receipt))


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
    """The records with some columns as text."""
    for index, entry in enumerate(records.schema):
        if is_written(entry.type):
            text = records.column(index).cast(pa.string())
            records = records.set_column(index, entry.name, text)
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
