"""The composition root: the one place that builds adapters and joins parts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bus import settings as settings_tree
from bus.broker import TopicSpec
from bus.broker.kafka import KafkaBroker
from bus.broker.topics import Shape, specs
from bus.catalog import Catalog, columns, plain, single
from bus.catalog import load as load_catalog
from bus.catalog.examples import check_examples
from bus.catalog.registry import Registry
from bus.errors import ConfigurationError
from bus.model import Fault, Stream
from bus.publish.check import check_columns
from bus.publish.outbox import Backoff, Pace, Relay, reach, run_together
from bus.publish.publisher import Publisher
from bus.settings import Settings

if TYPE_CHECKING:
    from bus.local.stack import LocalStack

# --- settings ---------------------------------------------------------------------------------


def settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; the environment is read here and nowhere else.

    Raises:
        ConfigurationError: A setting that cannot be used.
    """
    return settings_tree.load(os.environ, overrides)


def settings_and_origins() -> tuple[Settings, Mapping[str, str]]:
    """The settings of this process, and where each value came from."""
    return settings_tree.resolve(os.environ)


# --- the one-machine stack --------------------------------------------------------------------


def local_stack(settings: Settings, chosen: Mapping[str, int] | None = None) -> LocalStack:
    """The stack on this home; *chosen* are ports by engine."""
    from bus.local.stack import LocalStack  # an option: only who runs engines needs its packages

    return LocalStack(settings.home, chosen=chosen, maven=settings.maven, environment=os.environ)


# --- contracts --------------------------------------------------------------------------------


def catalog(settings: Settings) -> Catalog:
    """The streams, as the schemas folder of these settings has them.

    Raises:
        FilesRefused: The schema files have faults.
    """
    return load_catalog(settings.schemas)


# --- outboxes ---------------------------------------------------------------------------------


def outboxes(settings: Settings, systems: Sequence[str] = ()) -> dict[str, str]:
    """URIs of the publishing systems' databases, of those named or of all.

    Raises:
        ConfigurationError: A named system has none in the settings, or there is none at all.
    """
    for system in systems:
        if system not in settings.outboxes:
            raise ConfigurationError("no outbox of this system in RENKEI_OUTBOXES", system=system)
    if not settings.outboxes:
        raise ConfigurationError("set RENKEI_OUTBOXES: publishing system -> URI of its database")
    chosen = systems or sorted(settings.outboxes)
    return {system: settings.outboxes[system].get_secret_value() for system in chosen}


async def run_relays(settings: Settings, systems: Sequence[str] = ()) -> None:
    """Send the outboxes of *systems* (none: all of the settings) until SIGTERM or SIGINT.

    Raises:
        BusError: An outbox cannot work as it is configured; the others were sent meanwhile.
    """
    uris = outboxes(settings, systems)
    streams = catalog(settings)
    send_within = settings.relay_lease * 2 / 3
    pace = Pace(
        lease=settings.relay_lease,
        send_within=send_within,
        keep=settings.outbox_keep,
        retry_first=settings.retry_first,
        retry_most=settings.retry_most,
        stop_within=settings.stop_within,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        cluster = await reach(
            stack,
            lambda: broker(settings, patience=send_within / 2),
            Backoff(settings.retry_first, settings.retry_most),
            stop,
        )
        if cluster is None:
            return

        def publisher(guard: Callable[[], None]) -> Publisher:
            return Publisher(
                streams,
                known,
                cluster,
                guard=guard,
                max_message_bytes=settings.max_message_bytes,
            )

        relays = [Relay(system, uri, publisher, pace=pace) for system, uri in uris.items()]
        await run_together(relays, stop)


def example_faults(catalog: Catalog) -> list[Fault]:
    """What the example files say that the checks of publishing do not, and the other way round."""
    now = datetime.now(UTC)

    def judge(stream: Stream, value: Any) -> list[Fault]:
        native, faults = plain.from_json(stream.latest, value)
        if faults or stream.is_internal:
            return faults
        payload = single.encode_one(stream.latest, native)
        return check_columns(catalog, stream, columns.decode(stream.latest, [payload]), now=now)

    return check_examples(catalog, judge)


def registry(settings: Settings) -> Registry:
    """The schema registry of these settings; the caller closes it.

    Raises:
        ConfigurationError: No registry is set.
    """
    return Registry(settings.need("registry"))


# --- the log ----------------------------------------------------------------------------------


@asynccontextmanager
async def broker(
    settings: Settings, *, patience: timedelta = timedelta(seconds=20)
) -> AsyncIterator[KafkaBroker]:
    """The cluster of these settings, started; closed on the way out.

    Args:
        patience: How long a producer waits for any acknowledgement before it gives up.

    Raises:
        BrokerUnavailable: It does not answer.
    """
    cluster = KafkaBroker(
        settings.need("kafka"),
        fetch_bytes=settings.fetch_bytes,
        max_message_bytes=settings.max_message_bytes,
        patience=patience,
    )
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.close()


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """The topics that these settings' streams want."""
    shape = Shape(
        partitions=settings.partitions,
        replication=settings.replication,
        compaction_lag=settings.compaction_lag,
        max_message_bytes=settings.max_message_bytes,
    )
    return specs(catalog(settings).streams.values(), shape)
