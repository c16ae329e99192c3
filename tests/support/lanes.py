"""A whole delivery in memory: broker, registry, streams, stores; for tests of lanes.

Everything that a lane touches is real but the broker, the stores, the registry and the clock.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from bus.broker import Broker, Message, TopicSpec
from bus.broker.memory import MemoryBroker
from bus.catalog import Catalog, load
from bus.catalog.columns import arrow_schema, encode
from bus.catalog.single import encode_one
from bus.catalog.wire import Reader, frame
from bus.clock import Clock
from bus.control.testimony import prove_position
from bus.deliver.process import ProcessContext
from bus.deliver.state import LaneState, LaneStatus
from bus.errors import RegistryUnavailable, SchemaUnknown
from bus.hosting.feeds import Feed
from bus.hosting.host import opened_process
from bus.hosting.system_delivery import SystemDelivery
from bus.model import (
    Checkpoint,
    LaneName,
    Operation,
    OperationState,
    ParkedEvent,
    SchemaVersion,
    View,
)
from bus.observe.metrics import Metrics
from bus.policy import compile_view, ledger_view, load_subscriptions
from bus.sealing import Proofs, Seals
from bus.settings import Settings
from tests.support import waiting
from tests.support.changes import MUNICIPALITY, body
from tests.support.keys import Pocket

TODAY = date(2026, 11, 24)
CATALOG = load()
SUBSCRIPTIONS = load_subscriptions(CATALOG)
_TYPES = {
    "resident": "resident.address_changed",
    "household": "household.changed",
    "individual_number": "individual_number.changed",
    "protection": "protection.started",
}


class MovedClock:
    """A clock that stands still; whoever sleeps moves it, and lets others run."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)) -> None:
        self.time = now
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, length: timedelta) -> None:
        self.time += length
        self.slept.append(length)
        await asyncio.sleep(0.001)


class FixedRegistry:
    """Knows every schema of a catalogue under a number of its own; may be away."""

    def __init__(self, catalog: Catalog = CATALOG) -> None:
        versions = [v for stream in catalog.streams.values() for v in stream.versions]
        self.texts = {100 + index: version.text for index, version in enumerate(versions)}
        self._ids = {v.text: 100 + index for index, v in enumerate(versions)}
        self.is_away = False
        self._asked: set[str] = set()  # like the real one: each question once

    async def id_of(self, version: SchemaVersion) -> int:
        if version.text not in self._asked:
            self._answer()
            self._asked.add(version.text)
        return self._ids[version.text]

    async def schema_of(self, schema_id: int) -> str:
        self._answer()
        if schema_id not in self.texts:
            raise SchemaUnknown("the registry has no such schema", schema_id=schema_id)
        return self.texts[schema_id]

    def number(self, version: SchemaVersion) -> int:
        """The id of *version*, whether the registry is away or not."""
        return self._ids[version.text]

    def _answer(self) -> None:
        if self.is_away:
            raise RegistryUnavailable("the registry does not answer")


