"""Apply a batch and move its lane: rows, position and receipt at once, then send the receipt.

A store remembers one receipt, so at most one can be owed: a batch is not applied before the
receipt of the one before it is acknowledged.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import datetime
from time import monotonic

from bus.deliver.context import LaneContext, PartitionConsumer
from bus.deliver.coverage import Coverage
from bus.deliver.projector import Projector
from bus.deliver.receipting import ReceiptIssuer
from bus.deliver.retrier import Retrier
from bus.deliver.rows import Rows
from bus.deliver.shared_sink import SharedSink
from bus.errors import BusError, LaneError, Reaction, Remedy
from bus.failpoints import Point, passed
from bus.model import (
    Applied,
    Delivery,
    Erasures,
    Mark,
    Position,
    Protected,
    ProtectionChange,
    Receipt,
    Rewrites,
    Step,
    Upserts,
    rows_in,
)
from bus.model.receipt import NO_PREVIOUS

_MASKED_AT_ONCE = 10  # times that a batch is masked again before the lane takes breath


class Applier:
    """Knows a lane's position and chain of receipts, and the receipt that is under way."""

    def __init__(
        self,
        context: LaneContext,
        sink: SharedSink,
        consumer: PartitionConsumer,
        *,
        retrier: Retrier,
        projector: Projector,
        receipts: ReceiptIssuer,
        coverage: Coverage,
    ) -> None:
        self._context = context
        self._sink = sink
        self._consumer = consumer
        self._retrier = retrier
        self._projector = projector
        self._receipts = receipts
        self._coverage = coverage
        self._ahead_check = coverage.ahead_check()
        self._started = 0.0  # when the batch in hand was taken up
        self._chain = NO_PREVIOUS
        self._applied_at: datetime | None = None
        self._is_moving = False
        self._unsettled: tuple[Awaitable[None] | None, int] | None = None
        self.position = context.at(0)

    @property
    def chain(self) -> str:
        """The chain value of the last receipt."""
        return self._chain

    @property
    def owes(self) -> bool:
        """Whether a receipt is not acknowledged yet."""
        return self._unsettled is not None

    def stand(self, position: Position, chain: str, applied_at: datetime | None) -> None:
        """Take over the position and receipt that the store has; no receipt is under way."""
        self.position, self._chain, self._unsettled = position, chain, None
        self._context.state.offset, self._applied_at = position.offset, applied_at

    @property
    def mark(self) -> Mark | None:
        """The mark that the store must have for this lane; None while that may be changing."""
        if self._is_moving:
            return None
        return Mark(self.position.offset, self._applied_at)

    def let_go(self) -> None:
        """Forget the receipt that is under way: the lane's next owner sends it."""
        self._unsettled = None

    def begin(self) -> None:
        """Start the time of a batch."""
        self._started = monotonic()

    async def move(
        self,
        rows: Rows,
        end: Position,
        erased: tuple[str, ...] = (),
        restored: tuple[str, ...] = (),
        *,
        protected: Protected | None = None,
    ) -> None:
        """Make *rows* and the position *end* durable; the receipt is then under way.

        Args:
            rows: Seen by the view, and, where it withholds, masked. If the store knows of a newer
                protection, they are masked again.
            end: Where the lane stands then; where it stands now, for a retry.
            erased: Keys of subjects whose rows must go.
            restored: Keys of subjects whose rows, as they stand in the store, these are anew.
            protected: Who is covered, for the store to be told; a lane of the protection stream
                always tells it who is by now.

        Raises:
            EventRefused: The store refuses a row; nothing was written.
            LaneLost: Somebody else moved the lane.
        """
        step = await self._receipts.step(
            rows, self.position.offset, end, self._chain, self._applied_at
        )
        if protected is None:
            protected = await self._coverage.along()
        delivery = _delivery(step, rows, erased, restored, protected)
        await self.settle()
        await self._receipts.record_view()
        self._is_moving = True
        try:
            applied = await self._applied(delivery, rows)
            self.position, self._chain = end, step.receipt.chain
            self._applied_at = applied.applied_at
        finally:
            self._is_moving = False
        self._unsettled = (self._receipts.send(step.receipt, applied.applied_at), end.offset)
        self._count(len(rows), applied)
        self._say_restricted(step.receipt)

    async def erase(self, rows: Rows, end: Position, keys: Sequence[bytes | None]) -> None:
        """Delete the rows of these subjects, and move to *end*.

        Args:
            rows: What the receipt says of it; no row of it is written.

        Raises:
            LaneError: The store refuses.
            LaneLost: Somebody else moved the lane.
        """
        erased = tuple(dict.fromkeys(key.decode("utf-8", "replace") for key in keys if key))
        try:
            await self.move(rows, end, erased)
        except BusError as error:
            if error.reaction is Reaction.PARK:
                raise LaneError("the store refuses to erase", **self._context.where) from error
            raise

    async def settle(self) -> None:
        """Wait until the receipt under way is acknowledged; then the group may be told."""
        if self._unsettled is None:
            return
        sent, offset = self._unsettled
        if sent is not None:
            await sent
        passed(Point.LANE_RECEIPTED)
        self._unsettled = None
        self._consumer.done(offset)

    async def _applied(self, delivery: Delivery, rows: Rows) -> Applied:
        """Apply, again and again while the store is away; it may have committed unheard.

        What is tried again is masked anew: a store that is away may be away for long. A store that
        knows of newer coverage than the rows were masked under, or than is said to it, has written
        nothing: it is asked for again, at once, because the next change may be on its way.
        """
        sink, is_unknown = self._sink, False

        async def masked_by_now() -> None:
            nonlocal delivery, rows
            if rows_in(delivery):
                rows = await self._projector.anew(rows)
            delivery = _seen_anew(delivery, rows)
            if isinstance(delivery, ProtectionChange):
                delivery = replace(delivery, protected=await self._coverage.by_now())

        async def once() -> Applied:
            nonlocal is_unknown
            if is_unknown:
                held = await sink.checkpoint(delivery.partition)
                if held is not None and held.receipt.chain == delivery.receipt.chain:
                    await self._receipts.insist(held)
                    return Applied(rows_in(delivery), held.applied_at)
                is_unknown = False
                if delivery.view.is_fenced and rows_in(delivery):
                    await masked_by_now()
            for tries in itertools.count(1):
                try:
                    return await sink.apply(delivery)
                except BusError as error:
                    if error.remedy is not Remedy.MASK_AGAIN:
                        is_unknown = is_unknown or error.reaction is Reaction.RETRY
                        raise
                    if tries > _MASKED_AT_ONCE:
                        await self._ahead_check.insist((await sink.to_restore()).reached)
                        raise
                await masked_by_now()
            raise AssertionError("unreachable")

        return await self._retrier.persist(once)

    def _count(self, rows: int, applied: Applied) -> None:
        context = self._context
        context.state.offset = self.position.offset
        context.state.batches += 1
        context.state.rows += rows
        context.state.applied_at = applied.applied_at
        seconds = monotonic() - self._started
        context.metrics.applied(*context.labels, rows, seconds, applied.applied_at)

    def _say_restricted(self, receipt: Receipt) -> None:
        """Count and log a delivery with restricted items; the receipt is its record."""
        context = self._context
        if not receipt.rows or not context.view.is_restricted:
            return
        context.metrics.restricted(*context.labels, receipt.rows)
        context.log.info(
            "restricted-delivered",
            rows=receipt.rows,
            view=receipt.view,
            start=receipt.start,
            end=receipt.end,
        )


def _delivery(
    step: Step,
    rows: Rows,
    erased: tuple[str, ...],
    restored: tuple[str, ...],
    protected: Protected | None,
) -> Delivery:
    """The delivery that the store is given: the rows' columns, not copied, without the bytes that
    their receipt was made of, which are no store's business."""
    if restored:
        return Rewrites(
            step=step, keys=restored, records=rows.records, masked_under=rows.masked_under
        )
    content: Upserts | Erasures
    if erased:
        content = Erasures(step=step, keys=erased)
    else:
        content = Upserts(step=step, records=rows.records, masked_under=rows.masked_under)
    if protected is None:
        return content
    return ProtectionChange(protected=protected, brought_by=content)


def _seen_anew(delivery: Delivery, rows: Rows) -> Delivery:
    """The same delivery, with its rows masked as of now; those of before may show too much."""
    match delivery:
        case Upserts() | Rewrites():
            return replace(delivery, records=rows.records, masked_under=rows.masked_under)
        case ProtectionChange(brought_by=Upserts() as content):
            anew = replace(content, records=rows.records, masked_under=rows.masked_under)
            return replace(delivery, brought_by=anew)
        case _:  # of an erasure there is nothing to see
            return delivery
