"""Take changes from a table in a core system's database, which its own transactions fill.

It is woken by NOTIFY; a slow poll stands behind that, because a notification may be lost with a
connection. Pending rows are taken in sequence order, and marked once they were published. Within
a subject sequence order is commit order (``schema.sql``), so order holds; across subjects there
is none.

One process at a time has the right to publish, by a lease in ``renkei.relay_lease``
(:mod:`bus.connect.lease`); others stand by.

A change that is refused is moved to ``renkei.outbox_refused`` with its reasons. Later changes of
the same subject then fail by a version gap and are moved too, each saying behind which one, until
an operator puts them back (``renkei relay refused retry``). What must not lie about is taken out
or sealed on the way (:mod:`~connectors.outbox.concealing`).

A crash between sending and marking: the rows are still pending and are taken again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic

import psycopg
import structlog
from psycopg import errors
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bus.connect.lease import Lease, LeaseRow
from bus.connect.source import Limits, Published, Refusal, SourceCapabilities, Taken
from bus.connect.source_kind import SourceContext
from bus.errors import BusError, KeysUnusable, LaneError
from bus.model import Fault
from connectors.outbox import statements
from connectors.outbox.concealing import TAKEN_OUT, Concealer, Content, ContentState
from connectors.outbox.database import Connection, connect, translated
from connectors.outbox.term import OutboxTerm, lease_row
from connectors.outbox.upkeep import OutboxWatch, look

log = structlog.get_logger()

WAKES_FOR_NOTHING = 3  # in a row, after which there is a rest: anybody may send NOTIFY
REST = timedelta(milliseconds=500)
UNREADABLE = (
    errors.QueryCanceled,
    errors.ProgramLimitExceeded,
    errors.OutOfMemory,
    errors.InternalError_,
    psycopg.DataError,
)
"""What the reading of rows meets because of a row; a database that is away says something else."""
_UNREAD = Content(ContentState.UNREAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxTimes:
    """For how long sent and refused changes are kept, and leases and sends last."""

    lease: timedelta = timedelta(seconds=12)  # how long a killed leader keeps others waiting
    send_within: timedelta = timedelta(seconds=8)  # acknowledged or given up; the producer's bound
    stand_by: timedelta = timedelta(seconds=1)  # how often a standby asks
    statement_within: int = 30  # seconds that one statement may take
    sent: timedelta = timedelta(days=7)  # how long sent rows stay
    refused: timedelta | None = None  # how long refused ones do; None: until settled
    prune_rows: int = 1_000  # how many go at once
    prune_every: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One change that waits in an outbox, as text; *sealed* if it was refused and put back."""

    seq: int
    change_id: str
    text: str | None = None
    sealed: str | None = None


