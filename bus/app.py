"""The composition root: the one place that builds adapters and joins parts."""

from __future__ import annotations

import asyncio
import getpass
import importlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from bus import settings as settings_tree
from bus.access import kafka_security, registry_security
from bus.backoff import BackOff
from bus.broker import Broker, TopicSpec
from bus.broker.kafka import KafkaBroker
from bus.broker.topics import Shape, specs
from bus.catalog import Catalog, columns, plain, single
from bus.catalog import load as load_catalog
from bus.catalog.examples import check_examples
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.connect import Sink
from bus.deliver.clock import BackOff, SystemClock
from bus.deliver.delivery import JAPAN, Delivery, Feed
from bus.deliver.host import host, ill, observe, shared
from bus.deliver.internal import InternalTopic
from bus.deliver.operations import Operations
from bus.deliver.parked import ParkedIndex
from bus.deliver.reading import Reads, Remembering
from bus.deliver.shared import Shared
from bus.errors import (
    BusError,
    ConfigurationError,
    LaneError,
    NotEntitled,
    RegistryUnavailable,
    Unavailable,
)
from bus.ledger import SCHEMA, TABLE_PREFIX, Ledger
from bus.ledger.feed import LedgerFeed
from bus.ledger.standing import Standing
from bus.ledger.standing import standings as standings_of
from bus.model import Fault, Severity, Stream, View
from bus.monitor.page import ask_monitor, throughput_page
from bus.monitor.recent import read_recent
from bus.monitor.report import report
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.policy import LEDGER, Subscription, compile_view, ledger_view, load_subscriptions
from bus.publish.check import check_columns
from bus.publish.outbox import Pace, Relay, run_together
from bus.publish.publisher import Publisher
from bus.settings import Settings, SystemConnection
from connectors import SINKS

if TYPE_CHECKING:
    from bus.local.stack import LocalStack

PATIENCE = timedelta(seconds=20)
log = structlog.get_logger()

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


def local_stack(
    settings: Settings, chosen: Mapping[str, int] | None = None, *, engines: Path | None = None
) -> LocalStack:
    """The stack on this home; *chosen* are ports by engine, *engines* where their files lie."""
    from bus.local.stack import LocalStack  # an option: only who runs engines needs its packages

    return LocalStack(
        settings.home, engines=engines, chosen=chosen, maven=settings.maven, environment=os.environ
    )


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
        cluster = await connect(stack, settings, stop, patience=send_within / 2)
        if cluster is None:
            return
        metrics = Metrics()

        def publisher(guard: Callable[[], None]) -> Publisher:
            return Publisher(
                streams,
                known,
                cluster,
                guard=guard,
                max_message_bytes=settings.max_message_bytes,
                private_use=private_use(settings),
                learn=[name for name, s in streams.streams.items() if not s.is_internal],
                metrics=metrics,
            )

        relays = [
            Relay(system, uri, publisher, pace=pace, metrics=metrics)
            for system, uri in uris.items()
        ]
        if settings.http_port is not None:
            await stack.enter_async_context(
                http.serving(http.build(metrics), settings.http_host, settings.http_port)
            )
        await run_together(relays, stop)


def private_use(settings: Settings) -> Severity:
    """What a private-use character (外字) in a change is."""
    return Severity.ERROR if settings.private_use_table is None else Severity.WARNING


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


def registry(settings: Settings) -> Registry:
    """The schema registry of these settings; the caller closes it.

    Raises:
        ConfigurationError: No registry is set, or not how to enter it.
    """
    return Registry(settings.need("registry"), registry_security(settings))


# --- the log ----------------------------------------------------------------------------------


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
        patience=patience,
    )
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.close()


async def connect(
    stack: AsyncExitStack,
    settings: Settings,
    stop: asyncio.Event,
    *,
    patience: timedelta = PATIENCE,
) -> KafkaBroker | None:
    """The cluster of these settings until *stack* ends, asked for again while it is away.

    None if it was told to stop before.

    Raises:
        ConfigurationError: Asking again would not help.
    """
    back_off = BackOff(settings.retry_first, settings.retry_most)
    while not stop.is_set():
        try:
            return await stack.enter_async_context(broker(settings, patience=patience))
        except Unavailable as error:
            log.warning("start-waits", code=error.code, reason=error.message, wants="kafka")
        with suppress(TimeoutError):
            async with asyncio.timeout(back_off.next().total_seconds()):
                await stop.wait()
    return None


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """The topics that these settings' streams want."""
    shape = Shape(
        partitions=settings.partitions,
        replication=settings.replication,
        compaction_lag=settings.compaction_lag,
        max_message_bytes=settings.max_message_bytes,
    )
    return specs(catalog(settings).streams.values(), shape)


