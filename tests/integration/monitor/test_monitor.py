"""The Faust app over the real log: counts, goes on after a kill, and is alone."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.broker import Message
from bus.broker.security import PLAIN_TEXT
from bus.catalog import load
from bus.catalog.registry import Registry
from bus.catalog.single import encode_one
from bus.catalog.wire import Reader, frame
from bus.errors import ConfigurationError
from bus.local.endpoints import Endpoints
from bus.model import Change, Receipt
from bus.monitor import streams
from bus.monitor import watch as monitoring
from bus.monitor.recent import read_recent
from bus.monitor.report import report
from bus.monitor.watch import Monitor, WatchedCluster
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.publisher import Publisher
from tests.support.changes import change, record
from tests.support.on_kafka import own_topics
from tests.support.own_topics import OwnTopics
from tests.support.waiting import until

pytestmark = pytest.mark.service

CATALOG = load()
STREAMS = ("resident", "household", "protection", "receipt")
EXPECTED = {"resident": ["school", "tax"], "household": ["tax"]}
CHILD = """
import asyncio, sys
from bus.broker.kafka import KafkaBroker
from bus.broker.security import PLAIN_TEXT
from bus.catalog import load
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.monitor.watch import Monitor, WatchedCluster
from bus.observe import logs
from tests.support.own_topics import OwnTopics
from tests.support.waiting import until

async def main(kafka, registry, prefix):
    catalog = load()
    broker = OwnTopics(KafkaBroker(kafka), prefix)
    known = Registry(registry)
    await broker.start()
    monitor = Monitor(WatchedCluster(
        broker, kafka, PLAIN_TEXT, catalog, lambda stream: Reader(stream, catalog, known),
        lambda: {"resident": ["tax"]}, named=broker.there,
    ))
    task = asyncio.create_task(monitor.run(asyncio.Event()))
    await until(lambda: task.done() or monitor.report()["minutes"], 600, every=0.05)
    if monitor.report()["minutes"]:
        print("counted", flush=True)
    await task

logs.configure()
asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class Scene:
    """Topics of the test's own, and lanes that tell of themselves."""

    endpoints: Endpoints
    broker: OwnTopics
    registry: Registry
    last: dict[tuple[str, str, int], tuple[int, str]] = field(default_factory=dict)

    def reader(self, stream: Any) -> Reader:
        return Reader(stream, CATALOG, self.registry)

    def monitor(
        self, metrics: Metrics | None = None, expected: Mapping[str, Collection[str]] = EXPECTED
    ) -> Monitor:
        watched = WatchedCluster(
            self.broker,
            self.endpoints.kafka,
            PLAIN_TEXT,
            CATALOG,
            self.reader,
            lambda: dict(expected),
            self.broker.there,
        )
        return Monitor(watched, metrics=metrics)

    async def publish(self, *records: dict[str, Any]) -> list[str]:
        """One change; the places of its events are all partition 0."""
        publisher = Publisher(CATALOG, self.registry, self.broker)
        await publisher.start()
        (outcome,) = await publisher.publish([Change.model_validate(change(*records))])
        await publisher.close()
        assert outcome.is_published, outcome.faults
        return list(outcome.event_ids)

    async def apply(self, system: str, stream: str, end: int, *, rows: int = 1) -> None:
        """A lane says that it has applied everything before *end*."""
        start, previous = self.last.get((system, stream, 0), (0, "0" * 64))
        receipt = Receipt(
            system=system, stream=stream, partition=0, start=start, end=end,
            delivered="{[0,1)}", view="v", rows=rows, digest="d", previous=previous,
        )  # fmt: skip
        self.last[system, stream, 0] = (end, receipt.chain)
        version = CATALOG.stream("receipt").latest
        value = encode_one(
            version,
            {
                **{name: getattr(receipt, name) for name in receipt.__slots__},
                "chain": receipt.chain,
                "applied_at": datetime.now(UTC),
                "cluster_id": "c",
                "is_replay": False,
                "proof": None,
            },
        )
        await self.append(frame(await self.registry.id_of(version), [value])[0])

    async def append(self, value: bytes) -> None:
        """A value in the receipts' topic."""
        producer = self.broker.producer()
        await producer.start()
        await producer.send([Message("linkage.receipt", 0, b"lane", value)])
        await producer.close()


