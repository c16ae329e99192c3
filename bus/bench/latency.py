"""Measure the time from a core system's commit to the last of all stores, at twenty a second.

Times are the database server's own: the clerk's transaction and every store are on one server
here. Each household moves at most once, so that no row is overwritten before it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from time import perf_counter, sleep

import psutil
import psycopg

from bus import app
from bus.bench.environment import BenchEnvironment, reached
from bus.bench.figures import percentile
from bus.bench.rows import SEED
from bus.catalog import Catalog
from bus.model import Change
from bus.policy import load_subscriptions
from bus.sample.municipality import Municipality, events
from bus.sample.processes import Process, running
from bus.sample.register import Register

CHANGES_PER_S = 20
SECONDS = 60
POPULATION = 10_000
STREAMS = ("protection", "resident", "household")
WITHIN_S = 60.0
COMMANDS = (("deliver",), ("relay", "run"))


def receiving(catalog: Catalog) -> Sequence[str]:
    """The systems that residents are delivered to; the register itself is none."""
    found = load_subscriptions(catalog)
    return sorted(system for system, each in found.items() if "resident" in each.streams)


async def measure(
    environment: BenchEnvironment, step: Callable[[str], None], seconds: int = SECONDS
) -> Mapping[str, float]:
    """``latency_p50_ms``, ``latency_p99_ms``, and how busy the machine was."""
    settings = environment.settings
    people = Municipality(SEED, POPULATION)
    register = Register(environment.town.core)
    register.install()
    register.load(people.changes())
    catalog = app.configured.catalog(settings)
    step("first load")
    sent = 0
    async with app.publishing.publisher(settings) as publisher:
        for name in STREAMS:
            stream = catalog.stream(name)
            async for outcome in publisher.publish_batches(stream, people.columns(stream)):
                sent += outcome.published
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(register.close)
        processes = [
            stack.enter_context(
                running(command, {"RENKEI_HOME": str(settings.home)}, logs / f"{command[0]}.log")
            )
            for command in COMMANDS
        ]
        await _until_settled(list(environment.town.systems.values()), processes)
        step("idle")
        psutil.cpu_percent()
        idle_before = _cpu_seconds(processes[0])
        await asyncio.sleep(10)
        idle = (_cpu_seconds(processes[0]) - idle_before) / 10
        step(f"{CHANGES_PER_S} changes a second for {seconds} s")
        psutil.cpu_percent()
        before = [_cpu_seconds(process) for process in processes]
        begin = perf_counter()
        entered = await asyncio.to_thread(_enter, people, register, seconds)
        busy, took = psutil.cpu_percent(), perf_counter() - begin
        after = [_cpu_seconds(process) for process in processes]
        deliver, relay = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
        step("reading all stores")
        late = await _latencies(environment, entered)
    return {
        "latency_p50_ms": percentile(late, 0.50),
        "latency_p99_ms": percentile(late, 0.99),
        "latency_max_ms": max(late),
        "latency_changes": float(len(late)),
        "latency_machine_busy_percent": busy,
        "latency_deliver_percent_of_a_core": deliver,
        "latency_relay_percent_of_a_core": relay,
        "idle_deliver_percent_of_a_core": idle * 100,
    }


def _enter(people: Municipality, register: Register, seconds: int) -> list[tuple[Change, datetime]]:
    """Commit the changes at their times; each with the database's clock at its commit."""
    homes = [h for h in people.households if h.members and not h.is_protected]
    entered = []
    begin = perf_counter()
    for number, household in enumerate(homes[: CHANGES_PER_S * seconds]):
        wait = begin + number / CHANGES_PER_S - perf_counter()
        if wait > 0:
            sleep(wait)
        change = events.family_moves(people, datetime.now(UTC), household)
        entered.append((change, register.enter(change).committed_at))
    return entered


async def _latencies(
    environment: BenchEnvironment, entered: Sequence[tuple[Change, datetime]]
) -> list[float]:
    """Milliseconds from each commit to the last of all systems, over all that have it."""
    slowest = [0.0] * len(entered)
    places = {
        (record.subject_id, record.version): number
        for number, (change, _) in enumerate(entered)
        for record in change.records
        if record.stream == "resident"
    }
    until = perf_counter() + WITHIN_S
    for uri in environment.town.systems.values():
        while True:
            rows = await asyncio.to_thread(_applied, uri)
            found = {(subject, version): at for subject, version, at in rows}
            if all(place in found for place in places):
                break
            if perf_counter() > until:
                raise RuntimeError("a change did not arrive in time")
            await asyncio.sleep(0.5)
        for place, number in places.items():
            took = (found[place] - entered[number][1]).total_seconds() * 1_000
            slowest[number] = max(slowest[number], took)
    return slowest


def _applied(uri: str) -> list[tuple[str, int, datetime]]:
    with psycopg.connect(uri, autocommit=True) as connection:
        return connection.execute(
            "SELECT subject_id, version, renkei_applied_at FROM linkage.resident"
        ).fetchall()


async def _until_settled(uris: Sequence[str], processes: Sequence[Process]) -> None:
    """Wait until no store's position moves any more."""
    before: list[int] = []
    until = perf_counter() + 300
    while perf_counter() < until:
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"a process ended; see {process.log}")
        now = [await asyncio.to_thread(reached, uri) for uri in uris]
        if now == before and all(now):
            return
        before = now
        await asyncio.sleep(2)
    raise RuntimeError("the first load did not settle")


def _cpu_seconds(process: Process) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)
