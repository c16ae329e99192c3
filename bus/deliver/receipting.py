"""Make, prove and send the receipts of one lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime

from bus.control.receipts import Receipts
from bus.control.testimony import Testimony
from bus.control.views import Views
from bus.deliver.context import LARGE, LaneContext
from bus.deliver.retrier import Retrier
from bus.deliver.rows import Rows, ranges
from bus.errors import PositionForged
from bus.model import Checkpoint, Position, Receipt, Step
from bus.sealing import Proofs
from bus.sealing.proofs import digest


class ReceiptIssuer:
    """Makes one lane's receipts; the ledger's are kept in its store and not sent."""

    def __init__(
        self,
        context: LaneContext,
        retrier: Retrier,
        *,
        proofs: Proofs,
        testimony: Testimony,
        views: Views,
        receipts: Receipts,
        sends: bool,
    ) -> None:
        self._context = context
        self._retrier = retrier
        self._proofs = proofs
        self._testimony = testimony
        self._views = views
        self._receipts = receipts
        self._sends = sends

    async def step(
        self, rows: Rows, start: int, end: Position, previous: str, before: datetime | None
    ) -> Step:
        """Position, receipt and proof, for a store to make durable with *rows*.

        Args:
            previous: The chain value of the batch before it.
            before: When that was applied, by the store's clock.
        """
        context, values = self._context, rows.values
        key = (await self._retrier.persist(self._proofs.ring)).current
        is_large = len(rows) >= LARGE
        said = await asyncio.to_thread(digest, key, values) if is_large else digest(key, values)
        receipt = Receipt(
            system=context.view.system,
            stream=context.view.stream,
            partition=context.place[1],
            start=start,
            end=end.offset,
            delivered=ranges(rows.offsets),
            view=context.view.fingerprint,
            rows=len(rows),
            digest=said,
            previous=previous,
        )
        return Step(
            view=context.view,
            partition=context.place[1],
            start=start,
            end=end,
            receipt=receipt,
            proof=await self._testimony.prove(context.name, end, receipt, before),
        )

    async def record_view(self) -> None:
        """Record the view, before a receipt names it."""
        if self._sends:
            view = self._context.view
            await self._retrier.persist(lambda: self._views.record(view))

    def send(self, receipt: Receipt, applied_at: datetime) -> Awaitable[None] | None:
        """Send the receipt of *step*; what to wait for until it is acknowledged."""
        return self._receipts.send(receipt, applied_at) if self._sends else None

    async def insist(self, held: Checkpoint) -> None:
        """Check that the bus wrote the store's checkpoint.

        Raises:
            PositionForged: Somebody else's.
        """
        try:
            await self._testimony.insist(self._context.name, self._context.place, held)
        except PositionForged:
            self._context.stuck_at = held.position.offset
            raise

    async def take_up(self, held: Checkpoint) -> None:
        """As :meth:`insist`, repeated while something does not answer."""
        if self._sends:
            await self._retrier.persist(lambda: self.insist(held))

    async def send_again(self, held: Checkpoint) -> None:
        """Send the receipt that a store keeps: it may never have been sent."""
        if (sent := self.send(held.receipt, held.applied_at)) is not None:
            await sent
