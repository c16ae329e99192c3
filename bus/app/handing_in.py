"""Take changes that are handed in, for a way in from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bus.app.clients import broker, registry
from bus.app.publishing import Rules, agreement, turns
from bus.broker import Broker
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.errors import ConfigurationError
from bus.observe.tasks import Tasks
from bus.publish.admission import Bounds
from bus.publish.agreement import Agreed
from bus.publish.intake import Intake
from bus.settings import Settings


def taking_in(rules: Rules, known: Registry, cluster: Broker, tasks: Tasks) -> Intake:
    """An intake into this log, for the systems that ``RENKEI_INTAKE`` names.

    Raises:
        ConfigurationError: It names none, or there is no database to take turns by.
    """
    settings = rules.settings
    if not settings.intake:
        raise ConfigurationError("set RENKEI_INTAKE: the systems that may hand changes in")
    make = partial(rules.publisher, known, cluster)
    return Intake(
        partial(Agreed, make, agreement=agreement(rules, cluster, tasks)),
        turns(settings),
        here=Bounds(frozenset(settings.intake)),
        close_within=settings.relay_lease * 4 / 3,
    )


@asynccontextmanager
async def intake(settings: Settings, tasks: Tasks) -> AsyncIterator[Intake]:
    """An intake of these settings; closed on the way out. One per process, with its *tasks*.

    Raises:
        ConfigurationError: As :func:`taking_in`.
        BrokerUnavailable: The broker does not answer.
    """
    keep_freed()
    rules = Rules.of(settings)
    patience = settings.relay_lease / 3
    async with registry(settings) as known, broker(settings, patience=patience) as cluster:
        made = taking_in(rules, known, cluster, tasks)
        try:
            yield made
        finally:
            await made.close()
