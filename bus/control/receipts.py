"""Send receipts of what lanes applied; a lane waits for the acknowledgement before it goes on.

All lanes of a process share one sender. What arrives while a batch of receipts is under way goes
together with the next one, so that hundreds of receipts a second cost a few requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from bus.backoff import BackOff
from bus.clock import Clock
from bus.errors import BrokerUnavailable, BusError
from bus.log.internal import InternalTopic
from bus.model import Receipt
from bus.model.receipt import proved_of
from bus.observe.tasks import SupervisedTask, Tasks
from bus.retry import retried
from bus.sealing import ProofKind, Proofs

_log = structlog.get_logger("renkei.deliver")
_Waiting = tuple[str, dict[str, Any], asyncio.Future[None]]


def lane_key(system: str, stream: str, partition: int) -> str:
    """The Kafka key of a lane's receipts: one key per lane keeps them in order."""
    return f"{system}/{stream}/{partition}"


def said_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The text that a receipt's proof is made of, from its row in the log."""
    return proved_of(row["chain"], row["applied_at"], row["cluster_id"])


class Receipts:
    """Sends receipts in the order given, as many at once as are waiting."""

    def __init__(
        self,
        topic: InternalTopic,
        cluster_id: str,
        clock: Clock,
        back_off: BackOff,
        tasks: Tasks,
        proofs: Proofs,
    ) -> None:
        self._topic = topic
        self._proofs = proofs
        self._cluster_id = cluster_id
        self._clock = clock
        self._back_off = back_off
        self._tasks = tasks
        self._waiting: list[_Waiting] = []
        self._under_way: list[_Waiting] = []
        self._news = asyncio.Event()
        self._sender: SupervisedTask | None = None

    def start(self) -> None:
        """Start the sender; one that fails starts again with the receipts it had."""
        self._sender = self._tasks.keep("receipts", self._send_forever)

    def send(self, receipt: Receipt, applied_at: datetime) -> asyncio.Future[None]:
        """Send *receipt*; the future is done once it is acknowledged."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        row = {
            "system": receipt.system,
            "stream": receipt.stream,
            "partition": receipt.partition,
            "start": receipt.start,
            "end": receipt.end,
            "delivered": receipt.delivered,
            "view": receipt.view,
            "rows": receipt.rows,
            "digest": receipt.digest,
            "previous": receipt.previous,
            "chain": receipt.chain,
            "applied_at": applied_at,
            "cluster_id": self._cluster_id,
            "is_replay": receipt.start == receipt.end,
        }
        if self._sender is None:
            done.set_exception(BrokerUnavailable("the sender of receipts is closed"))
            return done
        key = lane_key(receipt.system, receipt.stream, receipt.partition)
        self._waiting.append((key, row, done))
        self._news.set()
        return done

    @property
    def waiting(self) -> int:
        """How many receipts are not acknowledged yet."""
        return len(self._waiting) + len(self._under_way)

    async def close(self) -> None:
        """Stop sending; what was not acknowledged is sent again by whoever opens the lane."""
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.end()
        for _, _, done in (*self._under_way, *self._waiting):
            done.cancel()  # nobody may wait for ever for a sender that is gone

    async def _send_forever(self) -> None:
        while True:
            if not self._under_way:
                await self._news.wait()
                self._news.clear()
                self._under_way, self._waiting = self._waiting, []
            try:
                await self._send(self._under_way)
            except BusError as error:
                for _, _, done in self._under_way:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, _, done in self._under_way:
                    if not done.done():
                        done.set_result(None)
            self._under_way = []

    async def _send(self, waiting: Sequence[_Waiting]) -> None:
        async def append() -> None:
            rows = [
                {**row, "proof": await self._proofs.prove(ProofKind.RECEIPT, said_of(row))}
                for _, row, _ in waiting
            ]
            await self._topic.append([key for key, _, _ in waiting], rows)

        async def wait(error: BusError, length: timedelta) -> None:
            _log.warning("receipts-wait", code=error.code, receipts=len(waiting))
            await self._clock.sleep(length)

        await retried(append, self._back_off, wait)