class OutboxSource:
    """The outbox of one core system; see :class:`bus.connect.source.Source`.

    Args:
        uri: The core system's database, reached directly (a pooler that shares sessions
            between transactions loses notifications).
        holder: A name of this process, by which an operator finds it.
        concealer: Knows what must not lie about in an outbox as it is.
    """

    by_settings = True

    class Options(BaseModel):
        """The database and bounds of an outbox."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        uri: SecretStr = Field(repr=False)
        """Of the database that holds it."""

    @classmethod
    def of(cls, options: Options, context: SourceContext) -> OutboxSource:
        """See :class:`bus.connect.source_kind.SourceKind`."""
        times = context.times
        return cls(
            context.system,
            options.uri.get_secret_value(),
            holder=context.holder,
            concealer=Concealer(context.seals, context.sealed, context.known),
            keeping=OutboxTimes(
                lease=times.lease,
                send_within=times.send_within,
                sent=times.sent,
                refused=times.refused,
            ),
        )

    def __init__(
        self,
        system: str,
        uri: str,
        *,
        holder: str,
        concealer: Concealer | None = None,
        keeping: OutboxTimes | None = None,
    ) -> None:
        self.name = system
        self._uri = uri
        self._holder = holder
        self._concealer = concealer or Concealer()
        self._keeping = keeping or OutboxTimes()
        self._log = log.bind(system=system)
        self._lease = self._new_lease()
        self._work: Connection | None = None
        self._wake = asyncio.Event()
        self._rows: int | None = None  # taken at once; fewer while one is looked for
        self._in_hand: dict[int, OutboxRow] = {}
        self._is_more = False  # rows wait that were not taken
        self._in_vain = 0  # how often in a row nothing was found
        self._is_plain_told = False
        self._held: list[int] = []  # passed over
        self._are_refused_seen = False
        self._prune_at = 0.0

    @property
    def capabilities(self) -> SourceCapabilities:
        """See the port."""
        return SourceCapabilities(
            exclusive=True, endless=True, remote=True, holds=self, watched=self
        )

    def watch(self) -> OutboxWatch:
        """See :class:`bus.connect.source.Watched`."""
        return OutboxWatch(self.name, self._uri)

    # -- the term -------------------------------------------------------------------------------

    @asynccontextmanager
    async def term(self) -> AsyncIterator[OutboxTerm]:
        """See the port; three connections, so that none waits for another."""
        async with AsyncExitStack() as stack:
            opened = []
            for purpose in ("work", "lease", "listen"):
                patience = self._keeping.statement_within if purpose != "listen" else None
                opened.append(
                    await connect(self._uri, self.name, purpose=purpose, patience=patience)
                )
                stack.push_async_callback(opened[-1].close)
            work, lease, listen = opened
            row = lease_row(lease)
            with translated(self.name):
                await look(work, self.name)
                await listen.execute(f"LISTEN {statements.CHANNEL}")
            term = OutboxTerm(self.name, self._lease, row, listen, self._wake.set)
            try:
                with translated(self.name):
                    await self._stand_by(row)  # whoever is stopped here may have the lease unheard
                self._work, self._are_refused_seen, self._in_vain = work, False, 0
                self._held = []
                yield term
            finally:
                self._work = None
                if term.is_abandoned:
                    self._lease = self._new_lease()  # so that this process too waits for the old
                else:
                    await term.let_go()

    async def _stand_by(self, row: LeaseRow) -> None:
        """Wait until this process leads."""
        is_told = False
        while not await self._lease.take(row):
            if not is_told:
                is_told = True
                self._log.info("relay-stands-by")
            await asyncio.sleep(self._keeping.stand_by.total_seconds())

    def _new_lease(self) -> Lease:
        holder = f"{self._holder}-{secrets.token_hex(4)}"
        return Lease(holder, length=self._keeping.lease, send_within=self._keeping.send_within)

    # -- changes --------------------------------------------------------------------------------

    async def take(self, limits: Limits) -> Sequence[Taken]:
        """See the port.

        What the database cannot make a text of, or not in time, is looked for with fewer rows, and
        refused once it is one.
        """
        connection = self._connection()
        await self._look_into_refused(connection, limits)
        self._wake.clear()
        asked = min(self._rows or limits.changes, limits.changes)
        bounds = {
            "rows": asked, "bytes": limits.bytes, "most": limits.change_bytes, "held": self._held
        }  # fmt: skip
        with translated(self.name):
            try:
                found = await (await connection.execute(statements.TAKE, bounds)).fetchall()
            except UNREADABLE:
                return await self._take_fewer(connection, asked)
        self._is_more = bool(found) and (found[0][5] == asked or len(found) < found[0][5])
        self._in_vain = 0 if found else self._in_vain + 1
        if found:
            self._rows = min(2 * asked, limits.changes)
        self._in_hand = {
            seq: OutboxRow(seq, change_id, text, sealed)
            for seq, change_id, text, sealed, *_ in found
        }
        expected = f"a change of at most {limits.change_bytes} bytes as text"
        too_large = Fault(code="too-large", expected=expected)
        return [await self._taken(row, too_large) for row in self._in_hand.values()]

    async def _take_fewer(self, connection: Connection, asked: int) -> Sequence[Taken]:
        """Take fewer rows the next time; if it was one row already, that row as a fault."""
        self._is_more = True
        if asked > 1:
            self._rows = max(asked // 8, 1)
            return []
        first = await (await connection.execute(statements.FIRST, {"held": self._held})).fetchone()
        fault = Fault(code="unreadable", expected="a change that the database can read out")
        return [Taken(first[0], None, fault)] if first is not None else []

    async def _taken(self, row: OutboxRow, too_large: Fault) -> Taken:
        """A row as it is handed over; opened if it is sealed."""
        text = row.text
        if text is None and row.sealed is not None:
            try:
                text = await self._concealer.opened(row.sealed, row.change_id)
            except (LaneError, KeysUnusable) as error:
                return Taken(row.seq, None, _shut(error))
            self._in_hand[row.seq] = replace(row, text=text)
        if text is None:
            return Taken(row.seq, None, too_large)
        return Taken(row.seq, text.encode(), is_from_json=True)

    async def settle(self, published: Sequence[Published], refused: Sequence[Refusal]) -> None:
        """See the port."""
        contents = {refusal.place: await self._content(refusal) for refusal in refused}
        plain, emptied = list[int](), list[int]()
        for each in published:
            is_restricted = self._concealer.is_restricted(each.change)
            (emptied if is_restricted else plain).append(each.place)
        connection = self._connection()
        with translated(self.name):
            if plain:
                await connection.execute(statements.MARK, {"seqs": plain})
            if emptied:
                await connection.execute(statements.MARK_EMPTIED, {"seqs": emptied})
            if refused:
                values = {
                    "seqs": [refusal.place for refusal in refused],
                    "reasons": [_reasons(refusal, contents[refusal.place]) for refusal in refused],
                    "sealed": [contents[refusal.place].sealed for refusal in refused],
                    "kept": [str(contents[refusal.place].kept) for refusal in refused],
                }
                await connection.execute(statements.REFUSE, values)

    async def _content(self, refusal: Refusal) -> Content:
        """What is kept of a change that is refused."""
        row = self._in_hand.get(refusal.place)
        if row is None:
            return _UNREAD
        if row.sealed is not None:
            return Content(ContentState.SEALED, row.sealed)
        return _UNREAD if row.text is None else await self._kept(row.text, row.change_id)

    async def _kept(self, text: str, change_id: str) -> Content:
        return await self._concealer.content(text, change_id)

    async def wait(self, most: timedelta) -> bool:
        """See the port; an outbox has no end."""
        await self._prune(self._connection())
        if self._in_vain > WAKES_FOR_NOTHING:
            await asyncio.sleep(REST.total_seconds())
        if not self._is_more:
            with suppress(TimeoutError):
                async with asyncio.timeout(most.total_seconds()):
                    await self._wake.wait()
        return True

    def hold(self, places: Collection[int]) -> None:
        """See :class:`bus.connect.source.Holds`."""
        self._held = sorted(places)

    # -- upkeep ---------------------------------------------------------------------------------

    async def _look_into_refused(self, connection: Connection, limits: Limits) -> None:
        """Seal refused changes from before that was done; once a term."""
        while not self._are_refused_seen:
            with translated(self.name):
                bounds = {"most": limits.change_bytes}
                cursor = await connection.execute(statements.NOT_LOOKED_AT, bounds)
                found = await cursor.fetchall()
            for seq, change_id, text in found:
                try:
                    content = _UNREAD if text is None else await self._kept(text, change_id)
                except KeysUnusable as error:  # asked for again with the next that is taken
                    if not self._is_plain_told:
                        self._is_plain_told = True
                        self._log.error("outbox-refused-not-sealed", code=error.code)
                    return
                said = {
                    "seq": seq, "sealed": content.sealed, "kept": str(content.kept),
                    "reasons": _reasons(Refusal(seq, []), content),
                }  # fmt: skip
                with translated(self.name):
                    await connection.execute(statements.LOOKED_AT, said)
            self._are_refused_seen = not found

    async def _prune(self, connection: Connection) -> None:
        """Delete a batch of rows that were sent or refused too long ago, now and then."""
        keeping = self._keeping
        if monotonic() < self._prune_at:
            return
        limits: dict[str, object] = {"keep": keeping.sent, "rows": keeping.prune_rows}
        with translated(self.name):
            sent = (await connection.execute(statements.PRUNE, limits)).rowcount
            refused = 0
            if keeping.refused is not None:
                limits["keep"] = keeping.refused
                refused = (await connection.execute(statements.PRUNE_REFUSED, limits)).rowcount
        if refused:
            self._log.warning("outbox-refused-pruned", changes=refused)
        if max(sent, refused) < keeping.prune_rows:
            self._prune_at = monotonic() + keeping.prune_every.total_seconds()

    def _connection(self) -> Connection:
        if self._work is None:
            raise RuntimeError("an outbox is worked on in a term")
        return self._work


def _shut(error: BusError) -> Fault:
    """The fault of a sealed change that cannot be opened."""
    return Fault(code=error.code, expected="a change that can be published")


def _reasons(refusal: Refusal, content: Content) -> str:
    """The reasons, and a note if the change's content is no longer there."""
    is_lacking = content.kept is ContentState.LACKING
    reasons = [TAKEN_OUT, *refusal.reasons] if is_lacking else refusal.reasons
    return Refusal(refusal.place, reasons).as_json
