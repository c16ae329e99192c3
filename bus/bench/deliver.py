"""Measure delivery from Kafka to a view, into a sink that drops all; the ceiling only fetches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import perf_counter

from bus import app
from bus.broker import Broker
from bus.catalog.wire import Reader
from bus.clock import SystemClock
from bus.connect import Capabilities
from bus.errors import Unready
from bus.hosting.feeds import Feed
from bus.hosting.host import host, opened_process
from bus.hosting.system_delivery import SystemDelivery
from bus.model import Applied, Checkpoint, Delivery, Mark, Stream, View, rows_in
from bus.observe.metrics import Metrics
from bus.policy import compile_view, load_subscriptions
from bus.settings import Settings

SYSTEM = "child_allowance"
WARM_UP = 1  # rounds that are not counted: the broker compiles its way of reading meanwhile
ROUNDS = 5


class Dropping:
    """A sink that counts rows and drops them."""

    def __init__(self) -> None:
        self.events = 0
        self.first: float | None = None
        self.last = 0.0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(transactional=self)

    async def open(self, view: View) -> None:
        """Do nothing: there is nothing to open."""

    async def apply(self, delivery: Delivery) -> Applied:
        now = perf_counter()
        if self.first is None:
            self.first = now  # the first batch's own cost is before its arrival: not counted
        else:
            self.events += delivery.end.offset - delivery.start
        self.last = now
        return Applied(rows_in(delivery), datetime.now(UTC))

    async def checkpoint(self, partition: int) -> Checkpoint | None:  # noqa: ARG002 - the port's
        return None

    async def checkpoints(self) -> Mapping[int, Checkpoint]:
        return {}

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        raise Unready("what keeps no rows does not say where it stands")

    async def close(self) -> None:
        return


async def measure(settings: Settings, step: Callable[[str], None]) -> Mapping[str, float]:
    """``deliver_events_per_s``; the topic ``linkage.resident`` must be full already."""
    catalog = app.configured.catalog(settings)
    stream = catalog.stream("resident")
    view = compile_view(load_subscriptions(catalog)[SYSTEM], stream, date.today())  # noqa: DTZ011
    rates, fetches = [], []
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(app.clients.registry(settings))
        broker = await stack.enter_async_context(app.clients.broker(settings))
        readers = {name: Reader(each, catalog, known) for name, each in catalog.streams.items()}
        process = await stack.enter_async_context(
            opened_process(
                broker=broker,
                ids=known,
                streams=catalog.streams,
                readers=readers,
                settings=settings,
                clock=SystemClock(),
                metrics=Metrics(),
                proofs=app.keys.proofs(settings),
            )
        )
        for number in range(WARM_UP + ROUNDS):
            step(f"delivering, round {number + 1} of {WARM_UP + ROUNDS}")
            sink = Dropping()
            delivery = SystemDelivery(
                f"{SYSTEM}_bench_{number}",
                [Feed(view, stream.topic, readers[stream.name], partial(_same, sink), None)],
                process,
            )
            await host(process, [delivery], asyncio.Event(), once=True)
            assert sink.first is not None
            fetched = await _fetch_only(broker, stream, settings)
            if number >= WARM_UP:
                rates.append(sink.events / (sink.last - sink.first))
                fetches.append(fetched)
    return {
        "deliver_events_per_s": sorted(rates)[len(rates) // 2],
        "deliver_ceiling_fetch_events_per_s": sorted(fetches)[len(fetches) // 2],
    }


def _same(sink: Dropping) -> Dropping:
    return sink


async def _fetch_only(broker: Broker, stream: Stream, settings: Settings) -> float:
    consumer = broker.consumer()
    await consumer.start()
    try:
        count = (await broker.partitions([stream.topic]))[stream.topic]
        places = [(stream.topic, partition) for partition in range(count)]
        await consumer.assign(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, 0)
        wanted, got, first = sum(ends.values()), 0, None
        while got < wanted:
            fetched = await consumer.fetch(settings.fetch_records, timedelta(seconds=5))
            first = first or perf_counter()
            got += sum(len(piece.offsets) for piece in fetched)
        assert first is not None
        return got / (perf_counter() - first)
    finally:
        await consumer.close()