@pytest.fixture
async def scene(engines: Endpoints) -> AsyncIterator[Scene]:
    """One partition a topic, gone afterwards."""
    streams = [CATALOG.stream(name) for name in STREAMS]
    async with (
        Registry(engines.registry) as registry,
        own_topics(engines.kafka, streams) as broker,
    ):
        await registry.push(CATALOG, dry_run=False)
        yield Scene(engines, broker, registry)


@asynccontextmanager
async def watching(monitor: Monitor) -> AsyncIterator[Monitor]:
    """A monitor that runs inside the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(monitor.run(stop))
    try:
        yield monitor
    finally:
        stop.set()
        await task


def rows_in(said: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Rows by system and stream, over all minutes."""
    found: dict[tuple[str, str], int] = {}
    for one in said["minutes"]:
        lane = (one["system"], one["stream"])
        found[lane] = found.get(lane, 0) + one["rows"]
    return found


async def test_counts_rows_and_follows_open_changes(scene: Scene) -> None:
    """A change is open until its last system told of it; windows say what was applied."""
    metrics = Metrics()
    await scene.publish(record(), record("household", subject_id="000000000000019"))
    async with watching(scene.monitor(metrics)) as monitor:
        await until(lambda: monitor.changes.count == 1)
        await scene.publish(record(subject_id="123456789012340"))
        await until(lambda: monitor.changes.count == 2)

        await scene.apply("tax", "resident", 2, rows=2)
        await scene.apply("school", "resident", 2, rows=2)
        await scene.append(b"no receipt")
        await until(lambda: monitor.changes.count == 1)
        behind = {
            (lane["system"], lane["stream"]): lane["behind_events"]
            for lane in monitor.report()["open"]["lanes"]
        }
        await scene.apply("tax", "household", 1)
        await until(lambda: monitor.changes.count == 0)
        said = monitor.report()

    assert behind == {("school", "resident"): 0, ("tax", "resident"): 0, ("tax", "household"): 1}
    assert rows_in(said) == {
        ("school", "resident"): 2,
        ("tax", "resident"): 2,
        ("tax", "household"): 1,
    }
    assert not said["open"]["is_at_least"]
    assert json.loads(json.dumps(said)) == said
    await metrics.render()
    assert metrics.value("renkei_monitor_open_changes") == 0
    assert metrics.value("renkei_monitor_behind_events", system="tax", stream="household") == 0
    assert metrics.value("renkei_monitor_receipts_total", outcome="counted") == 3
    assert metrics.value("renkei_monitor_receipts_total", outcome="unreadable") == 1


async def test_who_is_expected_meanwhile_is_watched(scene: Scene) -> None:
    """A subscription changes while the monitor runs: open is then what the new ones have not."""
    expected = {"resident": ["tax"]}
    await scene.publish(record(), record("household", subject_id="000000000000019"))
    async with watching(scene.monitor(expected=expected)) as monitor:
        await until(lambda: monitor.is_watching)
        await scene.apply("tax", "resident", 1, rows=7)
        await until(lambda: rows_in(monitor.report()) == {("tax", "resident"): 7})
        await until(lambda: monitor.changes.count == 0)

        expected |= {"resident": ["school", "tax"], "household": ["tax"]}
        await until(lambda: ("tax", "household") in monitor.changes.behind(), 40)
        await until(lambda: monitor.changes.count == 1 and monitor.is_watching, 40)
        await until(lambda: rows_in(monitor.report()) == {("tax", "resident"): 7}, 40)
        assert monitor.changes.behind()["school", "resident"][0] == 1
        for system, stream in (("school", "resident"), ("tax", "household"), ("tax", "resident")):
            await scene.apply(system, stream, 2)
        await until(lambda: monitor.changes.count == 0)


