"""Keep positions and receipts for stores that keep none, in the ledger's database.

A lane is held by a lease (:mod:`bus.connect.lease`) for as long as its delivery is handed over, and
given back in the transaction that moves its position: a second owner waits, and then sees where it
stands. The lease is a row, so it outlives a connection. It is renewed meanwhile; who cannot renew
it stops handing over before it runs out. A process that dies leaves it to run out.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from bus.connect import AppliedView, LaneTurn, Retraction, StoredLane
from bus.connect.lease import LET_GO_WITHIN_S, Lease, LeaseRow, LeaseStatements, until_taken
from bus.connect.libpq import insist_on_safety
from bus.connect.sqlstates import translated
from bus.connect.together import until_one_ends
from bus.errors import ConfigurationError, LeaseLost, SinkUnavailable
from bus.ledger.store import LEDGER
from bus.model import Applied, Checkpoint, Delivery, LaneName, Mark, Position, Reached, Receipt
from bus.observe.runner import this_process

SCHEMA = "renkei_kept"
_MAKE = f"""\
SELECT pg_advisory_xact_lock(hashtextextended('{SCHEMA}', 0));
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.position (
  system text, stream text, partition integer,
  cluster_id text NOT NULL, topic text NOT NULL, "offset" bigint NOT NULL, last_event_id text,
  receipt jsonb NOT NULL, proof text, reached jsonb NOT NULL, applied_at timestamptz NOT NULL,
  PRIMARY KEY (system, stream, partition)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS {SCHEMA}.turn (
  system text, stream text, partition integer, holder text, expires_at timestamptz NOT NULL,
  PRIMARY KEY (system, stream, partition)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS {SCHEMA}.masked (
  system text, stream text, partition integer, key text,
  PRIMARY KEY (system, stream, partition, key)
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.standing (
  system text, stream text, standing jsonb NOT NULL, PRIMARY KEY (system, stream)
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.owed (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  system text NOT NULL, stream text NOT NULL, edition integer NOT NULL, lost jsonb NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  done_at timestamptz, done_by text, reason text
);
"""
_LANE = "system = %s AND stream = %s AND partition = %s"
_POSITION = (
    'SELECT cluster_id, topic, "offset", last_event_id, receipt, proof, reached, applied_at'
    f" FROM {SCHEMA}.position WHERE {_LANE}"
)
_MASKED = f"SELECT key FROM {SCHEMA}.masked WHERE {_LANE}"
_STANDING = f"SELECT standing FROM {SCHEMA}.standing WHERE system = %s AND stream = %s"
_MOVE = f"""\
INSERT INTO {SCHEMA}.position AS held (system, stream, partition, cluster_id, topic, "offset",
  last_event_id, receipt, proof, reached, applied_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())
ON CONFLICT (system, stream, partition) DO UPDATE SET cluster_id = excluded.cluster_id,
  topic = excluded.topic, "offset" = excluded."offset", last_event_id = excluded.last_event_id,
  receipt = excluded.receipt, proof = excluded.proof, reached = excluded.reached,
  applied_at = excluded.applied_at
RETURNING applied_at"""
_STAND = (
    f"INSERT INTO {SCHEMA}.standing (system, stream, standing) VALUES (%s, %s, %s)"
    " ON CONFLICT (system, stream) DO UPDATE SET standing = excluded.standing"
)
_OWE = f"INSERT INTO {SCHEMA}.owed (system, stream, edition, lost) VALUES (%s, %s, %s, %s)"
_TURN = LeaseStatements.of(f"{SCHEMA}.turn", LaneName._fields)
_CONNECT_TIMEOUT = 10
_LEASE = timedelta(seconds=6)
"""About what Kafka takes to deal out the lanes of a process that died."""
_PATIENCE = 30.0  # seconds that another process's lane is waited for

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
KEPT = replace(LEDGER, database="the bus's own database", away=SinkUnavailable)
"""As lanes know it: in their store's place."""


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that a person has to remove from a store that cannot do it itself."""

    number: int
    system: str
    stream: str
    edition: int
    lost: Retraction
    since: datetime


class LedgerKeeper:
    """Keeps lanes' state over one connection, opened when first needed and after a loss.

    Args:
        makes: Whether what is not there is made; whoever only asks makes nothing.
        lease: How long a process that died keeps others from its lanes.
    """

    def __init__(self, uri: str, *, makes: bool = True, lease: timedelta = _LEASE) -> None:
        self._uri = uri
        self._makes = makes
        self._length = lease
        self._connection: Connection | None = None
        self._alone = asyncio.Lock()

    async def stand(
        self, system: str, stream: str, standing: AppliedView, lost: Retraction, *, is_owed: bool
    ) -> None:
        async with self._transaction() as connection:
            await connection.execute(_STAND, (system, stream, standing.text))
            if lost.everything:
                await _forget(connection, system, stream)
            if lost and is_owed:
                await _owe(connection, system, stream, standing.edition, lost)

    async def kept(self, lane: LaneName) -> StoredLane:
        async with self._transaction() as connection:
            return await _kept(connection, lane)

    async def marks(self, system: str) -> Mapping[LaneName, Mark]:
        asked = f'SELECT stream, partition, "offset", applied_at FROM {SCHEMA}.position'
        async with self._transaction() as connection:
            found = await connection.execute(f"{asked} WHERE system = %s", (system,))
            rows = await found.fetchall()
        return {LaneName(system, stream, n): Mark(offset, at) for stream, n, offset, at in rows}

    @asynccontextmanager
    async def turn(self, lane: LaneName) -> AsyncIterator[LaneTurn]:
        holder = f"{this_process()}-{secrets.token_hex(8)}"
        lease = Lease(holder, length=self._length, send_within=self._length / 3)
        turn = _Turn(lane, lease, self._transaction)
        try:
            await self._take(turn)
            async with self._transaction() as connection:
                turn.kept = await _kept(connection, lane)
            async with turn.moving:
                yield turn
            turn.is_free = turn.has_moved
        finally:
            if not turn.is_free:
                with suppress(SinkUnavailable, TimeoutError):
                    async with asyncio.timeout(LET_GO_WITHIN_S):
                        await turn.give_back()

    async def _take(self, turn: _Turn) -> None:
        """Wait until no other turn has the lane."""
        if not await until_taken(turn.take, _PATIENCE):
            raise SinkUnavailable("another process has the lane", **turn.lane._asdict())

    async def withdraw(
        self, system: str, granted: Collection[str], edition: int, *, is_owed: bool
    ) -> Sequence[str]:
        gone = []
        async with self._transaction() as connection:
            asked = f"SELECT stream, standing FROM {SCHEMA}.standing WHERE system = %s"
            found = await connection.execute(f"{asked} ORDER BY stream FOR UPDATE", (system,))
            for stream, kept in await found.fetchall():
                held = AppliedView.read(kept)
                if stream in granted or not held.fingerprint or held.edition > edition:
                    continue
                await _forget(connection, system, stream)
                nothing = AppliedView.nothing(edition)
                await connection.execute(_STAND, (system, stream, nothing.text))
                if is_owed:
                    await _owe(connection, system, stream, edition, Retraction(everything=True))
                gone.append(stream)
        return gone

    async def owed(self) -> list[Owed]:
        """What nobody has said to be removed yet, oldest first."""
        async with self._transaction() as connection:
            return await owed_in(connection)

    async def settle(self, number: int, by: str, reason: str) -> bool:
        """Mark that it was removed; False if it was not open."""
        said = (
            f"UPDATE {SCHEMA}.owed SET done_at = clock_timestamp(), done_by = %s, reason = %s"
            " WHERE number = %s AND done_at IS NULL"
        )
        async with self._transaction() as connection:
            return (await connection.execute(said, (by, reason, number))).rowcount == 1

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._alone:
            with translated(KEPT):
                connection = await self._connected()
            async with _whole(connection):
                yield connection

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            insist_on_safety(self._uri, KEPT.database)
            connection: Connection = await psycopg.AsyncConnection.connect(
                self._uri, autocommit=True, connect_timeout=_CONNECT_TIMEOUT
            )
            try:
                if self._makes:
                    async with connection.transaction():
                        await connection.execute(_MAKE)
                await connection.execute("SET lock_timeout = '30s'")
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection


async def owed_in(connection: Connection) -> list[Owed]:
    """What persons have not said to be done, oldest first, as a database has it.

    Raises:
        SinkUnavailable: The database does not answer.
        Unready: It refuses the right to look.
    """
    asked = f"SELECT number, system, stream, edition, lost, since FROM {SCHEMA}.owed"
    with translated(KEPT):
        there = await connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.owed",))
        if await there.fetchone() in (None, (None,)):
            return []  # nothing was ever kept here
        found = await connection.execute(f"{asked} WHERE done_at IS NULL ORDER BY number")
        rows = await found.fetchall()
    return [
        Owed(number, system, stream, edition, _taken(lost), since)
        for number, system, stream, edition, lost, since in rows
    ]


class _Turn:
    """The turn of a lane, held by a lease."""

    def __init__(
        self,
        lane: LaneName,
        lease: Lease,
        transaction: Callable[[], AbstractAsyncContextManager[Connection]],
    ) -> None:
        self.lane = lane
        self.kept = StoredLane()
        self.moving = AsyncExitStack()
        """The transaction that moves the position, until the turn's end."""
        self.has_moved = False
        self.is_free = False
        self._lease = lease
        self._transaction = transaction

    async def take(self) -> bool:
        """Take the lease of the lane; whether that worked."""
        async with self._row() as row:
            return await self._lease.take(row)

    async def give_back(self) -> None:
        """Release the lease."""
        async with self._row() as row:
            await self._lease.release(row)

    async def hand_over(self, send: Callable[[], Awaitable[Applied]]) -> Applied:
        """See :class:`bus.connect.keeping.LaneTurn`."""
        found: list[Applied] = []

        async def sending() -> None:
            found.append(await send())

        self._insist()
        await until_one_ends(sending(), self._keep(), self._watch())
        return found[0]

    async def move(self, delivery: Delivery, reached: Reached, masked: Collection[str]) -> datetime:
        before, end = self.kept.checkpoint, delivery.end
        if before is not None and end.offset == delivery.start:
            end = before.position
        values = (
            *self.lane, end.cluster_id, end.topic, end.offset, end.last_event_id,
            json.dumps(asdict(delivery.receipt)), delivery.proof, json.dumps(dict(reached)),
        )  # fmt: skip
        connection = await self._begun()
        with translated(KEPT):
            moved = await (await connection.execute(_MOVE, values)).fetchone()
            for statement, keys in (
                (f"DELETE FROM {SCHEMA}.masked WHERE {_LANE} AND key = ANY(%s)",
                 self.kept.masked - set(masked)),
                (f"INSERT INTO {SCHEMA}.masked SELECT %s, %s, %s, unnest(%s::text[])",
                 set(masked) - self.kept.masked),
            ):  # fmt: skip
                if keys:
                    await connection.execute(statement, (*self.lane, sorted(keys)))
        if moved is None:
            raise SinkUnavailable("the position was not kept")
        self.has_moved = True
        applied_at: datetime = moved[0]
        return applied_at

    async def _begun(self) -> Connection:
        """Begin the transaction that moves the position; fails if another process has the lane."""
        connection = await self.moving.enter_async_context(self._transaction())
        which = {**self.lane._asdict(), "holder": self._lease.holder}
        with translated(KEPT):
            found = await connection.execute(_TURN.release.encode(), which)
        if found.rowcount != 1:
            raise SinkUnavailable("another process has the lane by now", **self.lane._asdict())
        return connection

    async def _keep(self) -> None:
        """Renew the lease, again and again; does not return."""
        while True:
            await asyncio.sleep(self._lease.length.total_seconds() / 4)
            with suppress(SinkUnavailable, LeaseLost):  # which is watched for
                async with self._row() as row:
                    await self._lease.renew(row)

    async def _watch(self) -> None:
        """End with an error before another process could have the lane; does not return."""
        while True:
            await asyncio.sleep(self._lease.length.total_seconds() / 20)
            self._insist()

    def _insist(self) -> None:
        try:
            self._lease.guard()
        except LeaseLost as error:
            raise SinkUnavailable(
                "another process may have the lane by now", **self.lane._asdict()
            ) from error

    @asynccontextmanager
    async def _row(self) -> AsyncIterator[LeaseRow]:
        async with self._transaction() as connection:
            with translated(KEPT):
                yield LeaseRow(connection, _TURN, self.lane._asdict())


async def _kept(connection: Connection, lane: LaneName) -> StoredLane:
    with translated(KEPT):
        held = await (await connection.execute(_POSITION, lane)).fetchone()
        masked = await (await connection.execute(_MASKED, lane)).fetchall()
        stood = await (await connection.execute(_STANDING, lane[:2])).fetchone()
    standing = None if stood is None else AppliedView.read(stood[0])
    keys = frozenset(key for (key,) in masked)
    if held is None:
        return StoredLane(standing=standing, masked=keys)
    cluster_id, topic, offset, last_event_id, receipt, proof, reached, applied_at = held
    try:
        said = Receipt(**receipt)
    except TypeError:
        raise ConfigurationError(
            "what is kept of a lane is not what the bus noted", **lane._asdict()
        ) from None
    position = Position(
        cluster_id=cluster_id,
        topic=topic,
        partition=lane.partition,
        offset=offset,
        last_event_id=last_event_id,
    )
    checkpoint = Checkpoint(position=position, receipt=said, applied_at=applied_at, proof=proof)
    return StoredLane(checkpoint=checkpoint, standing=standing, reached=reached, masked=keys)


async def _forget(connection: Connection, system: str, stream: str) -> None:
    for table in ("position", "masked"):
        await connection.execute(
            f"DELETE FROM {SCHEMA}.{table} WHERE system = %s AND stream = %s", (system, stream)
        )


async def _owe(
    connection: Connection, system: str, stream: str, edition: int, lost: Retraction
) -> None:
    said = {
        "columns": list(lost.columns),
        "event_types": sorted(lost.event_types),
        "everything": lost.everything,
    }
    await connection.execute(_OWE, (system, stream, edition, json.dumps(said)))


def _taken(lost: Mapping[str, Any]) -> Retraction:
    return Retraction(tuple(lost["columns"]), frozenset(lost["event_types"]), lost["everything"])


@asynccontextmanager
async def _whole(connection: Connection) -> AsyncIterator[None]:
    """A transaction that is committed if the block ends well; the block's errors pass unchanged."""
    with translated(KEPT):
        await connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        await _undo(connection)
        raise
    with translated(KEPT):
        await connection.execute("COMMIT")


async def _undo(connection: Connection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()  # what cannot be undone is undone by the session's end
