"""A Kafka that falls silent, refuses, or is written to by strangers."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import Producer as ForeignProducer
from confluent_kafka.admin import AdminClient

from bus.broker import Message, TopicSpec
from bus.broker.kafka import KafkaBroker
from bus.conformance.broker_suite import Member, drained, opened, until
from bus.errors import BrokerUnavailable, ConfigurationError, EventTooLarge
from bus.local.endpoints import Endpoints
from bus.observe import logs
from tests.support.engines import unique

pytestmark = pytest.mark.service
PATIENCE = timedelta(seconds=1)
MANY = 200  # lines of a library
MEMBERS = 5  # of as many groups, as in a process that delivers to some systems


class Line:
    """Stands between this process and Kafka, and can be made to swallow every byte."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._flows = asyncio.Event()
        self._flows.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def __aenter__(self) -> Line:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence(self) -> None:
        self._flows.clear()

    def speak(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Nobody is there any more: what is open ends, and what is asked for is refused."""
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _joined(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(*self._target)
        self._writers += (forth, back)
        for reader, writer in ((near, forth), (far, back)):
            task = asyncio.create_task(self._carry(reader, writer))
            self._tasks.add(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def line(engines: Endpoints, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    """Every connection that this test makes to Kafka goes through the line."""
    host, _, port = engines.kafka.rpartition(":")
    loop = asyncio.get_running_loop()
    connect = loop.create_connection
    async with Line(host, int(port)) as line:
        line_opens = asyncio.open_connection

        async def detour(factory: Any, to: str, at: int, **options: Any) -> Any:
            if at == int(port) and asyncio.current_task() not in line._tasks:
                at = line.port
            return await connect(factory, to, at, **options)

        async def direct(to: str, at: int) -> Any:
            monkeypatch.setattr(loop, "create_connection", connect)
            try:
                return await line_opens(to, at)
            finally:
                monkeypatch.setattr(loop, "create_connection", detour)

        monkeypatch.setattr(asyncio, "open_connection", direct)
        monkeypatch.setattr(loop, "create_connection", detour)
        yield line
        line.speak()


@pytest.fixture
def topic(engines: Endpoints) -> Iterator[str]:
    """A topic's name; the topic is gone after the test."""
    name = unique("away")
    yield name
    admin = AdminClient({"bootstrap.servers": engines.kafka})
    admin.delete_topics([name])[name].result(10)


@pytest.fixture
async def broker(engines: Endpoints, topic: str) -> AsyncIterator[KafkaBroker]:
    async with opened(KafkaBroker(engines.kafka, patience=PATIENCE)) as broker:
        await broker.create_topics([TopicSpec(topic, 2, 1, {"max.message.bytes": "20000"})])
        yield broker


async def test_a_port_that_answers_nothing() -> None:
    """Starting is given up in time, with the broker's error and nothing left open."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        broker = KafkaBroker(f"127.0.0.1:{port}", patience=PATIENCE)
        before = time.monotonic()

        with pytest.raises(BrokerUnavailable):
            await broker.start()

        assert time.monotonic() - before < 5


async def test_a_port_where_nobody_is() -> None:
    """A refused connection is the same error, at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(BrokerUnavailable):
        await KafkaBroker(f"127.0.0.1:{port}", patience=PATIENCE).start()


async def test_silence_in_the_middle_of_sending(
    line: Line, broker: KafkaBroker, topic: str
) -> None:
    """All who wait are told in time; the same producer goes on when Kafka does."""
    async with opened(broker.producer()) as producer:
        await producer.send([Message(topic, 0, b"k", b"before")])
        line.silence()
        before = time.monotonic()

        outcomes = await asyncio.gather(
            producer.send([Message(topic, 0, b"k", b"lost?")] * 5000),
            producer.send([Message(topic, 1, b"k", b"lost?")]),
            return_exceptions=True,
        )
        given_up_after = time.monotonic() - before
        line.speak()
        offsets = await producer.send([Message(topic, 0, b"k", b"after")] * 3)

    assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes)
    assert given_up_after < 5
    async with opened(broker.consumer()) as consumer:
        await consumer.assign([(topic, 0)])
        values = [v for piece in await drained(consumer, offsets[-1] + 1) for v in piece.values]
    assert values[0] == b"before"
    assert values[-3:] == [b"after"] * 3


async def test_closing_into_silence(line: Line, broker: KafkaBroker, topic: str) -> None:
    """A producer closes within its patience though nothing is acknowledged."""
    producer = broker.producer()
    await producer.start()
    await producer.send([Message(topic, 0, b"k", b"v")])
    line.silence()
    sending = asyncio.create_task(producer.send([Message(topic, 0, b"k", b"v")]))
    await asyncio.sleep(0)
    before = time.monotonic()

    await producer.close()

    assert time.monotonic() - before < 5
    with pytest.raises(BrokerUnavailable):
        await sending