async def test_the_log_alone_gives_the_same_windows(scene: Scene) -> None:
    """Without the monitor, the recent past is read from the receipts themselves."""
    for end in range(1, 6):
        await scene.apply("tax", "resident", end, rows=end)

    receipt = CATALOG.stream("receipt")
    windows = await read_recent(scene.broker, receipt.topic, scene.reader(receipt))

    assert rows_in(report(windows, None, now=time.time())) == {("tax", "resident"): 15}


async def test_a_killed_monitor_comes_back_with_the_recent_past(scene: Scene) -> None:
    """SIGKILL loses nothing that the log still has, and the next one is not held up for long."""
    await scene.apply("tax", "resident", 1, rows=7)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, scene.endpoints.kafka, scene.endpoints.registry,
        scene.broker.prefix, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), 30) == b"counted\n"
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
    await scene.apply("tax", "resident", 2, rows=5)

    async with watching(scene.monitor()) as monitor:
        await until(lambda: rows_in(monitor.report()) == {("tax", "resident"): 12}, 40)
        await scene.apply("tax", "resident", 3, rows=1)
        await until(lambda: rows_in(monitor.report()) == {("tax", "resident"): 13})


async def test_a_second_monitor_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would each see half; the second one ends with the reason."""
    monkeypatch.setattr("bus.monitor.watch.GIVE_UP_SECONDS", 3.0)
    await scene.apply("tax", "resident", 1)
    await scene.apply("tax", "resident", 2)
    async with watching(scene.monitor()) as monitor:
        await until(lambda: bool(monitor.report()["minutes"]))
        with pytest.raises(ConfigurationError, match="another monitor"):
            await scene.monitor().run(asyncio.Event())
        assert monitor.is_watching


class Killed(Exception):
    """Nobody expects it."""


# Faust leaves some connections of an app that is thrown away to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", ["decoder", "follower", "agent", "lookout"])
async def test_a_part_that_is_killed_is_seen_and_begun_again(
    scene: Scene, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor goes on with what the log has, without anybody's help."""
    owner, name = {
        "decoder": (Monitor, "_learn"),
        "follower": (streams, "_take"),
        "agent": (Monitor, "_take"),
        "lookout": (monitoring, "_stopped_within"),
    }[part]
    real, armed = getattr(owner, name), list[Any]()

    def at_once(*args: Any) -> Any:
        if armed:
            raise armed.pop()
        return real(*args)

    async def in_time(*args: Any, **named: Any) -> Any:
        if armed:
            raise armed.pop()
        return await real(*args, **named)

    monkeypatch.setattr(owner, name, at_once if part == "agent" else in_time)
    await scene.apply("tax", "resident", 1, rows=7)
    tasks = Tasks(first=timedelta(milliseconds=400))
    monitor = scene.monitor()
    monitor._tasks = tasks
    async with watching(monitor):
        await until(lambda: rows_in(monitor.report()) == {("tax", "resident"): 7})
        armed.append(Killed())
        await scene.apply("tax", "resident", 2, rows=5)
        await scene.publish(record())
        await until(lambda: tasks.ill() == ["monitor ended Killed"])
        await until(lambda: rows_in(monitor.report()) == {("tax", "resident"): 12}, 40)
        await until(lambda: monitor.changes.count == 1 and not tasks.fallen)
    await asyncio.sleep(0)
    gc.collect()


async def test_an_event_of_a_foreign_schema_is_passed(scene: Scene) -> None:
    """Somebody published to the wrong topic: lanes stop there, the monitor goes on watching."""
    await scene.publish(record())
    household = CATALOG.stream("household").latest
    foreign = frame(await scene.registry.id_of(household), [b"x"])[0]
    producer = scene.broker.producer()
    await producer.start()
    await producer.send([Message("linkage.resident", 0, b"131130/000000000000001", foreign)])
    await producer.close()
    await scene.append(foreign)
    tasks = Tasks()
    monitor = scene.monitor()
    monitor._tasks = tasks
    async with watching(monitor):
        await until(lambda: monitor.changes.count == 1)
        await scene.apply("tax", "resident", 2, rows=3)
        await scene.apply("school", "resident", 2, rows=3)
        await until(lambda: set(rows_in(monitor.report()).values()) == {3})
        await until(lambda: monitor.changes.count == 0)
    assert tasks.fallen == []
