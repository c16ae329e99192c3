"""Host systems in one process: build what they share, run them side by side, stop them in time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog

from bus.broker import Broker
from bus.catalog.decoding import BatchReader
from bus.catalog.registry import SchemaIds
from bus.clock import Clock
from bus.control.editions import Editions
from bus.control.fence import Fence
from bus.control.operations import Operations
from bus.control.parked import ParkedIndex
from bus.control.receipts import Receipts
from bus.control.testimony import SaidReceipts, Testimony
from bus.control.views import Views
from bus.credentials import number_form
from bus.deliver.process import Cluster, ControlStreams, Keys, ProcessContext, Runtime
from bus.deliver.pulse import Pulse
from bus.deliver.state import Lanes, LaneStatus
from bus.errors import BusError, Dependency, Reaction
from bus.hosting.overdue import Overdue
from bus.hosting.system_delivery import SystemDelivery
from bus.log.internal import InternalTopic
from bus.model import Stream
from bus.observe.metrics import Metrics
from bus.observe.tasks import SupervisedTask, Tasks, errors_of, until_over
from bus.retry import retried
from bus.sealing import Proofs, Seals
from bus.settings import Settings

_log = structlog.get_logger("renkei.deliver")
T = TypeVar("T")
LOOK_FOR_NEWS_EVERY = timedelta(seconds=1)


@asynccontextmanager
async def opened_process(
    *,
    broker: Broker,
    ids: SchemaIds,
    streams: Mapping[str, Stream],
    readers: Mapping[str, BatchReader],
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    proofs: Proofs,
    seals: Seals | None = None,
) -> AsyncIterator[ProcessContext]:
    """The parts that the systems of one process share, opened; waits for what does not answer.

    Raises:
        KeysUnusable: There are no keys that prove receipts.
    """
    wait = _StartWait(clock, settings)
    tasks = Tasks(metrics, first=settings.retry_first, most=settings.retry_most)
    async with AsyncExitStack() as stack:
        await wait.until(proofs.ring, "keys")
        producer = broker.producer(client_id="renkei-deliver")
        await wait.until(producer.start, "producer")
        stack.push_async_callback(producer.close)

        def internal(name: str) -> InternalTopic:
            return InternalTopic(broker, producer, ids, streams[name])

        cluster_id = await wait.until(broker.cluster_id, "cluster")
        kafka = Pulse(clock)
        receipts = Receipts(
            internal("receipt"),
            cluster_id,
            kafka,
            settings.back_off(),
            tasks,
            proofs,
        )
        receipts.start()
        stack.push_async_callback(receipts.close)
        parked = ParkedIndex(
            broker, internal("exception"), streams["exception"], readers["exception"], clock
        )
        stack.push_async_callback(parked.close)
        await wait.until(parked.start, "exceptions")
        operations = Operations(
            broker,
            internal("operation"),
            streams["operation"],
            readers["operation"],
            kafka,
            settings.back_off(),
            tasks,
        )
        stack.push_async_callback(operations.close)
        await wait.until(operations.start, "operations")
        editions = Editions(
            broker, internal("subscription"), streams["subscription"], readers["subscription"]
        )
        stack.push_async_callback(editions.close)
        await wait.until(editions.start, "subscriptions")
        views = Views(broker, internal("view"), streams["view"], readers["view"])
        stack.push_async_callback(views.close)
        await wait.until(views.start, "views")
        fence = Fence(broker, streams, readers, number_form(settings))
        stack.push_async_callback(fence.close)
        await wait.until(fence.start, "protection")
        said = SaidReceipts(broker, streams["receipt"], readers["receipt"], proofs)
        yield ProcessContext(
            cluster=Cluster(broker, cluster_id, kafka),
            control=ControlStreams(
                parked=parked,
                operations=operations,
                editions=editions,
                views=views,
                receipts=receipts,
                testimony=Testimony(proofs, said, cluster_id, clock),
            ),
            fence=fence,
            keys=Keys(seals or Seals(), proofs),
            lanes=Lanes(),
            runtime=Runtime(clock, settings, metrics, tasks),
        )


async def host(
    process: ProcessContext,
    deliveries: Sequence[SystemDelivery],
    stop: asyncio.Event,
    *,
    once: bool = False,
) -> None:
    """Run *deliveries* until *stop* is set, or, *once*, until all is delivered.

    A system whose delivery ends by itself is begun again after a back-off (*once*, it is not), and
    the others go on. When none of them can run as it is configured, the first failure is raised.
    """
    failures: list[BaseException] = []

    def gives_up(_: BaseException) -> bool:
        stand = [f.error for f in process.runtime.tasks.fallen if f.task == "delivery"]
        cannot = [error for error in stand if _stops(error)]
        failures[:] = cannot
        return once or len(cannot) == len(deliveries)

    following = follow(process)
    running = [
        process.runtime.tasks.keep(
            "delivery",
            partial(delivery.run, once=once),
            until_done=True,
            gives_up=gives_up,
            system=delivery.system,
        )
        for delivery in deliveries
    ]
    try:
        await until_over(running, stop, all_fail=once)
    finally:
        for delivery, kept in zip(deliveries, running, strict=True):
            delivery.stop()
            kept.leave()
        for kept in following:
            await kept.end()
        failed = await errors_of(running)
    if failed:
        raise failed[0] if once else failures[0]


def observe(process: ProcessContext, deliveries: Sequence[SystemDelivery]) -> None:
    """Let whoever looks at the metrics see how lanes, exceptions and receipts stand then."""

    async def look() -> None:
        metrics, states = process.runtime.metrics, process.lanes.all.values()
        metrics.lanes(Counter((s.system, s.stream, s.status.value) for s in states))
        events = process.control.parked.open_events()
        metrics.exceptions(Counter((e.system, e.stream, e.state.value) for e in events))
        now = process.runtime.clock.now()
        metrics.exceptions_oldest(
            {
                lane: (now - since).total_seconds()
                for lane, since in process.control.parked.oldest().items()
            }
        )
        metrics.receipts_waiting(process.control.receipts.waiting)
        stuck: dict[tuple[str, str], float] = {}
        paused: dict[tuple[str, str], float] = {}
        for state in states:
            waited = (
                (process.runtime.clock.now() - state.since).total_seconds() if state.since else 0.0
            )
            lane, is_paused = (state.system, state.stream), state.status is LaneStatus.PAUSED
            stuck[lane] = max(0.0 if is_paused else waited, stuck.get(lane, 0.0))
            if is_paused:
                paused[lane] = waited
        for lane, waited in stuck.items():
            metrics.stuck(*lane, waited)
        metrics.paused(paused)
        for delivery in deliveries:
            for stream, (behind, seconds) in (await delivery.fleet.lags()).items():
                metrics.lag(delivery.system, stream, behind, seconds)

    process.runtime.metrics.before_render(look)


def ill(process: ProcessContext) -> list[str]:
    """Why this process does not do its work: lanes that stopped, are not open, or may not run."""
    refused = [
        f"{system}/{stream or '*'} not delivered {code}"
        for (system, stream), code in process.lanes.undelivered.items()
    ]
    refused += [f"{s} not withdrawn {code}" for s, code in process.lanes.not_withdrawn.items()]
    return refused + [
        f"{state.system}/{state.stream}/{state.partition} {state.status} {state.code or ''}".strip()
        for state in process.lanes.all.values()
        if state.status in (LaneStatus.STOPPED, LaneStatus.OPENING)
    ]


def follow(process: ProcessContext) -> list[SupervisedTask]:
    """Follow operations and coverage, and warn of what is overdue, each in a task of its own."""
    overdue = Overdue(process)
    follows: Mapping[str, Callable[[], Awaitable[None]]] = {
        "exceptions": process.control.parked.catch_up,
        "operations": process.control.operations.catch_up,
        "subscriptions": process.control.editions.catch_up,
        "protection": process.fence.follow,
    }

    async def catch_up(name: str) -> None:
        while True:
            await process.runtime.clock.sleep(LOOK_FOR_NEWS_EVERY)
            try:
                await follows[name]()
                process.cluster.pulse.answered()
            except BusError as error:
                if error.reaction is not Reaction.RETRY:
                    raise
                if error.outside is Dependency.BROKER:
                    process.cluster.pulse.failed()
                _log.warning("operators-unheard", code=error.code, wants=name)

    async def look() -> None:
        while True:
            await process.runtime.clock.sleep(LOOK_FOR_NEWS_EVERY)
            overdue.look()

    keep = process.runtime.tasks.keep
    followers = [keep("follower", partial(catch_up, name), wants=name) for name in follows]
    return [*followers, keep("overdue", look)]


def _stops(error: BaseException) -> bool:
    return isinstance(error, BusError) and error.reaction is Reaction.STOP


class _StartWait:
    """Waits, while the process starts, for what must answer."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._settings = settings

    async def until(self, act: Callable[[], Awaitable[T]], name: str) -> T:
        async def wait(error: BusError, length: timedelta) -> None:
            _log.warning("start-waits", code=error.code, wants=name)
            await self._clock.sleep(length)

        return await retried(act, self._settings.back_off(), wait)