async def test_reading_through_a_silence(line: Line, broker: KafkaBroker, topic: str) -> None:
    """A reader finds nothing meanwhile and goes on afterwards where it was."""
    async with opened(broker.producer()) as producer, opened(broker.consumer()) as consumer:
        await consumer.assign([(topic, 0)])
        await producer.send([Message(topic, 0, b"k", b"1")])
        first = await drained(consumer, 1)
        line.silence()
        meanwhile = await consumer.fetch(10, timedelta(seconds=2))
        line.speak()
        await producer.send([Message(topic, 0, b"k", b"2")])
        afterwards = await drained(consumer, 1)

    assert [piece.values for piece in (*first, *afterwards)] == [[b"1"], [b"2"]]
    assert list(meanwhile) == []


async def test_a_topic_whose_limit_is_lower_than_thought(broker: KafkaBroker, topic: str) -> None:
    """Kafka's own refusal is the same error, and does not spoil the producer for later sends."""
    async with opened(broker.producer()) as producer:
        await producer.send([Message(topic, 0, b"k", b"before")])
        with pytest.raises(EventTooLarge):
            await producer.send([Message(topic, 0, b"k", b"x" * 30_000)])

        offsets = [(await producer.send([Message(topic, 0, b"k", b"after")]))[0] for _ in "12"]

    assert offsets == [1, 2]


async def test_a_strangers_compression(engines: Endpoints, broker: KafkaBroker, topic: str) -> None:
    """Another client may compress: its records are read, or the missing package is named."""
    foreign = ForeignProducer({"bootstrap.servers": engines.kafka, "compression.type": "lz4"})
    for _ in range(100):
        foreign.produce(topic, b"x" * 100, b"k", partition=0)
    foreign.flush(10)

    async with opened(broker.consumer()) as consumer:
        await consumer.assign([(topic, 0)])
        if importlib.util.find_spec("cramjam"):
            (piece,) = await drained(consumer, 100)
            assert len(piece.values) == 100
        else:
            with pytest.raises(ConfigurationError, match="cramjam"):
                await drained(consumer, 100)


KILLED = """
import asyncio, sys
from datetime import timedelta
from bus.broker.kafka import KafkaBroker
from bus.observe import logs
from bus.conformance.broker_suite import Member

async def main(bootstrap, group, topic):
    broker = KafkaBroker(bootstrap)
    await broker.start()
    consumer = broker.consumer(group)
    await consumer.start()
    member = Member(consumer)
    await member.join(topic)
    while not member.owned:
        await member.poll()
    sys.stdout.write("owned\\n")
    sys.stdout.flush()
    while True:
        await member.poll()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
async def test_a_killed_members_partitions_are_taken_over(
    engines: Endpoints, broker: KafkaBroker, topic: str
) -> None:
    """Within some ten seconds of a SIGKILL another process has all of them."""
    group = unique("group")
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, engines.kafka, group, topic, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    await other.stdout.readline()
    async with opened(broker.consumer(group)) as consumer:
        member = Member(consumer)
        await member.join(topic)
        await until(lambda: len(member.owned) == 1, member)

        other.kill()
        killed = time.monotonic()
        await until(lambda: len(member.owned) == 2, member)
        took = time.monotonic() - killed

    await other.wait()
    assert took < 11


async def test_a_session_that_the_broker_does_not_allow(
    engines: Endpoints, broker: KafkaBroker, topic: str
) -> None:
    """Says which setting it is, and does not come to nothing in silence."""
    brief = KafkaBroker(engines.kafka, session_timeout=timedelta(seconds=5))
    async with opened(brief), opened(brief.consumer(unique("group"))) as consumer:
        await consumer.subscribe([topic], *nothing_to_do())
        with pytest.raises(ConfigurationError, match="RENKEI_SESSION_TIMEOUT"):
            async with asyncio.timeout(10):
                await keep_fetching(consumer)


async def test_a_broker_that_is_away_does_not_fill_the_log(
    line: Line, broker: KafkaBroker, topic: str
) -> None:
    """What the library says hundreds of times a second is written once in one."""
    said: list[logging.LogRecord] = []
    enough = asyncio.Event()

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record)
            if len(said) == MANY:
                enough.set()

    written, root = io.StringIO(), logging.getLogger()
    async with AsyncExitStack() as stack:
        consumers = []
        for _ in range(MEMBERS):
            consumer = await stack.enter_async_context(opened(broker.consumer(unique("group"))))
            await consumer.subscribe([topic], *nothing_to_do())
            await consumer.fetch(10, timedelta(milliseconds=100))
            consumers.append(consumer)
        logs.configure(to=written)
        root.addHandler(counting := Counting())
        try:
            line.cut()
            fetching = [asyncio.ensure_future(keep_fetching(each)) for each in consumers]
            async with asyncio.timeout(30):
                await enough.wait()
            for task in fetching:
                task.cancel()
        finally:
            root.removeHandler(counting)

    seconds = said[-1].created - said[0].created
    places = {(record.module, record.funcName, record.lineno) for record in said}
    assert len(written.getvalue().splitlines()) <= 2 * len(places) * (seconds + 1)
    assert len(written.getvalue().splitlines()) < MANY / 2


def nothing_to_do() -> tuple[Any, Any]:
    async def listen(_places: Any) -> None:
        pass

    return listen, listen


async def keep_fetching(consumer: Any) -> None:
    while True:
        with suppress(BrokerUnavailable):
            await consumer.fetch(10, timedelta(milliseconds=100))
        await asyncio.sleep(0)
