"""The Faust app: reads receipts as they come, and keeps windows and open changes.

It only watches. Nothing waits for it, nothing is read back from it, and what it loses when it
dies it reads again: it keeps no table of its own, because the receipts are the table's log. At
start it goes back to the recent past (:mod:`~bus.monitor.recent`), which fills the windows, and
asks how far each system's consumer group says it is; from then on receipts say it.

Of Faust it uses one app with one agent, concurrency 1, raw bytes in (no codec of Faust's, none
that unpickles), memory for a store, no topic made, no web server, no worker: the app starts in
the running event loop, so signals, logging and the process stay whose they are. Faust's reading
costs some 100 µs a receipt; with nothing to read the process takes about half a percent of one
core (*measured*).

One monitor at a time: two would share the partitions and each see half. A second one waits for
the first one's session to end and then says so. When Faust gives up (the broker went away for
too long), or any part of the monitor ends by itself, the app is thrown away and a new one started;
so it is when a subscription changes which systems are expected, for open changes depend on that.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import faust
import structlog

from bus.backoff import BackOff
from bus.broker.port import Broker, TopicPartition, group_of
from bus.broker.security import Security
from bus.catalog import Catalog
from bus.catalog.wire import Reader
from bus.errors import BrokerUnavailable, BusError, ConfigurationError
from bus.model import Stream
from bus.monitor.open_changes import OpenChanges
from bus.monitor.receipts import read_receipts
from bus.monitor.recent import recent_past
from bus.monitor.report import report
from bus.monitor.streams import follow, until_read
from bus.monitor.windows import MINUTE, Windows, minute_of
from bus.observe.metrics import Metrics
from bus.observe.runner import this_process
from bus.observe.tasks import CameBack, Tasks, errors_of, until_over
from bus.retry import retried

GROUP = group_of("monitor")
SESSION_SECONDS = 10  # how long a dead monitor holds its partitions
GIVE_UP_SECONDS = 2.0 * SESSION_SECONDS  # after which it is not a dead one that holds them
GATHER_SECONDS = 0.5  # receipts of this long are decoded together
MOST_WAITING = 20_000  # receipts read and not yet decoded
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)


log = structlog.get_logger()
_Received = tuple[bytes, int, str, int, int]  # value, when (ms), topic, partition, offset


@dataclass(frozen=True, slots=True)
class WatchedCluster:
    """The cluster that is watched, its receipts, and the streams that they are about."""

    broker: Broker
    bootstrap: str
    """Some of the cluster's brokers, for Faust."""
    security: Security
    """How they are entered."""
    catalog: Catalog
    reader: Callable[[Stream], Reader]
    expected: Callable[[], Mapping[str, Collection[str]]]
    """Stream -> systems that should have all its events; asked again and again, for subscriptions
    change."""
    named: Callable[[str], str] = str
    """What the cluster calls a topic or a group, where *broker* has other names."""


