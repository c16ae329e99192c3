"""Write what a view delivers into PostgreSQL tables of the receiving system.

One table per stream. A view that keeps state has one row per subject, newest version wins; one
that keeps history has one row per event. Rows, position and receipt are written in one
transaction: a crash leaves all or none. A position moves only from the value a delivery starts at,
so a second owner of the lane, however it came about, is turned away and writes nothing. So is one
that works under another view than the table stands under (:mod:`connectors.postgres.applied_view`).

All work of one sink happens in one thread of its own, one delivery after the other; a store that
hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

import adbc_driver_manager
import psycopg
import pyarrow as pa
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, ConfigDict, SecretStr

from bus.connect import EVERY, Capabilities
from bus.connect.libpq import insist_on_safety
from bus.errors import (
    ConfigurationError,
    EditionOutdated,
    EventRefused,
    LaneLost,
    SinkUnavailable,
    StoreForged,
    Unready,
)
from bus.failpoints import Point, passed
from bus.model import (
    Applied,
    Checkpoint,
    Delivery,
    Mark,
    Position,
    Receipt,
    ToRestore,
    Upserts,
    View,
)
from connectors.postgres import (
    applied_view,
    believing,
    contents,
    statements,
    suppression,
    tables,
)
from connectors.postgres.faults import translated
from connectors.postgres.writers import PROOF, BulkWriter, SmallWriter, connect

SMALL_ROWS = 50  # above, COPY costs less than JSON (measured: they cross near 60 rows)
CLOSE_PATIENCE_S = 3.0  # then the batch in hand is undone rather than waited for
GONE_S = 60.0  # that a table must have been gone before it is made anew under an open sink
BULK_IDLE_S = 30.0  # then the second connection of a sink that has caught up is given back

# A server that is gone without a word is noticed: by the time a connection takes, by keep-alives,
# and by data that nobody acknowledges.
_LINE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_SHORT_LINE = {"connect_timeout": 5, "tcp_user_timeout": 5_000}
"""Of who asks whether the store is there."""

A = TypeVar("A")
T = TypeVar("T")


class PostgresOptions(BaseModel):
    """Options of one PostgreSQL sink, checked before anything is opened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: SecretStr  # carries the password; prints as stars
    schema_name: str = "linkage"
    table_prefix: str = ""


@dataclass(frozen=True)
class _Opened:
    """What a sink knows of the table that it has opened."""

    view: View
    names: statements.Names
    shape: statements.TableShape
    sql: statements.Statements


def line_name(system: str, stream: str) -> str:
    """The name of a connection in PostgreSQL, cut to the length that the server takes."""
    return f"renkei {system} {stream}".strip()[: statements.NAME_BYTES]


