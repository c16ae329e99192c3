"""Run relays, and make publishers for changes that somebody has in hand."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from bus.app import sources
from bus.app.clients import broker, connect, registry
from bus.app.configured import catalog, private_use
from bus.app.keys import seals
from bus.broker import Broker
from bus.catalog import Catalog, columns, plain, single
from bus.catalog.examples import check_examples
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.connect.source import Guard, Source
from bus.connect.source_kind import SourceContext, Times
from bus.credentials import number_form
from bus.model import PROTECTION, Fault, Stream
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.observe.runner import this_process
from bus.observe.tasks import Tasks
from bus.publish.agreement import Agreed, Agreement, Member
from bus.publish.check import check_columns
from bus.publish.held_changes import KeyGate
from bus.publish.publisher import Publisher, PublisherSettings
from bus.publish.runner import Runner, RunnerLimits
from bus.publish.runners import run_together
from bus.publish.sender import Publishes
from bus.publish.source_reports import RelayReport
from bus.publish.source_watch import SourceWatch
from bus.publish.taking_turns import HeldTerms, TakingTurns
from bus.publish.terms import DatabaseTerms
from bus.sealing import Seals
from bus.settings import Settings, SourceConnection


def provided_by(catalog: Catalog, sources: Collection[str]) -> list[str]:
    """The streams that any of these systems provides: the versions that their relay needs."""
    return [
        name
        for name, stream in catalog.streams.items()
        if not stream.is_internal and not set(sources).isdisjoint(stream.providers)
    ]


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that all publishers of a process have in common."""

    settings: Settings
    streams: Catalog
    keys: Seals

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules of these settings.

        Raises:
            FilesRefused: The schema files have faults.
            SettingsRefused: The settings name keys twice.
        """
        return cls(settings, catalog(settings), seals(settings))

    @property
    def sealed(self) -> list[str]:
        """The streams with an item that is sealed."""
        return [name for name, stream in self.streams.streams.items() if stream.sealed]

    def publisher(
        self,
        known: Registry,
        cluster: Broker,
        guard: Guard | None = None,
        *,
        learn: Iterable[str] = (),
        asks_keys: bool = True,
        is_dry: bool = False,
        metrics: Metrics | None = None,
    ) -> Publisher:
        """A publisher by these rules."""
        settings = PublisherSettings(
            max_message_bytes=self.settings.max_message_bytes,
            private_use=private_use(self.settings),
            form=number_form(self.settings),
            learn=tuple(learn),
            asks_keys=asks_keys,
            is_dry=is_dry,
        )
        return Publisher(
            self.streams, known, cluster, settings, guard=guard, seals=self.keys, metrics=metrics
        )

    def context(self, system: str) -> SourceContext:
        """What this process hands to one of its sources."""
        published = [s for s in self.streams.streams.values() if not s.is_internal]
        settings = self.settings
        return SourceContext(
            system=system,
            holder=this_process(),
            seals=self.keys,
            sealed=self.sealed,
            known=[stream.name for stream in published],
            times=Times(
                lease=settings.relay_lease,
                send_within=_send_within(settings),
                sent=settings.outbox_keep,
                refused=settings.refused_keep,
            ),
        )


@dataclass(frozen=True, slots=True)
class Relays:
    """The sources of some publishing systems, and the runner of each."""

    rules: Rules
    said: Mapping[str, SourceConnection]
    sources: Mapping[str, Source]
    metrics: Metrics
    reports: Mapping[str, RelayReport]

    @classmethod
    def of(cls, rules: Rules, systems: Sequence[str], metrics: Metrics) -> Relays:
        """The relays of *systems* (none: all of the settings).

        Raises:
            ConfigurationError: A source cannot be made as it is configured.
        """
        said = sources.connections(rules.settings, systems)
        made = {
            system: sources.relayed(connection, rules.context(system))
            for system, connection in said.items()
        }
        reports = {system: RelayReport(system, metrics) for system in made}
        return cls(rules, said, made, metrics, reports)

    def runners(self, known: Registry, cluster: Broker, tasks: Tasks) -> list[Runner]:
        """The runner of each source, into this log; what they have in common is kept by *tasks*."""
        settings = self.rules.settings
        gate = KeyGate(self.rules.keys, self.rules.sealed)
        terms = turns(settings) if settings.intake else None
        agreed = agreement(self.rules, cluster, tasks)
        pace = RunnerLimits(
            send_within=_send_within(settings),
            change_bytes=settings.change_bytes,
            retry_first=settings.retry_first,
            retry_most=settings.retry_most,
            stop_within=settings.stop_within,
        ).shared_by(len(self.sources))

        def runner(system: str, source: Source) -> Runner:
            bounds = sources.bounds(self.said[system], system)
            holds = source.capabilities.holds is not None
            make = partial(
                self.rules.publisher,
                known,
                cluster,
                learn=provided_by(self.rules.streams, bounds.sources),
                asks_keys=False,
                metrics=self.metrics,
            )
            report = self.reports[system]
            made: Callable[[Guard], Publishes] = partial(Agreed, make, agreement=agreed)
            if terms is not None and not bounds.sources.isdisjoint(settings.intake):
                held = HeldTerms(terms, settings.intake)
                made = partial(TakingTurns, made, held=held)
            return Runner(
                source, made, admit=bounds, gate=gate if holds else None, pace=pace, report=report
            )

        return [runner(system, source) for system, source in self.sources.items()]

    def watches(self) -> list[SourceWatch]:
        """The watch of each source that has one."""
        keep = self.rules.settings.refused_keep
        return [
            SourceWatch(system, watched.watch(), metrics=self.metrics, refused_keep=keep)
            for system, source in self.sources.items()
            if (watched := source.capabilities.watched) is not None
        ]


def _send_within(settings: Settings) -> timedelta:
    """How long a send may take: two thirds of a lease, so that a short sleep costs nothing."""
    return settings.relay_lease * 2 / 3


def turns(settings: Settings) -> DatabaseTerms:
    """The terms by which all processes that publish take turns for each system.

    A turn of a process that died, or failed while something was under way, runs out: everybody
    waits for longer than that.

    Raises:
        ConfigurationError: There is no database to take turns by.
    """
    return DatabaseTerms(
        settings.need("database"),
        holder=this_process(),
        lease=settings.relay_lease,
        send_within=_send_within(settings),
        patience=settings.relay_lease * 2,
    )


def held_terms(settings: Settings) -> HeldTerms:
    """The turns of a process that publishes for any system: of those with several ways in.

    Raises:
        ConfigurationError: There are such systems, and no database to take turns by.
    """
    return HeldTerms(turns(settings) if settings.intake else None, settings.intake)


def agreement(rules: Rules, cluster: Broker, tasks: Tasks) -> Agreement:
    """What holds this process to the ``RENKEI_INTAKE`` that the others have."""
    settings = rules.settings
    topic = rules.streams.stream(PROTECTION).topic  # there wherever anything is published
    mine = Member.here(settings.intake)
    return Agreement(cluster, topic, mine, tasks, fresh=settings.relay_lease)


async def run_relays(settings: Settings, systems: Sequence[str] = ()) -> None:
    """Send what waits in the sources of *systems* (none: all of the settings) until SIGTERM or
    SIGINT.

    Raises:
        BusError: A source cannot work as it is configured; the others were sent meanwhile.
    """
    metrics = Metrics()
    relays = Relays.of(Rules.of(settings), systems, metrics)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        cluster = await connect(stack, settings, stop, patience=settings.relay_lease / 3)
        if cluster is None:
            return
        tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
        runners = relays.runners(known, cluster, tasks)
        watches = relays.watches()
        for each in watches:
            stack.push_async_callback(each.begin(tasks).end)
        if settings.http_port is not None:
            ill = {f"outbox of {each.system}": each.ill for each in watches}
            held = {f"changes of {system}": each.ill for system, each in relays.reports.items()}
            pages = http.build(metrics, ready={"tasks": tasks.ill, **ill, **held})
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.http_port, tasks)
            )
        await run_together(runners, stop, tasks)


@asynccontextmanager
async def publisher(settings: Settings, *, learn: Iterable[str] = ()) -> AsyncIterator[Publisher]:
    """A publisher of these settings, started; closed on the way out.

    The streams to *learn* are read when it starts, as a relay reads its own.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    keep_freed()
    rules = Rules.of(settings)
    async with registry(settings) as known, broker(settings) as cluster:
        made = rules.publisher(known, cluster, learn=learn)
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
