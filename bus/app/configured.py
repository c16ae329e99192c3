"""What a process knows before it connects: settings, contracts, and the date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bus import settings as settings_tree
from bus.broker import TopicSpec
from bus.broker.topics import TopicShape, specs
from bus.catalog import Catalog
from bus.catalog import load as load_catalog
from bus.errors import BusError
from bus.hosting.feeds import JAPAN
from bus.model import Edition, Severity
from bus.policy import SubscriptionReport, effective_subscription, read_subscriptions
from bus.settings import Settings

if TYPE_CHECKING:
    from bus.local.stack import LocalStack

_NOTHING_APPLIED: Mapping[str, Edition | BusError] = MappingProxyType({})


def settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; the environment is read here and nowhere else.

    Raises:
        ConfigurationError: A setting that cannot be used.
    """
    return settings_tree.load(os.environ, overrides)


def settings_and_origins() -> tuple[Settings, Mapping[str, str]]:
    """The settings of this process, and where each value came from."""
    return settings_tree.resolve(os.environ)


def local_stack(
    settings: Settings, chosen: Mapping[str, int] | None = None, *, engines: Path | None = None
) -> LocalStack:
    """The stack on this home; *chosen* are ports by engine, *engines* where their files lie."""
    from bus.local.stack import LocalStack  # an option: only who runs engines needs its packages

    return LocalStack(
        settings.home, engines=engines, chosen=chosen, maven=settings.maven, environment=os.environ
    )


def catalog(settings: Settings) -> Catalog:
    """The streams, as the schemas folder of these settings has them.

    Raises:
        FilesRefused: The schema files have faults.
    """
    return load_catalog(settings.schemas)


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """The topics of all streams, as these settings want them."""
    shape = TopicShape(
        partitions=settings.partitions,
        replication=settings.replication,
        compaction_lag=settings.compaction_lag,
        max_message_bytes=settings.max_message_bytes,
    )
    return specs(catalog(settings).streams.values(), shape)


def private_use(settings: Settings) -> Severity:
    """The severity of a private-use character (外字) in a change."""
    return Severity.ERROR if settings.private_use_table is None else Severity.WARNING


def this_day() -> date:
    """Today's date in Japan, by which a subscription's days are judged."""
    return datetime.now(JAPAN).date()


def granted(
    settings: Settings, today: date, editions: Mapping[str, Edition | BusError] = _NOTHING_APPLIED
) -> dict[str, dict[str, frozenset[str]]]:
    """System -> stream -> event types, of every grant in force; systems without any included.

    Of a grant with conditions on the record none is there: whether an event fits them is in no
    ledger, so that nobody can say from there that it is missing.

    Args:
        settings: Where the files are.
        today: The day on which a grant must be in force.
        editions: What was applied, by system; the files hold for the others.

    Raises:
        FilesRefused: The schema files have faults. A faulty subscription grants nothing.
    """
    streams = catalog(settings)
    return granted_by(read_subscriptions(streams), streams, today, editions)


def granted_by(
    files: SubscriptionReport,
    streams: Catalog,
    today: date,
    editions: Mapping[str, Edition | BusError],
) -> dict[str, dict[str, frozenset[str]]]:
    """As :func:`granted`, of files that are read."""
    systems = sorted(files.subscriptions.keys() | editions.keys())
    found = {
        s: effective_subscription(s, files, editions.get(s), streams).subscription for s in systems
    }
    return {
        system: {
            stream: frozenset() if grant.where else frozenset(grant.event_types)
            for stream, grant in subscription.streams.items()
            if grant.is_in_force(today)
        }
        for system, subscription in found.items()
        if subscription is not None
    }
