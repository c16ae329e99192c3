"""Make the clients of registry, Kafka and ledger from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import structlog

from bus.broker.kafka import KafkaBroker
from bus.catalog.registry import Registry
from bus.credentials import kafka_security, registry_security
from bus.errors import BusError
from bus.ledger import Ledger
from bus.retry import retried
from bus.settings import Settings

PATIENCE = timedelta(seconds=20)
log = structlog.get_logger()


def registry(settings: Settings) -> Registry:
    """The schema registry of these settings; the caller closes it.

    Raises:
        ConfigurationError: No registry is set, or not how to enter it.
    """
    return Registry(settings.need("registry"), registry_security(settings))


@asynccontextmanager
async def broker(
    settings: Settings, *, patience: timedelta = PATIENCE
) -> AsyncIterator[KafkaBroker]:
    """The cluster of these settings, started; closed on the way out.

    Args:
        patience: How long a producer waits for any acknowledgement before it gives up.

    Raises:
        BrokerUnavailable: It does not answer.
        ConfigurationError: It cannot be trusted, it does not let us in, or we do not know how.
    """
    cluster = KafkaBroker(
        settings.need("kafka"),
        kafka_security(settings),
        fetch_bytes=settings.fetch_bytes,
        max_message_bytes=settings.max_message_bytes,
        session_timeout=settings.session_timeout,
        patience=patience,
    )
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.close()


@asynccontextmanager
async def ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """A client of the ledger of these settings; it connects with the first question."""
    asked = Ledger(settings.need("database"))
    try:
        yield asked
    finally:
        await asked.close()


async def connect(
    stack: AsyncExitStack,
    settings: Settings,
    stop: asyncio.Event,
    *,
    patience: timedelta = PATIENCE,
) -> KafkaBroker | None:
    """The cluster of these settings, entered into *stack*; asked again while it does not answer.

    None if it was told to stop before.

    Raises:
        ConfigurationError: Asking again would not help.
    """

    async def act() -> KafkaBroker | None:
        if stop.is_set():
            return None
        return await stack.enter_async_context(broker(settings, patience=patience))

    async def wait(error: BusError, length: timedelta) -> None:
        log.warning("start-waits", code=error.code, reason=error.message, wants="kafka")
        with suppress(TimeoutError):
            async with asyncio.timeout(length.total_seconds()):
                await stop.wait()

    return await retried(act, settings.back_off(), wait)
