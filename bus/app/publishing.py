"""Changes in: from core systems' outboxes, and from whoever has changes in hand."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bus.access import number_form
from bus.app.configured import catalog, private_use
from bus.app.keys import sealed_streams, seals
from bus.app.outboxes import outboxes
from bus.app.outside import broker, connect, registry
from bus.broker import Broker
from bus.catalog import Catalog, columns, plain, single
from bus.catalog.examples import check_examples
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.connect.source import Guard
from bus.errors import ConfigurationError
from bus.model import Fault, Stream
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.observe.runner import this_process
from bus.observe.tasks import Tasks
from bus.publish.admission import Bounds
from bus.publish.check import check_columns
from bus.publish.digits import is_municipality
from bus.publish.holding import KeyGate
from bus.publish.hosting import run_together
from bus.publish.lookout import Lookout
from bus.publish.publisher import Publisher
from bus.publish.reporting import RelayReport
from bus.publish.runner import Pace, Runner
from bus.sealing import Seals
from bus.settings import Settings
from connectors.outbox.concealing import Concealer
from connectors.outbox.source import Keeping, OutboxSource
from connectors.outbox.upkeep import OutboxWatch


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


@dataclass(frozen=True, slots=True)
class Rules:
    """What every publisher of a process has in common."""

    settings: Settings
    streams: Catalog
    keys: Seals

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Those of these settings.

        Raises:
            FilesRefused: The schema files have faults.
            SettingsRefused: The settings name keys twice.
        """
        return cls(settings, catalog(settings), seals(settings))

    def publisher(
        self, known: Registry, cluster: Broker, guard: Guard | None = None, **options: Any
    ) -> Publisher:
        """A publisher by these rules; *options* are its own."""
        return Publisher(
            self.streams,
            known,
            cluster,
            guard=guard,
            max_message_bytes=self.settings.max_message_bytes,
            private_use=private_use(self.settings),
            form=number_form(self.settings),
            seals=self.keys,
            **options,
        )

    def concealer(self) -> Concealer:
        """What knows what must not lie about in an outbox."""
        published = [s for s in self.streams.streams.values() if not s.is_internal]
        return Concealer(
            self.keys,
            sealed=[stream.name for stream in published if stream.sealed],
            known=[stream.name for stream in published],
        )


async def run_relays(settings: Settings, systems: Sequence[str] = ()) -> None:
    """Send the outboxes of *systems* (none: all of the settings) until SIGTERM or SIGINT.

    Raises:
        BusError: An outbox cannot work as it is configured; the others were sent meanwhile.
    """
    uris = outboxes(settings, systems)
    rules = Rules.of(settings)
    send_within = settings.relay_lease * 2 / 3
    pace = Pace(
        send_within=send_within,
        change_bytes=settings.change_bytes,
        retry_first=settings.retry_first,
        retry_most=settings.retry_most,
        stop_within=settings.stop_within,
    ).shared_by(len(uris))
    keeping = Keeping(
        lease=settings.relay_lease,
        send_within=send_within,
        sent=settings.outbox_keep,
        refused=settings.refused_keep,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        cluster = await connect(stack, settings, stop, patience=send_within / 2)
        if cluster is None:
            return
        metrics, concealer = Metrics(), rules.concealer()

        def runner(system: str, uri: str) -> Runner:
            bounds = _bounds(settings, system)
            learn = provided_by(rules.streams, bounds.sources)
            make = partial(
                rules.publisher, known, cluster, learn=learn, asks_keys=False, metrics=metrics
            )
            source = OutboxSource(
                system, uri, holder=this_process(), concealer=concealer, keeping=keeping
            )
            return Runner(source, make, admit=bounds, gate=gate, pace=pace, report=reports[system])

        gate = KeyGate(rules.keys, sealed_streams(settings))
        reports = {system: RelayReport(system, metrics) for system in uris}
        runners = [runner(system, uri) for system, uri in uris.items()]
        tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
        lookouts = [
            Lookout(
                system,
                OutboxWatch(system, uri),
                metrics=metrics,
                refused_keep=settings.refused_keep,
            )
            for system, uri in uris.items()
        ]
        for each in lookouts:
            kept = tasks.keep("lookout", each.run, system=each.system)
            stack.push_async_callback(kept.end)
        if settings.http_port is not None:
            ill = {f"outbox of {each.system}": each.ill for each in lookouts}
            held = {f"changes of {system}": each.ill for system, each in reports.items()}
            pages = http.build(metrics, ready={"tasks": tasks.ill, **ill, **held})
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.http_port, tasks)
            )
        await run_together(runners, stop, tasks)


@asynccontextmanager
async def publisher(settings: Settings, *, is_dry: bool = False) -> AsyncIterator[Publisher]:
    """A publisher of these settings, started; closed on the way out.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    keep_freed()
    rules = Rules.of(settings)
    async with registry(settings) as known, broker(settings) as cluster:
        made = rules.publisher(known, cluster, is_dry=is_dry)
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