# --- delivery ---------------------------------------------------------------------------------


def sink(connection: SystemConnection) -> Callable[[], Sink]:
    """What makes a sink of this connection; the connector is imported and its options checked.

    Raises:
        ConfigurationError: There is no such connector, a driver is missing, or options are wrong.
    """
    name = connection.connector
    try:
        module, _, kind = SINKS[name].partition(":")
        made = getattr(importlib.import_module(module), kind)
        options = made.Options.model_validate(connection.options)
    except KeyError:
        raise ConfigurationError("there is no such connector", connector=name) from None
    except ImportError as error:
        raise ConfigurationError("the connector's driver is not installed", connector=name) from (
            error
        )
    except ValidationError as error:
        names = ", ".join(".".join(str(part) for part in e["loc"]) for e in error.errors())
        raise ConfigurationError(
            "these options of a system cannot be used", connector=name, names=names
        ) from None
    return lambda: made(options)


def connections(settings: Settings, systems: Sequence[str] = ()) -> dict[str, SystemConnection]:
    """How the systems named are reached; none named: all of the settings, and the ledger.

    Raises:
        ConfigurationError: A named system is not in the settings, or there is none at all.
    """
    known = dict(settings.systems)
    if settings.database is not None:
        known[LEDGER] = SystemConnection(
            options={
                "uri": settings.database.get_secret_value(),
                "schema_name": SCHEMA,
                "table_prefix": TABLE_PREFIX,
            }
        )
    for system in systems:
        if system not in known:
            raise ConfigurationError("no such system in RENKEI_SYSTEMS", system=system)
    if not known:
        raise ConfigurationError("set RENKEI_SYSTEMS: receiving system -> its connector")
    return {system: known[system] for system in systems or sorted(known)}


def feeds(
    system: str,
    connection: SystemConnection,
    catalog: Catalog,
    subscriptions: Mapping[str, Subscription],
    readers: Mapping[str, Reads],
    today: date,
    refuse: Callable[[BusError, str, str | None], None] | None = None,
) -> list[Feed]:
    """What one system is fed: a view of each stream that its subscription covers by now.

    Args:
        refuse: Told of each stream that is granted, but not in force.

    Raises:
        NotEntitled: There is no subscription of this system, or no grant is in force.
        ConfigurationError: Its connection cannot be used.
    """
    make = sink(connection)

    def feed(view: View, last_day: date | None) -> Feed:
        topic = catalog.stream(view.stream).topic
        return Feed(view, topic, readers[view.stream], make, last_day)

    if system == LEDGER:
        published = [s.name for s in catalog.streams.values() if not s.is_internal]
        make = LedgerFeed(make, connection.options["uri"], published).sink
        return [feed(ledger_view(stream), None) for stream in catalog.streams.values()]
    if system not in subscriptions:
        raise NotEntitled("there is no subscription of this system", system=system)
    found: list[Feed] = []
    refusals: list[BusError] = []
    for name, grant in subscriptions[system].streams.items():
        try:
            view = compile_view(subscriptions[system], catalog.stream(name), today)
            found.append(feed(view, grant.expires_on))
        except NotEntitled as error:
            (refuse or _refuse)(error, system, name)
            refusals.append(error)
    if not found:
        raise refusals[0]
    return found


def _refuse(error: BusError, system: str, stream: str | None = None) -> None:
    """Say what is not delivered; everything else is."""
    where = {"system": system, **({"stream": stream} if stream is not None else {})}
    structlog.get_logger("renkei.deliver").error(
        "not-delivered", code=error.code, reason=error.message, **where
    )


