"""Run the demo: from empty engines to the proof that each change arrived everywhere it must.

Everything in it is the product itself, used as an installation would: engines, topics and schemas
by their commands' functions, relay, delivery and monitor as processes of their own, the first
load through the publisher, and every change by a transaction of the system that makes it, into
the outbox in its own database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Protocol
from urllib.parse import urlsplit

import psycopg

from bus import app
from bus.broker import topics
from bus.demo.result import (
    Arrival,
    ChangeShown,
    DemoResult,
    FirstLoad,
    ProviderShown,
    ReceiverShown,
)
from bus.demo.sight import LEFT, compare
from bus.demo.stores import Stores, opened
from bus.demo.story import Scene, scenes
from bus.errors import EngineError
from bus.local.ports import free_port
from bus.model import Change
from bus.policy import compile_view, load_subscriptions
from bus.sample import town as towns
from bus.sample.municipality import Municipality
from bus.sample.municipality.register import ALL_STREAMS
from bus.sample.neighbours import NEIGHBOURS, add_neighbours
from bus.sample.processes import Process, running
from bus.sample.register import Register
from bus.settings import Settings

SEED = 20_260_401
CHANGE_WITHIN_S = 30.0
LOAD_WITHIN_S = 1_800.0
LEDGER_WITHIN_S = 15.0
LOOK_AT_PROCESSES_S = 1.0
COMMANDS = ("deliver", "relay run", "monitor run")
SENT = """
SELECT count(*) FROM renkei.outbox WHERE change_id = ANY(%s::uuid[]) AND sent_at IS NOT NULL
"""


class Screen(Protocol):
    """What the demo tells whoever watches."""

    def step(self, what: str) -> None:
        """A step of the preparation begins; the step before has ended."""

    def loading(self, done: int, total: int) -> None:
        """So many of the events of the first load have been applied by all systems."""

    def loaded(self, load: FirstLoad, population: int) -> None:
        """The first load is in all databases."""

    def scene(self, number: int, count: int, scene: Scene, change: Change) -> None:
        """The core system has committed a change."""

    def lights(self, arrivals: Sequence[Arrival]) -> None:
        """How the change stands in each database now."""

    def shown(self, change: ChangeShown) -> None:
        """The change has arrived everywhere, or its time is up."""

    def end(self, result: DemoResult) -> None:
        """The demo has shown everything."""

    def gone(self, command: str, log: Path) -> None:
        """A process that should be running has ended."""


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """The engines, databases and processes of the demo."""

    settings: Settings
    town: towns.Town
    processes: Mapping[str, Process]
    ports: Mapping[str, int]  # where each process serves its metrics


@dataclass(frozen=True, slots=True)
class ChangeEntered:
    """A change that was entered, and the system that entered it."""

    change: Change
    change_id: str


async def run(
    settings: Settings,
    population: int,
    screen: Screen,
    *,
    seed: int = SEED,
    afterwards: Callable[[DemoResult], Awaitable[None]] | None = None,
) -> DemoResult:
    """Run the demo.

    Args:
        settings: Name running engines whose data nobody else uses.
        population: Residents of the synthetic municipality.
        screen: Told of everything as it happens.
        seed: The same seed gives the same people and changes.
        afterwards: Awaited when all is shown, while everything still runs.

    Raises:
        EngineError: A part of it ended, or the first load did not arrive.
    """
    async with AsyncExitStack() as stack:
        environment = await stack.enter_async_context(_environment(settings, screen))
        catalog = app.configured.catalog(environment.settings)
        subscriptions = load_subscriptions(catalog, environment.settings.schemas)
        today = app.configured.this_day()
        views = {
            system: {
                name: compile_view(subscriptions[system], catalog.stream(name), today)
                for name in subscriptions[system].streams
            }
            for system in environment.town.systems
        }
        names = {system: subscriptions[system].ja for system in environment.town.systems}
        stores = await stack.enter_async_context(opened(environment.town.systems, names, views))
        screen.step("a synthetic municipality")
        people = Municipality(seed, population)
        offices = {name: Register(uri) for name, uri in environment.town.outboxes.items()}
        for office in offices.values():
            stack.callback(office.close)
            office.install()
        offices[towns.CORE].load(people.changes())
        load = await _first_load(environment, people, stores, screen)
        screen.loaded(load, population)
        shown, all_entered = [], []
        story = list(scenes(people))
        for number, scene in enumerate(story, 1):
            change = scene.make(datetime.now(UTC))
            entered = offices[change.source].enter(change)
            all_entered.append(ChangeEntered(change, entered.change_id))
            screen.scene(number, len(story), scene, change)
            arrivals: Sequence[Arrival] = []
            async for arrivals in stores.watch(change, entered.committed_at, CHANGE_WITHIN_S):
                _insist_alive(environment.processes)
                screen.lights(arrivals)
            shown.append(
                ChangeShown(
                    change_id=entered.change_id,
                    kind=scene.kind,
                    ja=scene.ja,
                    source=change.source,
                    events=len(change.records),
                    expected=len(arrivals),
                    arrivals=arrivals,
                    ledger_applied=await _ledger_says(
                        environment, entered.change_id, [each.system for each in arrivals]
                    ),
                    compared=(
                        await compare(stores, scene.shows(change), change, catalog)
                        if scene.shows
                        else None
                    ),
                )
            )
            screen.shown(shown[-1])
        result = DemoResult(
            population=population,
            first_load=load,
            changes=shown,
            received=[
                ReceiverShown(
                    store.system,
                    store.ja,
                    store.system in NEIGHBOURS,
                    len(store.views),
                    await store.rows(),
                )
                for store in stores.stores
            ],
            provided=[
                await _provided(
                    system, uri, all_entered, stores, is_neighbour=system not in subscriptions
                )
                for system, uri in sorted(environment.town.outboxes.items())
            ],
            next_steps=_next_steps(environment, shown),
        )
        screen.end(result)
        if afterwards is not None:
            watching = asyncio.create_task(_tell_of_ends(environment.processes, screen))
            try:
                await afterwards(result)
            finally:
                watching.cancel()
                await asyncio.wait({watching})
        return result


@asynccontextmanager
async def _environment(settings: Settings, screen: Screen) -> AsyncIterator[DemoEnvironment]:
    """Make databases, topics and schemas, and start relay, delivery and monitor."""
    screen.step("a database for each system, with an outbox for what it publishes")
    superuser, catalog = settings.need("database"), app.configured.catalog(settings)
    schemas = add_neighbours(catalog.folder, settings.home / "schemas")
    subscriptions = load_subscriptions(catalog, schemas)
    systems = sorted(name for name, found in subscriptions.items() if found.streams)
    publishing = sorted({name for s in catalog.streams.values() for name in s.providers})
    town = await asyncio.to_thread(towns.build, superuser, systems, publishing=publishing)
    await town.install_outboxes()
    ports = {command.split()[0]: free_port() for command in COMMANDS}
    town.write_settings(
        settings.home / "run" / "systems.yaml",
        database=town.ledger,  # as its own role, not as the superuser that made it
        monitor_port=ports["monitor"],
        schemas=str(schemas),
        **towns.make_keys(settings.home / "run"),
    )
    settings = app.configured.settings({"home": settings.home})
    screen.step("topics and schemas")
    async with app.clients.broker(settings) as cluster, app.clients.registry(settings) as known:
        await topics.apply(
            cluster, await topics.states(cluster, app.configured.topic_specs(settings))
        )
        await known.push(app.configured.catalog(settings))
    screen.step("delivery, relay and monitor")
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        processes = {}
        for command in COMMANDS:
            name = command.split()[0]
            environment = {"RENKEI_HOME": str(settings.home)}
            if name != "monitor":
                environment["RENKEI_HTTP_PORT"] = str(ports[name])
            processes[name] = stack.enter_context(
                running(command.split(), environment, logs / f"{name}.log")
            )
        yield DemoEnvironment(settings, town, processes, ports)


async def _first_load(
    environment: DemoEnvironment, people: Municipality, stores: Stores, screen: Screen
) -> FirstLoad:
    """Load everybody through the bus into every system, and count the rows in each database."""
    catalog = app.configured.catalog(environment.settings)
    begin = perf_counter()
    sent = dict.fromkeys(ALL_STREAMS, 0)
    screen.step("first load")
    async with app.publishing.publisher(environment.settings) as publisher:
        for name in ALL_STREAMS:
            stream = catalog.stream(name)
            async for outcome in publisher.publish_batches(stream, people.columns(stream)):
                if outcome.refused:
                    raise EngineError(
                        "the synthetic municipality has a fault", stream=name,
                        fault=str(outcome.faults[0]),
                    )  # fmt: skip
                sent[name] += outcome.published
    due = [sum(sent[stream] for stream in store.views) for store in stores.stores]
    until = begin + LOAD_WITHIN_S
    while True:
        _insist_alive(environment.processes)
        reached = await stores.reached()
        screen.loading(sum(map(min, reached, due)), sum(due))
        if all(at >= wanted for at, wanted in zip(reached, due, strict=True)):
            break
        if perf_counter() > until:
            raise EngineError("the first load did not arrive in time; see the logs in the home")
        await asyncio.sleep(0.1)
    seconds = perf_counter() - begin
    return FirstLoad(sum(sent.values()), await stores.rows(), len(stores.stores), round(seconds, 2))


async def _provided(
    system: str,
    uri: str,
    all_entered: Sequence[ChangeEntered],
    stores: Stores,
    *,
    is_neighbour: bool,
) -> ProviderShown:
    """How much *system* has sent by its own outbox, and how much of that other systems hold."""
    mine = [each for each in all_entered if each.change.source == system]
    by_stream: dict[str, set[str]] = {}
    for each in mine:
        for record in each.change.records:
            by_stream.setdefault(record.stream, set()).add(each.change_id)
    others = [store for store in stores.stores if store.system != system]
    rows = [await store.rows_of(by_stream) for store in others]
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        cursor = await connection.execute(SENT, ([each.change_id for each in mine],))
        row = await cursor.fetchone()
    return ProviderShown(
        system, is_neighbour, row[0] if row else 0, sum(rows), sum(map(bool, rows))
    )


async def _ledger_says(
    environment: DemoEnvironment, change_id: str, systems: Collection[str]
) -> int:
    """How many of *systems* have the change as the ledger sees it, given a moment to hear of it.

    What a condition on the record keeps from a system is handed over to it all the same, as the
    ledger sees it, which knows no record: so it is asked of those that are to have it.
    """
    granted = app.configured.granted(environment.settings, app.configured.this_day())
    until = perf_counter() + LEDGER_WITHIN_S
    async with app.clients.ledger(environment.settings) as ledger:
        while True:
            reach = await ledger.reach(change_id, granted)
            applied = sum(s.state.has_it for s in reach.systems if s.system in systems)
            if (reach.is_whole and applied >= len(systems)) or perf_counter() > until:
                return applied
            await asyncio.sleep(0.05)


def _insist_alive(processes: Mapping[str, Process]) -> None:
    """Fail if a process has ended, with its log; only the monitor may end."""
    for name, process in processes.items():
        if process.poll() is not None and name != "monitor":
            raise EngineError(f"renkei {name} ended; see its log", log=str(process.log))


async def _tell_of_ends(processes: Mapping[str, Process], screen: Screen) -> None:
    """Tell of each process when it ends, as long as the demo is kept running."""
    left = dict(processes)
    while True:
        for name, process in list(left.items()):
            if process.poll() is not None:
                del left[name]
                screen.gone(f"renkei {name}", process.log)
        await asyncio.sleep(LOOK_AT_PROCESSES_S)


def _next_steps(environment: DemoEnvironment, shown: Sequence[ChangeShown]) -> Mapping[str, str]:
    database = urlsplit(environment.town.systems[LEFT])
    return {
        "run it with --keep (make demo KEEP=1); then, in another terminal": (
            f"export RENKEI_HOME={_short(environment.settings.home)} PATH=$PWD/.venv/bin:$PATH"
        ),
        "has a change arrived?": f"renkei reach show {shown[-1].change_id}",
        "how far is everybody, how fast?": "renkei status --watch; renkei throughput --watch",
        "one system's own rows, in the schema linkage (passwords: run/systems.yaml)": (
            f"psql postgresql://{database.username}@{database.hostname}:{database.port}"
            f"{database.path}"
        ),
        "topics": "renkei topics list",
        "metrics": f"http://127.0.0.1:{environment.ports['deliver']}/metrics",
    }


def _short(folder: Path) -> str:
    """A path with ``~`` for the home folder."""
    return (
        f"~/{folder.relative_to(Path.home())}"
        if folder.is_relative_to(Path.home())
        else str(folder)
    )
