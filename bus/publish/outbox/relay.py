"""The relay: what a core system committed to its outbox goes to Kafka, in order, and is marked.

It is woken by NOTIFY; a slow poll stands behind that, because a notification may be lost with a
connection. Pending rows are taken in sequence order, in batches, handed to the publisher, which
answers once all in-sync replicas have them, and only then marked. Within a subject sequence
order is commit order (``schema.sql``), so order holds; across subjects there is none.

A crash between sending and marking: the rows are still pending and are handed over again. Their
event ids follow from the change's id, so the publisher finds in the topic what is there already
and appends only what is missing.

One relay at a time sends from an outbox (:mod:`~bus.publish.outbox.lease`); others stand by. A
new leader starts a new publisher, which learns the topics' ends after the lease was taken, and
the publisher must call the guard it was given immediately before each append.

A change that is refused is moved to ``renkei.outbox_refused`` with its reasons, and the others go
on. Later changes of the same subject then fail by a version gap and are moved too, each saying
behind which one, until an operator puts them back (``renkei relay refused retry``).

What answers nothing is asked again without end, after a back-off with jitter: the broker and
the registry while the lease is kept, the database by connecting anew. A setting, a right or a
schema that cannot work, and a defect that is nobody's change's, end the relay with the error;
whoever hosts it begins it again (:mod:`~bus.publish.outbox.hosting`). No change does: what it
breaks is narrowed down to it, and it is refused (:mod:`~bus.publish.narrowing`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar

import psycopg
import structlog
from psycopg import errors

from bus.backoff import BackOff
from bus.errors import KeysUnusable, LaneError, LeaseLost, Unavailable, is_defect
from bus.model import Change, Fault
from bus.observe.metrics import Metrics
from bus.observe.runner import this_process
from bus.observe.tasks import CameBack
from bus.points import Point, passed
from bus.publish.narrowing import fault_of, is_of_data
from bus.publish.outbox import statements
from bus.publish.outbox.concealing import TAKEN_OUT, Concealer, Content, Kept
from bus.publish.outbox.database import Connection, connect, translated
from bus.publish.outbox.lease import Lease
from bus.publish.outbox.rows import Bounds, Refusal, Row, read
from bus.publish.outbox.upkeep import look

log = structlog.get_logger()
T = TypeVar("T")

MOST_BROKEN = 3
"""After so many changes in a row that a defect meets while they are sent, it is not the changes."""
ALL_BATCHES = 16 * 1024 * 1024  # bytes of text that all relays of a process have in hand together
WAKES_FOR_NOTHING = 3  # in a row, after which a relay rests: anybody may send NOTIFY
REST = 0.5  # seconds
UNREADABLE = (
    errors.QueryCanceled,
    errors.ProgramLimitExceeded,
    errors.OutOfMemory,
    errors.InternalError_,
    psycopg.DataError,
)
"""What the reading of rows meets because of a row; a database that is away says something else."""
_UNREAD = Content(Kept.UNREAD)
LET_GO_WITHIN = 2.0  # seconds to tell the database; after that the lease runs out


class Outcome(Protocol):
    """What a publisher says of one change: published, unless a fault is an error."""

    @property
    def faults(self) -> Sequence[Fault]: ...


class Publisher(Protocol):
    """The part of ``bus.publish.publisher.Publisher`` that a relay needs."""

    async def start(self) -> None: ...

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]: ...

    async def close(self) -> None: ...


Guard = Callable[[], None]
"""Called before each append; raises :class:`~bus.errors.LeaseLost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, how much and how patiently."""

    batch_rows: int = 1_000  # most changes handed over at once
    batch_bytes: int = 4 * 1024 * 1024  # most bytes of them as text: bounds memory
    change_bytes: int = 4 * 1024 * 1024  # a larger change is refused where it is
    statement_within: int = 30  # seconds that one statement may take
    poll: timedelta = timedelta(seconds=5)  # should a notification be lost
    lease: timedelta = timedelta(seconds=12)  # how long a killed leader keeps others waiting
    send_within: timedelta = timedelta(seconds=8)  # acknowledged or given up; the producer's bound
    stand_by: timedelta = timedelta(seconds=1)  # how often a standby asks
    keep: timedelta = timedelta(days=7)  # how long sent rows stay
    refused_keep: timedelta | None = None  # how long refused ones do; None: until settled
    prune_rows: int = 1_000  # how many go at once
    prune_every: timedelta = timedelta(minutes=1)
    retry_first: timedelta = timedelta(milliseconds=200)
    retry_most: timedelta = timedelta(seconds=30)
    stop_within: timedelta = timedelta(seconds=10)  # the batch in hand, once asked to stop

    def shared_by(self, relays: int) -> Pace:
        """What each of so many relays in one process takes, so that none takes another's part.

        They come in turn, a batch each; batches are the smaller the more there are.
        """
        return replace(self, batch_bytes=min(self.batch_bytes, ALL_BATCHES // max(relays, 1)))


class Relay:
    """Sends one core system's outbox. May be run again after it ended by an error.

    Args:
        uri: The core system's database, reached directly (a pooler that shares sessions
            between transactions loses notifications).
        publisher: Makes a publisher for one term of leadership; it calls the guard before
            each append.
        bounds: Whose changes may come out of this outbox; what is another's is refused.
        concealer: Knows what must not lie about in an outbox as it is.
    """

    def __init__(
        self,
        system: str,
        uri: str,
        publisher: Callable[[Guard], Publisher],
        *,
        bounds: Bounds | None = None,
        concealer: Concealer | None = None,
        pace: Pace | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.system = system
        self._uri = uri
        self._make_publisher = publisher
        self._bounds = bounds
        self._concealer = concealer or Concealer()
        self._pace = pace or Pace()
        self._metrics = metrics or Metrics()
        self._log = log.bind(system=system)
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._lease = self._new_lease()
        self._prune_at = 0.0
        self._rows = self._pace.batch_rows  # taken at once; fewer while one is looked for
        self._broken = 0  # changes in a row that sending failed for, by a defect

    def stop(self) -> None:
        """Finish the batch in hand and end; may be called from a signal handler."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Send until stopped.

        Raises:
            BusError: What cannot work as it is configured; never that something is away.
        """
        work = asyncio.create_task(self._run())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=self._pace.stop_within.total_seconds())
            if not work.done():
                self._log.warning("relay-batch-abandoned")
        finally:
            await _end(stop, work)
        if not (work.cancelled() and self._stopping.is_set()):
            work.result()

    async def _run(self) -> None:
        back_off = self._back_off()
        with suppress(_Stopped):
            while True:
                try:
                    await self._session(back_off)
                except Unavailable as error:
                    self._log.warning("relay-interrupted", code=error.code, reason=error.message)
                await self._sleep(back_off.next().total_seconds())

    async def _session(self, back_off: BackOff) -> None:
        """Connect, stand by, lead; until something is lost or the relay is stopped."""
        async with AsyncExitStack() as stack:
            connections = []
            for purpose in ("work", "lease", "listen"):
                patience = self._pace.statement_within if purpose != "listen" else None
                connections.append(
                    await connect(self._uri, self.system, purpose=purpose, patience=patience)
                )
                stack.push_async_callback(connections[-1].close)
            work, lease, listen = connections
            with translated(self.system):
                await look(work, self.system)
                await listen.execute(f"LISTEN {statements.CHANNEL}")
                await self._stand_by(lease)
            back_off.reset()
            self._log.info("relay-leads", holder=self._lease.holder)
            self._metrics.relay_leads(self.system, True)
            try:
                await _first(self._lead(work), self._keep_lease(lease), self._listen(listen))
            finally:
                self._metrics.relay_leads(self.system, False)
                await self._let_go(lease)

    async def _stand_by(self, connection: Connection) -> None:
        """Wait until this relay leads."""
        is_told = False
        while not await self._lease.take(connection):
            if not is_told:
                is_told = True
                self._log.info("relay-stands-by")
            await self._sleep(self._pace.stand_by.total_seconds())

    async def _listen(self, connection: Connection) -> None:
        with translated(self.system):
            async for _ in connection.notifies():
                self._wake.set()

    async def _keep_lease(self, connection: Connection) -> None:
        with translated(self.system):
            while True:
                await asyncio.sleep(self._pace.lease.total_seconds() / 4)
                await self._lease.renew(connection)

    async def _let_go(self, connection: Connection) -> None:
        """Give the lease back; if that is not possible, it runs out."""
        with suppress(Unavailable, TimeoutError), translated(self.system):
            async with asyncio.timeout(LET_GO_WITHIN):
                await self._lease.release(connection)

    async def _lead(self, connection: Connection) -> None:
        publisher = self._make_publisher(self._lease.guard)
        try:
            await self._insist(publisher.start)
            await self._look_into_refused(connection)
            in_vain = 0
            while True:
                self._wake.clear()
                rows, too_large, is_more = await self._take(connection)
                in_vain = 0 if rows or too_large or is_more else in_vain + 1
                if rows or too_large:
                    passed(Point.RELAY_TAKEN)
                    await self._settle(connection, publisher, rows, too_large)
                await self._prune(connection)
                if self._stopping.is_set():
                    raise _Stopped
                if in_vain > WAKES_FOR_NOTHING:
                    await self._sleep(REST)
                if not is_more:
                    await self._wait_for_rows()
        finally:
            await self._close(publisher)

    async def _close(self, publisher: Publisher) -> None:
        """Close; should that not end, what was sent may still be under way: keep the lease.

        Its name is given up with it, so that this relay too waits until it has run out.
        """
        try:
            async with asyncio.timeout(2 * self._pace.send_within.total_seconds()):
                await publisher.close()
        except (TimeoutError, Unavailable):
            self._lease = self._new_lease()

    async def _take(self, connection: Connection) -> tuple[list[Row], list[Refusal], bool]:
        """The next rows, refusals of those that are too large, and whether more are waiting.

        What the database cannot make a text of, or not in time, is looked for with fewer rows, and
        refused once it is one.
        """
        limits = {
            "rows": self._rows,
            "bytes": self._pace.batch_bytes,
            "most": self._pace.change_bytes,
        }
        with translated(self.system):
            try:
                found = await (await connection.execute(statements.TAKE, limits)).fetchall()
            except UNREADABLE:
                return await self._take_fewer(connection)
        if not found:
            return [], [], False
        seen = found[0][5]
        is_more = seen == self._rows or len(found) < seen
        self._rows = min(2 * self._rows, self._pace.batch_rows)
        rows = [
            Row(seq, text or "", change_id, sealed)
            for seq, change_id, text, sealed, _, _ in found
            if text is not None or sealed is not None
        ]
        expected = f"a change of at most {self._pace.change_bytes} bytes as text"
        fault = Fault(code="too-large", expected=expected)
        too_large = [
            Refusal(seq, [fault])
            for seq, _, text, sealed, _, _ in found
            if text is None and sealed is None
        ]
        return rows, too_large, is_more

    async def _take_fewer(self, connection: Connection) -> tuple[list[Row], list[Refusal], bool]:
        """Nothing, but fewer rows the next time; or the refusal of the one that cannot be had."""
        if self._rows > 1:
            self._rows = max(self._rows // 8, 1)
            return [], [], True
        first = await (await connection.execute(statements.FIRST)).fetchone()
        fault = Fault(code="unreadable", expected="a change that the database can read out")
        return [], [Refusal(first[0], [fault])] if first is not None else [], True

    async def _settle(
        self,
        connection: Connection,
        publisher: Publisher,
        rows: Sequence[Row],
        too_large: Sequence[Refusal],
    ) -> None:
        """Send what can be sent, set aside what cannot, and mark both."""
        began = monotonic()
        opened, shut = await self._open(rows)
        changes, unreadable = read(opened, self._bounds)
        sent, refused = await self._publish(publisher, changes)
        passed(Point.RELAY_SENT)
        contents = {row.seq: Content(Kept.SEALED, row.sealed) for row in rows if row.sealed}
        texts = {row.seq: row for row in opened}
        for refusal in (*unreadable, *refused):
            row = texts[refusal.seq]
            contents[row.seq] = await self._insist(
                partial(self._concealer.content, row.text, row.change_id)
            )
        refusals = [
            refusal.but_lacking() if contents.get(refusal.seq) == Content(Kept.LACKING) else refusal
            for refusal in (*too_large, *shut, *unreadable, *refused)
        ]
        restricted = {seq for seq, change in changes if self._concealer.is_restricted(change)}
        await self._mark(connection, sent, restricted, refusals, contents)
        passed(Point.RELAY_MARKED)
        self._metrics.publish_took(monotonic() - began)
        self._metrics.relayed(self.system, "sent", len(sent))
        if refusals:
            self._tell_refused(refusals)

    async def _open(self, rows: Sequence[Row]) -> tuple[list[Row], list[Refusal]]:
        """The rows as they can be read, and refusals of those that are sealed and do not open."""
        opened, shut = [], []
        for row in rows:
            if row.sealed is None:
                opened.append(row)
                continue
            try:
                text = await self._insist(
                    partial(self._concealer.opened, row.sealed, row.change_id)
                )
            except (LaneError, KeysUnusable) as error:
                shut.append(Refusal(row.seq, [fault_of(error)]))
            else:
                opened.append(replace(row, text=text))
        return opened, shut

    def _tell_refused(self, refusals: Sequence[Refusal]) -> None:
        codes = Counter(code for refusal in refusals for code in refusal.codes)
        for code, changes in codes.items():
            self._metrics.refused(code, changes)
        self._metrics.relayed(self.system, "refused", len(refusals))
        self._log.warning("changes-refused", changes=len(refusals), codes=sorted(codes))

    async def _publish(
        self, publisher: Publisher, changes: Sequence[tuple[int, Change]]
    ) -> tuple[list[int], list[Refusal]]:
        """Sequence numbers sent, and refusals.

        An error that names no change, one about data or a defect, is narrowed down by halves, in
        order.

        Raises:
            BusError: What is no matter of the changes.
            Exception: A defect that met one change after another: not theirs either.
        """
        if not changes:
            return [], []
        try:
            outcomes = await self._insist(
                lambda: publisher.publish([change for _, change in changes])
            )
            self._broken = 0
        except BaseException as error:
            if not is_of_data(error):
                raise
            if len(changes) == 1:
                self._broken += is_defect(error)
                if self._broken > MOST_BROKEN:
                    raise
                return [], [Refusal(changes[0][0], [fault_of(error)])]
            middle = len(changes) // 2
            first_sent, first_refused = await self._publish(publisher, changes[:middle])
            sent, refused = await self._publish(publisher, changes[middle:])
            return first_sent + sent, first_refused + refused
        sent, refusals = [], []
        for (seq, _), outcome in zip(changes, outcomes, strict=True):
            reasons = [fault for fault in outcome.faults if fault.is_error]
            if reasons:
                refusals.append(Refusal(seq, reasons))
            else:
                sent.append(seq)
        return sent, refusals

    async def _mark(
        self,
        connection: Connection,
        sent: Sequence[int],
        restricted: Set[int],
        refusals: Sequence[Refusal],
        contents: Mapping[int, Content],
    ) -> None:
        """Mark what was sent, the *restricted* of it emptied, and move what was refused."""
        plain = [seq for seq in sent if seq not in restricted]
        emptied = [seq for seq in sent if seq in restricted]
        with translated(self.system):
            if plain:
                await connection.execute(statements.MARK, {"seqs": plain})
            if emptied:
                await connection.execute(statements.MARK_EMPTIED, {"seqs": emptied})
            if refusals:
                stays = [contents.get(refusal.seq, _UNREAD) for refusal in refusals]
                told = {
                    "seqs": [refusal.seq for refusal in refusals],
                    "reasons": [refusal.as_json for refusal in refusals],
                    "sealed": [content.sealed for content in stays],
                    "kept": [str(content.kept) for content in stays],
                }
                await connection.execute(statements.REFUSE, told)

    async def _look_into_refused(self, connection: Connection) -> None:
        """Seal what was refused, and lies about, since before anybody looked."""
        while True:
            with translated(self.system):
                limits = {"most": self._pace.change_bytes}
                cursor = await connection.execute(statements.NOT_LOOKED_AT, limits)
                found = await cursor.fetchall()
            for seq, change_id, text in found:
                content = _UNREAD
                if text is not None:
                    content = await self._insist(partial(self._concealer.content, text, change_id))
                is_lacking = content.kept is Kept.LACKING
                reasons = Refusal(seq, [TAKEN_OUT] if is_lacking else []).as_json
                said = {"seq": seq, "sealed": content.sealed, "kept": str(content.kept)}
                with translated(self.system):
                    await connection.execute(statements.LOOKED_AT, said | {"reasons": reasons})
            if not found:
                return

    async def _prune(self, connection: Connection) -> None:
        """Delete a batch of rows that were sent, or refused, too long ago, now and then."""
        if monotonic() < self._prune_at:
            return
        limits: dict[str, object] = {"keep": self._pace.keep, "rows": self._pace.prune_rows}
        with translated(self.system):
            sent = (await connection.execute(statements.PRUNE, limits)).rowcount
            refused = 0
            if self._pace.refused_keep is not None:
                limits["keep"] = self._pace.refused_keep
                refused = (await connection.execute(statements.PRUNE_REFUSED, limits)).rowcount
        if refused:
            self._log.warning("outbox-refused-pruned", changes=refused)
        if max(sent, refused) < self._pace.prune_rows:
            self._prune_at = monotonic() + self._pace.prune_every.total_seconds()

    async def _insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do *act*, again and again while the broker or the registry is away.

        Raises:
            LeaseLost: The right to send ended meanwhile.
        """
        back_off = self._back_off()
        while True:
            try:
                return await act()
            except LeaseLost:
                raise
            except Unavailable as error:
                self._log.warning("relay-waits", code=error.code, reason=error.message)
                await self._sleep(back_off.next().total_seconds())

    async def _wait_for_rows(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.poll.total_seconds()):
                await self._wake.wait()
        if self._stopping.is_set():
            raise _Stopped

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise _Stopped

    def _back_off(self) -> BackOff:
        return BackOff(self._pace.retry_first, self._pace.retry_most)

    def _new_lease(self) -> Lease:
        holder = f"{this_process()}-{secrets.token_hex(4)}"
        return Lease(holder, length=self._pace.lease, send_within=self._pace.send_within)


class _Stopped(BaseException):
    """The relay was asked to stop: no error, and so nothing that is looked for in a change."""


async def _first(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run jobs without an end side by side until one fails; its error is raised, the others end.

    One that comes back has failed as well: the relay would be deaf, or without a lease.
    """
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(*tasks)
    for task in done:
        task.result()
    raise CameBack


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are over."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # retrieved here; raised by who asks for the result