@dataclass
class Town:
    """One broker with the shipped streams' topics, and what was published to it.

    Another broker than the one in memory, and another clock, may be given.
    """

    partitions: int = 1
    cluster: Broker | None = None
    time: Clock | None = None
    settings: Settings = field(
        default_factory=lambda: Settings(
            idle_wait=timedelta(milliseconds=50), stop_within=timedelta(seconds=2)
        )
    )

    def __post_init__(self) -> None:
        self.memory = MemoryBroker()
        self.broker: Broker = self.cluster or self.memory
        self.registry = FixedRegistry()
        self.moved = MovedClock()
        self.clock: Clock = self.time or self.moved
        self.producer = self.broker.producer()
        self.proofs = Proofs(Pocket("town"))

    async def build(self) -> None:
        """Make the topics."""
        await self.producer.start()
        await self.broker.create_topics(
            [TopicSpec(s.topic, self.partitions, 1, {}) for s in CATALOG.streams.values()]
        )

    def value(self, stream: str, subject: str, version: int, **items: Any) -> bytes:
        """One event, framed; ``schema=1`` writes it with that version of the schema."""
        written_with = items.pop("schema", len(CATALOG.stream(stream).versions))
        schema = CATALOG.stream(stream).versions[written_with - 1]
        return self.framed(schema, self.record(stream, subject, version, **items))

    def record(self, stream: str, subject: str, version: int, **items: Any) -> dict[str, Any]:
        """One record, header and all."""
        event_type = items.pop("event_type", _TYPES[stream])
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{stream}/{subject}/{version}")
        header = {
            "event_id": str(items.pop("event_id", name)),
            "event_type": event_type,
            "nature": "CHANGE",
            "change_id": str(name),
            "change_size": 1,
            "change_index": 0,
            "municipality_code": MUNICIPALITY,
            "subject_id": subject,
            "version": version,
            "reason": None,
            "effective_date": {"date": None, "unknown": False, "text": None},
            "notified_on": None,
            "processed_at": datetime(2026, 11, 24, tzinfo=UTC),
            "source": "resident_registry",
            "cancels": None,
        }
        return {"header": header, **body(stream, **items)}

    def framed(self, schema: SchemaVersion, record: Mapping[str, Any]) -> bytes:
        """A record as an event's bytes; what it leaves out has its default."""
        encoded = encode_one(schema, _filled(schema.schema, record))
        return frame(self.registry.number(schema), [encoded])[0]

    async def publish(
        self, stream: str, subject: str, version: int, *, partition: int = 0, **items: Any
    ) -> int:
        """Append one event; its offset."""
        value = self.value(stream, subject, version, **items)
        return await self.append(stream, subject, value, partition=partition)

    async def append(
        self, stream: str, subject: str, value: bytes | None, *, partition: int = 0
    ) -> int:
        """Append these bytes under the subject's key; the offset."""
        topic, key = CATALOG.stream(stream).topic, f"{MUNICIPALITY}/{subject}".encode()
        message = Message(topic, partition, key, value)
        (offset,) = await self.producer.send([message])
        return offset

    def read_all(self, stream: str) -> list[dict[str, Any]]:
        """Everything in an internal stream's log, decoded, oldest first per partition."""
        topic = CATALOG.stream(stream).topic
        logs = self.memory._topic(topic).logs
        values = [value for log in logs for value in log.values if value is not None]

        async def read() -> list[dict[str, Any]]:
            return (await self.reader(stream).read(values)).to_pylist() if values else []

        decoded: list[dict[str, Any]] = _now(read())
        return decoded

    async def said(self, stream: str) -> list[dict[str, Any]]:
        """As :meth:`read_all`, from any broker."""
        topic, values = CATALOG.stream(stream).topic, list[bytes]()
        consumer = self.broker.consumer(client_id="renkei-test")
        await consumer.start()
        try:
            for partition in range(self.partitions):
                place = (topic, partition)
                await consumer.assign([place])
                end = (await consumer.end_offsets([place]))[place]
                consumer.seek(place, 0)
                while await consumer.position(place) < end:
                    for piece in await consumer.fetch(10_000, timedelta(seconds=1)):
                        values += [value for value in piece.values if value is not None]
        finally:
            await consumer.close()
        return (await self.reader(stream).read(values)).to_pylist() if values else []

    def encoded(self, stream: str, rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Rows of an internal stream as values of its topic."""
        latest = CATALOG.stream(stream).latest
        batch = pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=arrow_schema(latest))
        return frame(self.registry.number(latest), encode(latest, batch))

    async def standing_at(self, held: Checkpoint, **changes: Any) -> Checkpoint:
        """What the bus would have stored, had the lane of *held* come to another position."""
        position = replace(held.position, **changes)
        receipt = replace(held.receipt, end=position.offset)
        lane = LaneName(receipt.system, receipt.stream, receipt.partition)
        proof = await prove_position(self.proofs, lane, position, receipt, held.applied_at)
        return replace(held, position=position, receipt=receipt, proof=proof)

    def reader(self, stream: str) -> Reader:
        """A reader that has seen nothing yet."""
        return Reader(CATALOG.stream(stream), CATALOG, self.registry)


def _filled(schema: Any, value: Any) -> Any:
    """*value* with its schema's defaults where it says nothing, and dates as dates."""
    if isinstance(schema, list):
        return None if value is None else _filled(next(a for a in schema if a != "null"), value)
    if not isinstance(schema, dict) or value is None:
        return value
    if schema.get("logicalType") == "date":
        return date.fromisoformat(value) if isinstance(value, str) else value
    if schema["type"] == "array":
        return [_filled(schema["items"], item) for item in value]
    if schema["type"] == "record":
        return {
            entry["name"]: _filled(entry["type"], value.get(entry["name"], entry.get("default")))
            for entry in schema["fields"]
        }
    return value


def _now(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def view_of(system: str, stream: str) -> View:
    """What a shipped subscription lets a system see; the ledger's own for ``ledger``."""
    if system == "ledger":
        return ledger_view(CATALOG.stream(stream))
    return compile_view(SUBSCRIPTIONS[system], CATALOG.stream(stream), TODAY)


async def until(done: Callable[[], object], seconds: float = 30) -> None:
    """Wait for *done*."""
    await waiting.until(done, seconds, every=0.001)


@dataclass
class Hosted:
    """Systems running in one process."""

    process: ProcessContext
    deliveries: Sequence[SystemDelivery]
    running: Sequence[asyncio.Task[None]] = ()

    @property
    def has_died(self) -> bool:
        """Whether a system has ended by itself."""
        return any(task.done() for task in self.running)

    @property
    def lanes(self) -> list[LaneState]:
        """Every lane that is owned now."""
        return [lane for delivery in self.deliveries for lane in delivery.lanes]

    def lane(self, stream: str = "resident", partition: int = 0) -> LaneState:
        """The state of one lane, whatever became of it."""
        (found,) = [
            state
            for (_, name, number), state in self.process.lanes.all.items()
            if (name, number) == (stream, partition)
        ]
        return found

    def parked(self) -> list[ParkedEvent]:
        """What is set aside."""
        return self.process.control.parked.open_events()

    async def until(self, done: Callable[[], object], seconds: float = 30) -> None:
        """Wait for *done*."""
        await until(done, seconds)

    async def until_told(
        self, is_so: Callable[[], Any], seconds: float = 30, *, every: float = 0.001
    ) -> None:
        """Wait for what comes of what an operator or a protection asks: heard before each look."""

        async def look() -> Any:
            await self.news()
            return await waiting.said(is_so)

        await waiting.until(look, seconds, every=every)

    async def at(
        self, offset: int, stream: str = "resident", partition: int = 0, seconds: float = 30
    ) -> None:
        """Wait until a lane stands at *offset* with its receipt acknowledged."""

        def stands() -> bool:
            return any(
                (lane.state.stream, place[1]) == (stream, partition)
                and lane.state.offset == offset
                and lane.is_idle
                for delivery in self.deliveries
                for place, (lane, _) in delivery.fleet.roster.lanes.items()
            )

        await asyncio.sleep(0)
        await until(stands, seconds)

    async def stopped(self, stream: str = "resident") -> LaneState:
        """Wait until a lane has stopped."""
        states = self.process.lanes.all.values()
        await self.until(
            lambda: [s for s in states if (s.stream, s.status) == (stream, LaneStatus.STOPPED)]
        )
        return self.lane(stream)

    async def news(self) -> None:
        """See at once what an operator asked for."""
        await self.process.control.parked.catch_up()
        await self.process.control.operations.catch_up()
        await self.process.fence.follow()

    async def pause(self, system: str, stream: str = "resident", note: str = "T-1") -> None:
        """An operator pauses a stream, and the process hears of it; its lanes may not stand yet."""
        await self._instruct(system, stream, OperationState.PAUSED, note)

    async def resume(self, system: str, stream: str = "resident") -> None:
        """An operator has a stream go on, and the process hears of it."""
        await self._instruct(system, stream, OperationState.RUNNING, None)

    async def paused(self, stream: str = "resident") -> None:
        """Wait until every lane of a stream that is owned here stands."""
        await self.until(
            lambda: all(lane.status is LaneStatus.PAUSED for lane in self.lanes_of(stream))
        )

    def lanes_of(self, stream: str) -> list[LaneState]:
        """The lanes of one stream that are owned now."""
        return [lane for lane in self.lanes if lane.stream == stream]

    async def _instruct(
        self, system: str, stream: str, state: OperationState, note: str | None
    ) -> None:
        now = self.process.runtime.clock.now()
        said = Operation(
            system=system, stream=stream, state=state, operator="ops", at=now, note=note
        )
        await self.process.control.operations.instruct([said])
        await self.news()


@asynccontextmanager
async def hosted(
    town: Town,
    sinks: dict[str, Callable[[View], Any]],
    *,
    streams: Sequence[str] = ("resident",),
    views: Callable[[str, str], View] = view_of,
    seals: Seals | None = None,
    proofs: Proofs | None = None,
) -> AsyncIterator[Hosted]:
    """Run the systems of *sinks* (system -> what makes a sink) until the block ends.

    Args:
        views: Of a system and a stream; by default what the subscription says.
        seals: The keys of the process that seal.
        proofs: Those that prove receipts; by default the town's.
    """
    async with AsyncExitStack() as stack:
        readers = {name: town.reader(name) for name in CATALOG.streams}
        process = await stack.enter_async_context(
            opened_process(
                broker=town.broker,
                ids=town.registry,
                streams=CATALOG.streams,
                readers=readers,
                settings=town.settings,
                clock=town.clock,
                metrics=Metrics(),
                proofs=proofs or town.proofs,
                seals=seals,
            )
        )
        deliveries = [
            SystemDelivery(
                system,
                [
                    Feed(view, CATALOG.stream(name).topic, readers[name], _maker(make, view))
                    for name in streams
                    for view in [views(system, name)]
                ],
                process,
                sends_receipts=system != "ledger",
            )
            for system, make in sinks.items()
        ]
        running = [asyncio.create_task(delivery.run()) for delivery in deliveries]
        try:
            yield Hosted(process, deliveries, running)
        finally:
            for delivery in deliveries:
                delivery.stop()
            if running:
                await asyncio.wait(running)
        for task in running:
            task.result()


def _maker(make: Callable[[View], Any], view: View) -> Callable[[], Any]:
    return lambda: make(view)