class PostgresTable:
    """One table per stream and one row per lane's position, changed in one transaction."""

    Options = PostgresOptions

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._thread: ThreadPoolExecutor | None = None
        self._opened: _Opened | None = None
        self._small: SmallWriter | None = None
        self._bulk: BulkWriter | None = None
        self._bulk_used = 0.0
        self._asking: psycopg.Connection[Any] | None = None  # where all lanes stand
        self._held: str | None = None  # the table that was there when this was last opened
        self._gone_since: float | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(accepts=EVERY, transactional=self, reshapes=self, suppresses=self)

    async def open(self, view: View) -> None:
        self._start_thread()
        await self._run(partial(self._open, view))

    async def apply(self, delivery: Delivery) -> Applied:
        return await self._run(partial(self._apply, delivery))

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        return await self._run(partial(self._checkpoint, partition))

    async def checkpoints(self) -> Mapping[int, Checkpoint]:
        return await self._run(self._checkpoints)

    async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
        return await asyncio.to_thread(self._withdraw, granted, edition)

    async def to_restore(self) -> ToRestore:
        return await self._run(self._to_restore)

    async def digests(self, buckets: int) -> Mapping[int, str]:
        return await self._run(partial(self._read, contents.digests, buckets))

    async def rows(self, keys: Collection[str]) -> pa.RecordBatch:
        return await self._run(partial(self._read, contents.rows, keys))

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        self._start_thread()
        return await self._run(self._marks)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        self._held = self._gone_since = None
        if thread is None:
            return
        closed = asyncio.get_running_loop().run_in_executor(thread, self._close)
        try:
            await asyncio.wait([closed], timeout=CLOSE_PATIENCE_S)
            if not closed.done():
                await asyncio.to_thread(self._interrupt)
            await closed
        finally:
            thread.shutdown(wait=False)

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres")

    async def _run(self, work: Callable[[], T]) -> T:
        """Do *work* in the sink's thread, after what is queued.

        A caller that is cancelled leaves; the work is finished all the same.
        """
        if self._thread is None:
            raise SinkUnavailable("the store is not open")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- in the thread

    def _open(self, view: View) -> None:
        try:
            self._open_for(view)
        except EventRefused as error:  # no event: what the view may not show cannot be taken away
            raise ConfigurationError(
                "the table refuses to give up what its view no longer shows", **error.where
            ) from None

    def _open_for(self, view: View) -> None:
        self._close()
        names = self._names(view)
        with translated(system=view.system, stream=view.stream):
            connection = connect(self._conninfo(view.system, view.stream), view)
            try:
                self._insist_on_table(connection, names, view)
                shape, sql = self._prepare(connection, names, view)
                if view.protects:
                    suppression.make_ready(connection)
            except BaseException:
                connection.close()
                raise
            self._opened = _Opened(view, names, shape, sql)
            self._small = SmallWriter(connection, names, sql)
            self._held, self._gone_since = names.table, None

    def _insist_on_table(
        self, connection: tables.Connection, names: statements.Names, view: View
    ) -> None:
        """Raise if a table that was there is gone: it may be being restored, and is not made anew.

        One that does not come back is made anew where the store knows nothing of its lanes
        either, as one that was restored from before the stream was granted.
        """
        if self._held != names.table:
            return
        gone = tables.missing_table(connection, names)
        if gone is None:
            self._gone_since = None
            return
        self._gone_since = self._gone_since or monotonic()
        if gone.has_positions or monotonic() - self._gone_since < GONE_S:
            raise Unready(
                "a table that was there is gone",
                system=view.system,
                stream=view.stream,
                table=gone.table,
            )

    def _names(self, view: View) -> statements.Names:
        options = self._options
        return statements.Names.of(view.stream, options.schema_name, options.table_prefix)

    def _prepare(
        self, connection: tables.Connection, names: statements.Names, view: View
    ) -> tuple[statements.TableShape, statements.Statements]:
        return tables.prepare(connection, names, view)

    def _apply(self, delivery: Delivery) -> Applied:
        view = delivery.view
        where = {
            "stream": view.stream, "partition": delivery.partition, "start": delivery.start,
        }  # fmt: skip
        try:
            with translated(system=view.system, **where):
                return self._applied(delivery)
        except EventRefused:
            self._insist_on_shape()
            raise

    def _applied(self, delivery: Delivery) -> Applied:
        try:
            applied = self._applied_by_writer(delivery)
        except (psycopg.Error, adbc_driver_manager.Error) as error:
            if getattr(error, "sqlstate", None) is None:  # the line failed, not the statement
                self._drop_writers()
            raise
        if applied is None:
            self._insist_on_view(delivery.view)
            raise LaneLost(
                "somebody else moved this lane",
                stream=delivery.view.stream,
                partition=delivery.partition,
                expected=delivery.start,
            )
        passed(Point.SINK_COMMITTED)
        return applied

    def _checkpoint(self, partition: int) -> Checkpoint | None:
        opened = self._need_open()
        with translated(stream=opened.view.stream, partition=partition):
            parameters = (opened.names.stream, partition)
            rows = self._positions(opened.sql.checkpoint, parameters)
        return checkpoint_of(rows[0]) if rows else None

    def _checkpoints(self) -> dict[int, Checkpoint]:
        opened = self._need_open()
        with translated(system=opened.view.system, stream=opened.view.stream):
            parameters = (opened.names.stream,)
            try:
                return checkpoints_of(self._positions(opened.sql.positions, parameters))
            except StoreForged:
                found = one_by_one(self._session().connection, opened.names)
                if len(found) >= believing.MOST_ROWS:
                    raise
        return {lane: held or _unbelievable(lane) for lane, held in found.items()}

    def _to_restore(self) -> ToRestore:
        opened = self._need_open()
        if not (opened.view.is_fenced or opened.view.protects):
            return ToRestore({}, {})
        with translated(system=opened.view.system, stream=opened.view.stream):
            return suppression.to_restore(self._session().connection, opened.names)

    def _read(
        self, say: Callable[[tables.Connection, statements.Names, View, A], T], about: A
    ) -> T:
        """What *say* finds in the table."""
        opened = self._need_open()
        where = {"system": opened.view.system, "stream": opened.view.stream}
        try:
            with translated(**where):
                return say(self._session().connection, opened.names, opened.view, about)
        except EventRefused:  # no event: somebody else has put in what the view does not have
            raise ConfigurationError(
                "the table holds a value that is none of its view's", **where
            ) from None

    def _positions(self, asked: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        opened, connection = self._need_open(), self._session().connection
        return believing.rows(connection, asked, parameters, table=opened.names.position)

    def _marks(self) -> dict[tuple[str, int], Mark]:
        with translated():
            if self._asking is None:
                self._asking = connect(self._conninfo("positions", "", _SHORT_LINE))
            options = self._options
            names = statements.Names.of(
                "renkei_position", options.schema_name, options.table_prefix
            )
            try:
                asked = statements.marks(names)
                rows = believing.rows(self._asking, asked, table=names.position)
            except BaseException:
                self._stop_asking()
                raise
        return {(stream, partition): Mark(offset, at) for stream, partition, offset, at in rows}

    def _stop_asking(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.close()

    def _close(self) -> None:
        self._drop_writers()
        self._stop_asking()
        self._opened = None

    def _interrupt(self) -> None:
        """Ask the server to cancel what the sink's thread waits for; from another thread."""
        for writer in (self._small, self._bulk):
            if writer is not None:
                with suppress(psycopg.Error, adbc_driver_manager.Error):
                    writer.interrupt()

    def _insist_on_shape(self) -> None:
        """Raise if the table was altered: it then refuses good rows, which is no event's fault."""
        opened = self._need_open()
        with translated(stream=opened.view.stream):
            now = tables.shape(self._session().connection, opened.names)
        if tables.differs(opened.view, opened.shape, now):
            raise ConfigurationError(
                "the table was altered while it was in use; open it again",
                stream=opened.view.stream,
                table=opened.names.table,
            )

    def _insist_on_view(self, view: View) -> None:
        """Raise if the table was opened under another view: the delivery was refused for it."""
        opened = self._need_open()
        now = applied_view.of(self._session().connection, opened.names)
        if now is not None and now.fingerprint == view.fingerprint:
            return
        where = {"system": view.system, "stream": view.stream, "edition": view.edition}
        if now is None or now.edition < view.edition:
            raise SinkUnavailable("the table is to be opened anew", **where)
        if now.edition > view.edition:
            raise EditionOutdated(
                "the store stands under a newer edition of the subscription than is known here",
                **where,
                stored=now.edition,
            )
        raise ConfigurationError(
            "the table was opened under another view: by a process of another release, or with"
            " other subscriptions",
            **where,
        )

    def _withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
        options = self._options
        with translated():
            connection = connect(self._conninfo("withdraw", ""))
            try:
                return applied_view.withdraw(
                    connection, options.schema_name, options.table_prefix, granted, edition
                )
            finally:
                connection.close()

    # -- connections

    def _conninfo(
        self, system: str, stream: str, line: Mapping[str, int] = MappingProxyType({})
    ) -> str:
        """The URI, with defaults for the connection where it says nothing."""
        uri = self._options.uri.get_secret_value()
        insist_on_safety(uri, "the system's database")
        own = conninfo_to_dict(uri)
        extra = {**_LINE, **line} | {"application_name": line_name(system, stream)}
        return make_conninfo(uri, **{k: v for k, v in extra.items() if k not in own})

    def _conninfo_of(self, opened: _Opened) -> str:
        return self._conninfo(opened.view.system, opened.view.stream)

    def _need_open(self) -> _Opened:
        if self._opened is None:
            raise SinkUnavailable("the store is not open")
        return self._opened

    def _session(self) -> SmallWriter:
        """The connection for small deliveries, opened anew if it broke."""
        opened = self._need_open()
        if self._small is not None and self._small.connection.closed:
            self._small = None
        if self._small is None:
            connection = connect(self._conninfo_of(opened), opened.view)
            self._small = SmallWriter(connection, opened.names, opened.sql)
        return self._small

    def _applied_by_writer(self, delivery: Delivery) -> Applied | None:
        """As :class:`~connectors.postgres.writers.SmallWriter` says."""
        if isinstance(delivery, Upserts) and delivery.records.num_rows > SMALL_ROWS:
            return self._bulk_session().apply(delivery)
        if self._bulk is not None and monotonic() - self._bulk_used > BULK_IDLE_S:
            self._bulk.close()
            self._bulk = None
        return self._session().apply(delivery)

    def _bulk_session(self) -> BulkWriter:
        opened = self._need_open()
        self._bulk_used = monotonic()
        if self._bulk is None:
            self._bulk = BulkWriter(self._conninfo_of(opened), opened.sql, opened.view)
        return self._bulk

    def _drop_writers(self) -> None:
        for writer in (self._small, self._bulk):
            if writer is not None:
                with suppress(psycopg.Error):
                    writer.close()
        self._small = self._bulk = None


def one_by_one(
    connection: tables.Connection, names: statements.Names
) -> dict[int, Checkpoint | None]:
    """What each row of a table's lanes says, each read alone; None: nothing that the bus wrote."""
    lanes = connection.execute(
        f"SELECT partition FROM {names.position} WHERE stream = $1"
        f" ORDER BY partition LIMIT {believing.MOST_ROWS}",
        (names.stream,),
    ).fetchall()
    asked = statements.positions(names, " AND partition = $2")
    found: dict[int, Checkpoint | None] = {}
    for (lane,) in lanes:
        found[lane] = None
        with suppress(StoreForged):
            rows = believing.rows(connection, asked, (names.stream, lane), table=names.position)
            found |= checkpoints_of(rows)
    return found


def checkpoints_of(rows: Iterable[tuple[Any, ...]]) -> dict[int, Checkpoint]:
    """Checkpoints by partition; rows of no partition of the stream are left out."""
    return {row[0]: checkpoint_of(row) for row in rows if type(row[0]) is int}


def checkpoint_of(row: tuple[Any, ...]) -> Checkpoint:
    """The checkpoint in a row of ``renkei_position``.

    The table's owner can write anything there; a row that the bus cannot have written gives a
    checkpoint that is never believed.
    """
    partition, cluster_id, topic, offset, last_event_id, receipt, applied_at, is_to_come = row
    if isinstance(receipt, dict):
        stored = dict(receipt)
        proof = stored.pop(PROOF, None)
        if (
            stored.keys() == _RECEIPT.keys()
            and all(type(stored[name]) is kind for name, kind in _RECEIPT.items())
            and all(isinstance(said, str) for said in (cluster_id, topic))
            and all(said is None or isinstance(said, str) for said in (last_event_id, proof))
            and type(partition) is type(offset) is int
            and isinstance(applied_at, datetime)
            and applied_at.tzinfo is not None
        ):
            return Checkpoint(
                position=Position(
                    cluster_id=cluster_id,
                    topic=topic,
                    partition=partition,
                    offset=offset,
                    last_event_id=last_event_id,
                ),
                receipt=Receipt(**stored),
                applied_at=applied_at,
                is_to_come=bool(is_to_come),
                proof=proof,
            )
    return _unbelievable(partition)


_RECEIPT = {name: int if kind is int else str for name, kind in get_type_hints(Receipt).items()}


def _unbelievable(partition: Any) -> Checkpoint:
    """A checkpoint of no system and no stream, for a row that the bus cannot have written."""
    partition = partition if type(partition) is int else -1
    return Checkpoint(
        position=Position(cluster_id="", topic="", partition=partition, offset=0),
        receipt=Receipt(
            system="", stream="", partition=partition, start=0, end=0, delivered="{}", view="",
            rows=0, digest="",
        ),
        applied_at=datetime.min.replace(tzinfo=UTC),
    )  # fmt: skip
