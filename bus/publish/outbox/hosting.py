"""Several relays in one process, each for itself: what ends one ends no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any, TypeVar

import structlog

from bus.backoff import BackOff
from bus.errors import BusError, Unavailable
from bus.publish.outbox.relay import Relay

log = structlog.get_logger()
T = TypeVar("T")


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


async def reach(
    stack: AsyncExitStack,
    enter: Callable[[], AbstractAsyncContextManager[T]],
    back_off: BackOff,
    stop: asyncio.Event,
) -> T | None:
    """Enter what may be away at first, asking again until it is there; None if stopped before."""
    while not stop.is_set():
        try:
            return await stack.enter_async_context(enter())
        except Unavailable as error:
            log.warning("relay-waits", code=error.code, reason=error.message)
        with suppress(TimeoutError):
            async with asyncio.timeout(back_off.next().total_seconds()):
                await stop.wait()
    return None
