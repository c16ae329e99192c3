"""The composition root: the one place that builds adapters and joins parts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
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
async def broker(settings: Settings) -> AsyncIterator[KafkaBroker]:
    """The cluster of these settings, started; closed on the way out.

    Raises:
        BrokerUnavailable: It does not answer.
    """
    cluster = KafkaBroker(
        settings.need("kafka"),
        fetch_bytes=settings.fetch_bytes,
        max_message_bytes=settings.max_message_bytes,
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
