"""Several relays in one process, each for itself: what ends one ends no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from bus.errors import BusError
from bus.publish.outbox.relay import Relay

log = structlog.get_logger()


async def run_together(relays: Sequence[Relay], stop: asyncio.Event) -> None:
    """Run until *stop* is set or every relay has ended; stopping lets each finish its batch.

    Raises:
        BusError: The first relay that could not work, once all have ended.
    """
    tasks = [asyncio.create_task(_run(relay)) for relay in relays]
    stopping = asyncio.create_task(stop.wait())
    everything = asyncio.gather(*tasks, return_exceptions=True)
    either: set[asyncio.Future[Any]] = {stopping, everything}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for relay in relays:
            relay.stop()
        results = await everything
    finally:
        stopping.cancel()
        everything.cancel()
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _run(relay: Relay) -> None:
    try:
        await relay.run()
    except BusError as error:
        log.error("relay-ended", system=relay.system, code=error.code, reason=error.message)
        raise