@asynccontextmanager
async def delivering(
    settings: Settings, cluster: Broker, systems: Sequence[str] = ()
) -> AsyncIterator[tuple[Shared, list[Delivery]]]:
    """The deliveries of *systems* in this process, ready for :func:`bus.deliver.host.host`.

    Raises:
        ConfigurationError: No system can be hosted as it is configured.
        NotEntitled: No system has a subscription in force.
    """
    streams = catalog(settings)
    granted = load_subscriptions(streams, settings.schemas)
    chosen = connections(settings, systems)
    today = this_day()
    keep_freed()
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        bare = {name: Reader(stream, streams, known) for name, stream in streams.streams.items()}
        await _prime(bare.values())
        readers = {name: Remembering(reader) for name, reader in bare.items()}
        fed: dict[str, list[Feed]] = {}
        refusals: list[BusError] = []
        undelivered: dict[tuple[str, str | None], str] = {}

        def refuse(error: BusError, system: str, stream: str | None = None) -> None:
            undelivered[system, stream] = error.code
            _refuse(error, system, stream)

        for system, connection in chosen.items():
            try:
                fed[system] = feeds(system, connection, streams, granted, readers, today, refuse)
            except (NotEntitled, ConfigurationError) as error:
                refuse(error, system)
                refusals.append(error)
        if not fed:
            raise refusals[0]
        both = await stack.enter_async_context(
            shared(
                broker=cluster,
                ids=known,
                streams=streams.streams,
                readers=readers,
                settings=settings,
                clock=SystemClock(),
                metrics=Metrics(),
            )
        )
        both.lanes.undelivered.update(undelivered)
        yield (
            both,
            [
                Delivery(
                    system,
                    feeds,
                    both,
                    sends_receipts=system != LEDGER,
                    gather=settings.ledger_gather if system == LEDGER else timedelta(),
                )
                for system, feeds in fed.items()
            ],
        )


async def _prime(readers: Iterable[Reader]) -> None:
    """Learn the ids of what is registered, so that the registry may be away from then on."""
    try:
        for reader in readers:
            await reader.prime()
    except RegistryUnavailable as error:
        structlog.get_logger("renkei.deliver").warning("registry-away", code=error.code)


async def run_deliveries(
    settings: Settings,
    systems: Sequence[str] = (),
    *,
    once: bool = False,
    watch: Callable[[Shared], Awaitable[None]] | None = None,
    told_to_stop: Callable[[], None] | None = None,
) -> None:
    """Deliver to *systems* (none: all of the settings, and the ledger) until SIGTERM or SIGINT.

    Args:
        once: Deliver what is in the log now, then end.
        watch: Runs meanwhile; for progress.
        told_to_stop: Called at the signal; what is in hand is finished after it.

    Raises:
        BusError: No system can be hosted as it is configured, or, *once*, not all was delivered.
    """
    stop = asyncio.Event()

    def on_signal() -> None:
        stop.set()
        if told_to_stop is not None:
            told_to_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    async with AsyncExitStack() as stack:
        cluster = await connect(stack, settings, stop)
        if cluster is None:
            return
        both, deliveries = await stack.enter_async_context(delivering(settings, cluster, systems))
        observe(both, deliveries)
        if settings.http_port is not None:
            pages = http.build(both.metrics, ready={"lanes": lambda: ill(both)})
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.http_port)
            )
        watching = asyncio.ensure_future(watch(both)) if watch is not None else None
        try:
            await host(both, deliveries, stop, once=once)
        finally:
            if watching is not None:
                watching.cancel()
    if once and (stopped := both.lanes.stopped()):
        raise LaneError("lanes have stopped and wait for a person", lanes=len(stopped))
    if once and (paused := both.lanes.paused()):
        raise LaneError("lanes are paused and were not delivered to", lanes=len(paused))
    if once and both.lanes.undelivered:
        systems = sorted({system for system, _ in both.lanes.undelivered})
        raise LaneError("not everything may be delivered", systems=", ".join(systems))


@asynccontextmanager
async def parked_events(settings: Settings) -> AsyncIterator[ParkedIndex]:
    """What is set aside, as the exception stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with _internal(settings, "exception") as (cluster, topic, stream, reader):
        index = ParkedIndex(cluster, topic, stream, reader, SystemClock())
        try:
            await index.start()
            yield index
        finally:
            await index.close()


@asynccontextmanager
async def operations(settings: Settings) -> AsyncIterator[Operations]:
    """How lanes are operated, as the operation stream says now.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    async with _internal(settings, "operation") as (cluster, topic, stream, reader):
        back_off = BackOff(settings.retry_first, settings.retry_most)
        operated = Operations(cluster, topic, stream, reader, SystemClock(), back_off)
        try:
            await operated.start()
            yield operated
        finally:
            await operated.close()


