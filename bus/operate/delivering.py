"""Deliveries as one process runs them, and how far it is, to whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from bus.app.deliveries import run_deliveries
from bus.deliver.process import ProcessContext
from bus.deliver.state import Lanes, LaneStatus
from bus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryProgress:
    """How far a process is."""

    rows: int  # handed to stores since its start
    moved: int  # of them since the look before
    rate: float  # of these, per second
    running: int  # lanes that get on
    lanes: int  # all that it hosts or hosted


class DeliveryProcess:
    """A process that delivers, looked at as often as somebody likes."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def every(self, seconds: float) -> AsyncIterator[DeliveryProgress]:
        """How far it is, again and again, the first time after *seconds*."""
        before = 0
        while True:
            await asyncio.sleep(seconds)
            rows, lanes = self._lanes.rows, self._lanes.all.values()
            yield DeliveryProgress(
                rows=rows,
                moved=rows - before,
                rate=(rows - before) / seconds,
                running=len([lane for lane in lanes if lane.status is LaneStatus.RUNNING]),
                lanes=len(lanes),
            )
            before = rows


async def deliver(
    settings: Settings,
    systems: Sequence[str],
    *,
    once: bool,
    watch: Callable[[DeliveryProcess], Coroutine[Any, Any, None]],
    told_to_stop: Callable[[], None],
) -> None:
    """Deliver to *systems* (none: all of the settings, and the ledger) until SIGTERM or SIGINT.

    Args:
        once: Deliver what is in the log now, then end.
        watch: Runs meanwhile, for progress.
        told_to_stop: Called at the signal; what is in hand is finished after it.

    Raises:
        BusError: No system can be hosted as it is configured, or, *once*, not all was delivered.
    """

    async def watched(process: ProcessContext) -> None:
        await watch(DeliveryProcess(process.lanes))

    await run_deliveries(settings, systems, once=once, watch=watched, told_to_stop=told_to_stop)