class Monitor:
    """Watches one cluster's receipts. Runs once."""

    def __init__(
        self,
        watched: WatchedCluster,
        *,
        metrics: Metrics | None = None,
        tasks: Tasks | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._watched = watched
        self._broker = watched.broker
        self._receipt = watched.catalog.stream("receipt")
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._tasks = tasks or Tasks(self._metrics)
        self._has_watched = False
        self._metrics.before_render(self._show)
        self._inbox: list[_Received] = []
        self._deaf: BaseException | None = None  # why the agent takes nothing in any more
        self._live: dict[int, int] = {}  # partition -> offset from which receipts are news
        self._forget()

    @property
    def is_watching(self) -> bool:
        """Whether receipts are being read."""
        return self._is_watching

    def report(self, last: int = 60) -> dict[str, Any]:
        """The report of what is known now; see :mod:`bus.monitor.report`."""
        return report(self.windows, self.changes, now=self._clock(), last=last)

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until *stop* is set; what ends by itself is begun again.

        Raises:
            ConfigurationError: At the start: another monitor runs, or the topics are not there.
        """
        kept = self._tasks.keep(
            "monitor", partial(self._go_on, stop), until_done=True, gives_up=self._cannot_start
        )
        try:
            await until_over([kept], stop)
        finally:
            kept.leave()
            errors = await errors_of([kept])
        if errors:
            raise errors[0]

    def _cannot_start(self, error: BaseException) -> bool:
        return isinstance(error, ConfigurationError) and not self._has_watched

    async def _go_on(self, stop: asyncio.Event) -> None:
        """Watch, and start again when the broker was away."""
        back_off = BackOff(FIRST_PAUSE, LONGEST_PAUSE)

        async def act() -> None:
            while not stop.is_set():  # and again, where others are expected
                began = self._clock()
                try:
                    await self._watch(stop)
                finally:
                    if self._clock() - began > LONGEST_PAUSE.total_seconds():
                        back_off.reset()

        async def wait(error: BusError, length: timedelta) -> None:
            log.warning("monitor-interrupted", code=error.code, reason=error.message)
            await _stopped_within(stop, length.total_seconds())

        await retried(act, back_off, wait)

    async def _watch(self, stop: asyncio.Event) -> None:
        self._forget()
        await self._go_back(stop)
        passed = await self._ask_groups()
        with tempfile.TemporaryDirectory(prefix="renkei-monitor-") as folder:
            app = self._app(folder)
            jobs = [
                asyncio.create_task(job)
                for job in (
                    self._start(app),
                    self._decode(),
                    follow(self._broker, self._streams, self._watched.reader, self.changes, passed),
                    self._look_after(app, stop),
                )
            ]
            try:
                done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._is_watching = False
                for job in jobs:
                    job.cancel()
                await asyncio.wait(jobs)
                await _end(app)
            for job in done:
                job.result()

    async def _start(self, app: Any) -> None:
        await app.start()
        self._is_watching = self._has_watched = True
        log.info("monitor-watches", topic=self._receipt.topic)
        await asyncio.Event().wait()

    def _app(self, folder: str) -> Any:
        """A new Faust app with everything switched off that the monitor does not need."""
        app = faust.App(
            self._watched.named(GROUP),
            broker=";".join(f"kafka://{server}" for server in self._watched.bootstrap.split(",")),
            broker_credentials=_credentials(self._watched.security),
            loop=asyncio.get_running_loop(),
            autodiscover=False,
            datadir=folder,
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            reply_create_topic=False,
            key_serializer="raw",
            value_serializer="raw",
            broker_client_id=f"renkei-monitor@{this_process()}",
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=SESSION_SECONDS / 4,
            consumer_auto_offset_reset="latest",
        )
        topic = app.topic(
            self._watched.named(self._receipt.topic),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        async def take(receipts: Any) -> None:
            try:
                async for event in receipts.events():
                    self._take(event)
                    while len(self._inbox) >= MOST_WAITING:  # noqa: ASYNC110 - _decode empties it
                        await asyncio.sleep(GATHER_SECONDS)
            finally:  # Faust would go on without an agent, or with another one after the event
                self._deaf = sys.exc_info()[1] or CameBack()

        app.agent(topic, concurrency=1, name="receipts")(take)
        return app

    def _take(self, event: Any) -> None:
        message = event.message
        if event.value is not None:
            at = int(message.timestamp * 1_000)
            place = (message.topic, message.partition, message.offset)
            self._inbox.append((event.value, at, *place))

    async def _decode(self) -> None:
        """Put the receipts that the agent has read into windows and open changes."""
        reader = self._watched.reader(self._receipt)
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            received, self._inbox = self._inbox, []
            news: list[_Received] = [one for one in received if one[4] >= self._live.get(one[3], 0)]
            past = [one for one in received if one[4] < self._live.get(one[3], 0)]
            for these, is_news in ((past, False), (news, True)):
                await self._learn(reader, these, is_news=is_news)

    async def _learn(self, reader: Reader, received: Sequence[_Received], *, is_news: bool) -> None:
        values, when = [one[0] for one in received], [one[1] for one in received]
        receipts, unreadable = await until_read(partial(read_receipts, reader, values, when))
        counted = 0
        for seen in receipts:
            counted += self.windows.add(seen)
            if is_news and not seen.is_replay:
                self.changes.moved(seen.stream, seen.partition, seen.system, seen.end)
        self._metrics.receipts_read("counted", counted)
        self._metrics.receipts_read("left-out", len(receipts) - counted)
        self._metrics.receipts_read("unreadable", unreadable)

    async def _show(self) -> None:
        """Set the gauges to the present values; called before they are read."""
        now = self._clock()
        whole = self.windows.at(minute_of(now) - MINUTE)
        self._metrics.throughput(
            {lane: (w.rows, w.batches, w.delay_mean) for lane, w in whole.items()}
        )
        self._metrics.behind(
            {
                lane: (offsets, 0.0 if oldest is None else max(now - oldest, 0.0))
                for lane, (offsets, oldest) in self.changes.behind().items()
            }
        )
        self._metrics.open_changes(self.changes.count)

    async def _look_after(self, app: Any, stop: asyncio.Event) -> None:
        """End when told to, when others are expected, or when Faust or its agent has given up."""
        while not await _stopped_within(stop, 1.0):
            if self._watched.expected() != self._expected:
                log.info("monitor-expects-others")
                return
            if self._deaf is not None:
                raise self._deaf
            if app.crashed or (app.started and app.should_stop):
                raise BrokerUnavailable("faust gave up; a new app is started")

    async def _go_back(self, stop: asyncio.Event) -> None:
        """Set the group's offsets to where the recent past begins."""
        bounds = await recent_past(self._broker, self._receipt.topic)
        begins = {place: begin for place, (begin, _) in bounds.items()}
        self._live = {place[1]: end for place, (_, end) in bounds.items()}
        give_up = self._clock() + GIVE_UP_SECONDS
        while not await self._put(begins):
            if self._clock() > give_up:
                raise ConfigurationError("another monitor is running", group=GROUP)
            if await _stopped_within(stop, 1.0):
                return

    async def _put(self, begins: Mapping[TopicPartition, int]) -> bool:
        """Set the group's offsets; False while it has members, for then the broker refuses.

        Two different words, so that one that was there before is not taken for an answer.
        """
        consumer = self._broker.consumer(GROUP, client_id="renkei-monitor")
        await consumer.start()
        try:
            await consumer.assign(list(begins))
            for ahead in (1, 0):
                words = {place: begin + ahead for place, begin in begins.items()}
                await consumer.commit(words)
                said = await self._broker.committed(GROUP)
                if any(said.get(place) != word for place, word in words.items()):
                    return False
        finally:
            await consumer.close()
        return True

    async def _ask_groups(self) -> dict[TopicPartition, int]:
        """Ask for each system's committed offsets: changes before them are not open."""
        passed: dict[TopicPartition, int] = {}
        for stream in self._streams:
            count = (await self._broker.partitions([stream.topic])).get(stream.topic, 0)
            passed.update({(stream.topic, number): 2**62 for number in range(count)})
        for system in {one for systems in self._expected.values() for one in systems}:
            said = await self._broker.committed(group_of(system))
            for stream in self._streams:
                if system not in self._expected[stream.name]:
                    continue
                for place in [place for place in passed if place[0] == stream.topic]:
                    end = said.get(place, 0)
                    self.changes.moved(stream.name, place[1], system, end)
                    passed[place] = min(passed[place], end)
        return passed

    def _forget(self) -> None:
        self.windows = Windows()
        self._expected = self._watched.expected()
        self._streams = [self._watched.catalog.stream(name) for name in self._expected]
        self.changes = OpenChanges(self._expected)
        self._inbox = []
        self._deaf = None
        self._is_watching = False


def _credentials(security: Security) -> Any:
    """The login for Faust's own clients, the same as ours; None without TLS and without login."""
    login = security.login
    if login is None:
        return None if security.context is None else faust.SSLCredentials(security.context)
    return faust.SASLCredentials(
        username=login.user,
        password=login.password,
        ssl_context=security.context,
        mechanism=login.mechanism.value,
    )


async def _end(app: Any) -> None:
    """Stop an app; one that cannot stop is left to itself, its session runs out."""
    try:
        async with asyncio.timeout(SESSION_SECONDS):
            await app.stop()
    except TimeoutError:
        log.warning("monitor-did-not-stop")


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