@asynccontextmanager
async def _internal(
    settings: Settings, name: str
) -> AsyncIterator[tuple[Broker, InternalTopic, Stream, Reader]]:
    """One of the bus's own streams, for a command that reads it and appends to it."""
    streams = catalog(settings)
    stream = streams.stream(name)
    async with registry(settings) as known, broker(settings) as cluster:
        producer = cluster.producer(client_id="renkei-operator")
        await producer.start()
        try:
            topic = InternalTopic(cluster, producer, known, stream)
            yield cluster, topic, stream, Reader(stream, streams, known)
        finally:
            await producer.close()


def operator() -> str:
    """Who gives the command: the account's name, as the machine has it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return f"uid {os.getuid()}"


def received(settings: Settings, system: str) -> list[str]:
    """The streams that a system receives today; the ledger receives all.

    Raises:
        ConfigurationError: There is no such system.
    """
    if system == LEDGER:
        return sorted(catalog(settings).streams)
    known = granted(settings, this_day())
    if system not in known:
        raise ConfigurationError("there is no such system", system=system)
    return sorted(known[system])


# --- the ledger -------------------------------------------------------------------------------


@asynccontextmanager
async def ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger of these settings, to be asked; it connects with the first question."""
    asked = Ledger(settings.need("database"))
    try:
        yield asked
    finally:
        await asked.close()


def this_day() -> date:
    """The day it is where the municipalities are: what a subscription's days are held against."""
    return datetime.now(JAPAN).date()


def granted(settings: Settings, today: date) -> dict[str, dict[str, frozenset[str]]]:
    """System -> stream -> event types, of every grant in force; systems without any included.

    Raises:
        FilesRefused: The schema files or the subscriptions have faults.
    """
    return {
        system: {
            stream: frozenset(grant.event_types)
            for stream, grant in subscription.streams.items()
            if grant.approved_on <= today <= grant.expires_on
        }
        for system, subscription in load_subscriptions(catalog(settings)).items()
    }


async def standings(settings: Settings, broker: KafkaBroker, ledger: Ledger) -> list[Standing]:
    """How each system stands with each stream that it is granted today."""
    now = datetime.now(UTC)
    streams = catalog(settings)
    receiving = {
        system: [streams.stream(name) for name in sorted(mine)]
        for system, mine in granted(settings, this_day()).items()
        if mine
    }
    return await standings_of(broker, ledger, receiving, now=now)


# --- the monitor ------------------------------------------------------------------------------


async def run_monitor(settings: Settings) -> None:
    """Watch the receipts until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: Another monitor runs, topics are missing, or Faust is not installed.
    """
    try:
        from bus.monitor.watch import Monitor  # an option: only the monitor needs Faust
    except ModuleNotFoundError as error:
        raise ConfigurationError("the monitor needs Faust: install renkei[monitor]") from error

    streams = catalog(settings)
    expected: dict[str, set[str]] = {}
    for system, views in granted(settings, this_day()).items():
        for stream in views:
            if system in settings.systems or not settings.systems:
                expected.setdefault(stream, set()).add(system)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(registry(settings))
        cluster = await connect(stack, settings, stop)
        if cluster is None:
            return
        metrics = Metrics()
        monitor = Monitor(
            cluster,
            settings.need("kafka"),
            kafka_security(settings),
            streams,
            lambda stream: Reader(stream, streams, known),
            expected,
            metrics=metrics,
        )
        if settings.monitor_port is not None:
            ready = {"monitor": lambda: [] if monitor.is_watching else ["not watching yet"]}
            pages = http.build(metrics, ready=ready)
            pages.router.routes.append(throughput_page(monitor.report))
            await stack.enter_async_context(
                http.serving(pages, settings.http_host, settings.monitor_port)
            )
        await monitor.run(stop)


async def throughput(settings: Settings, last: int) -> dict[str, Any]:
    """What the monitor says of the last minutes or, where it does not answer, the log itself.

    Raises:
        Unavailable: Nor does the log.
    """
    if settings.monitor_port is not None:
        host, port = settings.http_host, settings.monitor_port
        said = await ask_monitor(f"http://{host}:{port}", last)
        if said is not None:
            return {"source": "monitor", **said}
    streams = catalog(settings)
    receipt = streams.stream("receipt")
    async with registry(settings) as known, broker(settings) as cluster:
        windows = await read_recent(cluster, receipt.topic, Reader(receipt, streams, known))
    return {"source": "log", **report(windows, None, now=datetime.now(UTC).timestamp(), last=last)}
