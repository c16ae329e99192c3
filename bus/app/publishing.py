"""Changes in: from core systems' outboxes, and from whoever has changes in hand."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bus.access import number_form
from bus.app.configured import catalog, private_use
from bus.app.keys import seals
from bus.app.outside import broker, connect, registry
from bus.catalog import Catalog, columns, plain, single
from bus.catalog.examples import check_examples
from bus.catalog.memory import keep_freed
from bus.errors import ConfigurationError
from bus.model import Fault, Stream
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.check import check_columns
from bus.publish.digits import is_municipality
from bus.publish.outbox import Bounds, Lookout, Pace, Relay, run_together
from bus.publish.outbox.concealing import Concealer
from bus.publish.publisher import Publisher
from bus.settings import Settings


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
    return {system: settings.outboxes[system].uri.get_secret_value() for system in chosen}


def _bounds(settings: Settings, system: str) -> Bounds:
    said = settings.outboxes[system]
    municipalities = None if said.municipalities is None else frozenset(said.municipalities)
    if not all(map(is_municipality, municipalities or ())):
        raise ConfigurationError(
            "RENKEI_OUTBOXES: a municipality is a 全国地方公共団体コード of six digits",
            system=system,
        )
    return Bounds(frozenset(said.sources or (system,)), municipalities)


def provided_by(catalog: Catalog, sources: Collection[str]) -> list[str]:
    """The streams that any of these systems publishes: whose versions their relay must know."""
    return [
        name
        for name, stream in catalog.streams.items()
        if not stream.is_internal and not set(sources).isdisjoint(stream.providers)
    ]


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
        refused_keep=settings.refused_keep,
        change_bytes=settings.change_bytes,
        retry_first=settings.retry_first,
        retry_most=settings.retry_most,
        stop_within=settings.stop_within,
    ).shared_by(len(uris))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        cluster = await connect(stack, settings, stop, patience=send_within / 2)
        if cluster is None:
            return
        metrics, keys = Metrics(), seals(settings)

        def publisher(bounds: Bounds, guard: Callable[[], None]) -> Publisher:
            return Publisher(
                streams,
                known,
                cluster,
                guard=guard,
                max_message_bytes=settings.max_message_bytes,
                private_use=private_use(settings),
                form=number_form(settings),
                learn=provided_by(streams, bounds.sources),
                seals=keys,
                metrics=metrics,
            )

        published = [stream for stream in streams.streams.values() if not stream.is_internal]
        concealer = Concealer(
            keys,
            sealed=[stream.name for stream in published if stream.sealed],
            known=[stream.name for stream in published],
        )
        relays = []
        for system, uri in uris.items():
            bounds = _bounds(settings, system)
            make = partial(publisher, bounds)
            relays.append(
                Relay(
                    system, uri, make, bounds=bounds, concealer=concealer, pace=pace,
                    metrics=metrics,
                )
            )  # fmt: skip
        tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
        lookouts = [
            Lookout(system, uri, metrics=metrics, refused_keep=settings.refused_keep)
            for system, uri in uris.items()
        ]
        for each in lookouts:
            kept = tasks.keep("lookout", each.run, system=each.system)
            stack.push_async_callback(kept.end)
        if settings.http_port is not None:
            ill = {f"outbox of {each.system}": each.ill for each in lookouts}
            pages = http.build(metrics, ready={"tasks": tasks.ill, **ill})
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.http_port, tasks)
            )
        await run_together(relays, stop, tasks)


@asynccontextmanager
async def publisher(settings: Settings, *, is_dry: bool = False) -> AsyncIterator[Publisher]:
    """A publisher of these settings, started; closed on the way out.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    keep_freed()
    async with registry(settings) as known, broker(settings) as cluster:
        made = Publisher(
            catalog(settings),
            known,
            cluster,
            max_message_bytes=settings.max_message_bytes,
            private_use=private_use(settings),
            form=number_form(settings),
            seals=seals(settings),
            is_dry=is_dry,
        )
        try:
            await made.start()
            yield made
        finally:
            await made.close()


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
