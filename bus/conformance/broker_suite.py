"""What every broker promises: one suite over the one in memory and the real one.

A rig makes brokers over one cluster, and names of topics and groups that nobody else uses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Protocol, TypeVar

import pytest

from bus.broker import Broker, Consumer, Fetched, Message, Producer, TopicPartition, TopicSpec
from bus.broker.port import first_too_large
from bus.errors import BrokerUnavailable, ConfigurationError, EventTooLarge, PositionForeign

MAX_MESSAGE_BYTES = 50_000
SOON = timedelta(seconds=5)
AT_ONCE = timedelta(0)

Opened = TypeVar("Opened", Broker, Consumer, Producer)


class BrokerRig(Protocol):
    """Brokers over one cluster, whose limit for a message is ``MAX_MESSAGE_BYTES``."""

    def broker(self) -> Broker: ...

    def name(self, prefix: str) -> str:
        """A name that nothing else has."""

    async def remove(self, topic: str) -> None: ...


@asynccontextmanager
async def opened(part: Opened) -> AsyncIterator[Opened]:
    """A client that is started on the way in and closed on the way out."""
    await part.start()
    try:
        yield part
    finally:
        await part.close()


class Member:
    """A consumer in a group that records its assignments and what it reads."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.owned: set[TopicPartition] = set()
        self.rebalances: list[tuple[str, frozenset[TopicPartition]]] = []
        self.read: list[tuple[str, int, int]] = []

    async def join(self, *topics: str) -> None:
        await self.consumer.subscribe(topics, self.on_assigned, self.on_revoked)

    async def on_assigned(self, places: Sequence[TopicPartition]) -> None:
        self.rebalances.append(("assigned", frozenset(places)))
        self.owned = set(places)

    async def on_revoked(self, places: Sequence[TopicPartition]) -> None:
        self.rebalances.append(("revoked", frozenset(places)))
        self.owned -= set(places)

    async def poll(self) -> None:
        for piece in await self.consumer.fetch(100, timedelta(milliseconds=50)):
            self.read += [(piece.topic, piece.partition, offset) for offset in piece.offsets]


async def until(done: Callable[[], object], *members: Member, within: float = 20.0) -> None:
    """Let *members* poll, side by side, until *done* says so."""
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, [member.rebalances for member in members]
        await asyncio.gather(*(member.poll() for member in members))


async def drained(consumer: Consumer, count: int) -> list[Fetched]:
    """Fetched pieces with *count* records in all."""
    pieces: list[Fetched] = []
    deadline = time.monotonic() + 20
    while sum(len(piece.offsets) for piece in pieces) < count:
        assert time.monotonic() < deadline, pieces
        pieces += await consumer.fetch(1000, SOON)
    return pieces


def offsets_by_partition(pieces: Sequence[Fetched]) -> Mapping[int, list[int]]:
    """All offsets that were read of each partition, in the order of reading."""
    found: dict[int, list[int]] = {}
    for piece in pieces:
        found.setdefault(piece.partition, []).extend(piece.offsets)
    return found


class BrokerSuite:
    """The suite; the ``rig`` fixture of a test class says for which broker it runs."""

    @pytest.fixture
    async def broker(self, rig: BrokerRig) -> AsyncIterator[Broker]:
        async with opened(rig.broker()) as broker:
            yield broker

    @pytest.fixture
    async def topic(self, rig: BrokerRig, broker: Broker) -> AsyncIterator[str]:
        name = rig.name("suite")
        config = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
        await broker.create_topics([TopicSpec(name, 3, 1, config)])
        yield name
        await rig.remove(name)

    @pytest.fixture
    async def stack(self) -> AsyncIterator[AsyncExitStack]:
        async with AsyncExitStack() as stack:
            yield stack

    @pytest.fixture
    async def producer(self, broker: Broker) -> AsyncIterator[Producer]:
        async with opened(broker.producer()) as producer:
            yield producer

    # Topics

    async def test_a_topic_that_exists_is_left_alone(self, broker: Broker, topic: str) -> None:
        """Making topics again, with other partitions even, changes nothing."""
        await broker.create_topics([TopicSpec(topic, 5, 1, {})])

        assert await broker.partitions([topic]) == {topic: 3}

    async def test_an_absent_topic_is_absent(
        self, rig: BrokerRig, broker: Broker, topic: str
    ) -> None:
        """Asking about a topic does not make it."""
        absent = rig.name("absent")

        assert await broker.partitions([topic, absent]) == {topic: 3}
        assert await broker.partitions([absent]) == {}

    async def test_one_setting_changes_alone(self, broker: Broker, topic: str) -> None:
        """Changing a topic's setting keeps its others."""
        await broker.alter_topic_config(topic, {"min.compaction.lag.ms": "123456"})

        config = await broker.topic_config(topic)
        assert config["min.compaction.lag.ms"] == "123456"
        assert config["cleanup.policy"] == "compact"

    async def test_settings_of_an_absent_topic(self, rig: BrokerRig, broker: Broker) -> None:
        """The error names the topic."""
        absent = rig.name("absent")

        with pytest.raises(ConfigurationError) as refused:
            await broker.topic_config(absent)

        assert refused.value.where["topic"] == absent

    async def test_the_cluster_has_one_id(self, rig: BrokerRig, broker: Broker) -> None:
        """Positions carry it, so it must be the same for every client."""
        async with opened(rig.broker()) as other:
            assert await other.cluster_id() == await broker.cluster_id() != ""

    # Appending and reading

    async def test_what_is_appended_is_read(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Keys, values, erasures and order come through; offsets are those that were given."""
        sent = [
            Message(topic, 1, b"131130/1", b"\x00\x01first"),
            Message(topic, 1, b"131130/2", None),
            Message(topic, 1, b"131130/1", b""),
        ]
        offsets = await producer.send(sent)

        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 1)])
        (piece,) = await drained(consumer, 3)

        assert list(offsets) == list(piece.offsets) == [0, 1, 2]
        assert piece.keys == [message.key for message in sent]
        assert piece.values == [message.value for message in sent]
        assert all(abs(time.time() * 1000 - ms) < 60_000 for ms in piece.timestamps_ms)

    async def test_offsets_answer_to_their_messages(self, topic: str, producer: Producer) -> None:
        """With partitions mixed, the n-th offset is the n-th message's."""
        partitions = [0, 2, 0, 1, 2, 2, 0]

        offsets = await producer.send([Message(topic, p, b"k", b"v") for p in partitions])

        assert list(offsets) == [0, 0, 1, 0, 1, 2, 2]

    async def test_nothing_to_append(self, producer: Producer) -> None:
        """An empty send is no error."""
        assert list(await producer.send([])) == []

    async def test_many_senders_keep_their_order(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Sends at once mix, but each keeps its order and is told its own offsets; none is lost."""

        sent: dict[int, bytes | None] = {}

        async def sender(number: int) -> None:
            for turn in range(5):
                rows = [b"%d %d %d" % (number, turn, row) for row in range(40)]
                messages = [Message(topic, 0, b"%d" % number, row) for row in rows]
                sent.update(zip(await producer.send(messages), rows, strict=True))

        await asyncio.gather(*(sender(number) for number in range(8)))
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        pieces = await drained(consumer, 1600)
        read = {o: v for piece in pieces for o, v in zip(piece.offsets, piece.values, strict=True)}

        assert read == sent
        for number in range(8):
            mine = [value for value in read.values() if value and value.startswith(b"%d " % number)]
            assert mine == [b"%d %d %d" % (number, t, r) for t in range(5) for r in range(40)]

    async def test_more_than_one_batch(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """A send of many batches arrives whole and in order."""
        count, value = 6000, b"x" * 200

        offsets = await producer.send([Message(topic, n % 3, b"k", value) for n in range(count)])

        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, p) for p in range(3)])
        read = offsets_by_partition(await drained(consumer, count))
        assert read == {p: list(range(count // 3)) for p in range(3)}
        assert list(offsets) == [n // 3 for n in range(count)]

    async def test_a_message_at_the_limit(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """What just fits goes through."""
        value = b"x" * (MAX_MESSAGE_BYTES - 100)
        await producer.send([Message(topic, 0, b"key", value)])

        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        (piece,) = await drained(consumer, 1)
        assert piece.values == [value]

    async def test_a_message_too_large(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Which it is can be told, nothing after it is appended, and the producer goes on."""
        large = b"x" * (MAX_MESSAGE_BYTES + 1)
        messages = [Message(topic, 0, b"k", v) for v in (b"before", large, b"after")]

        with pytest.raises(EventTooLarge) as refused:
            await producer.send(messages)
        await producer.send([Message(topic, 0, b"k", b"next")])

        assert refused.value.where == {"topic": topic, "partition": 0}
        assert too_large(messages, producer.most_bytes) == 1
        elsewhere = [*[Message(topic, 1, b"k", b"v")] * 3, messages[1]]
        with pytest.raises(EventTooLarge) as refused:
            await producer.send(elsewhere)
        assert refused.value.where == {"topic": topic, "partition": 0}
        assert too_large(elsewhere, producer.most_bytes) == 3
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        end = (await consumer.end_offsets([(topic, 0)]))[(topic, 0)]
        values = [value for piece in await drained(consumer, end) for value in piece.values]
        assert values[-1] == b"next"
        assert b"after" not in values

    async def test_appending_where_nothing_is(
        self, rig: BrokerRig, topic: str, producer: Producer
    ) -> None:
        """An absent topic or partition is a matter of set-up, and no topic is made by it."""
        absent = rig.name("absent")

        with pytest.raises(ConfigurationError) as refused:
            await producer.send([Message(absent, 0, b"k", b"v")])
        with pytest.raises(ConfigurationError):
            await producer.send([Message(topic, 3, b"k", b"v")])

        assert refused.value.where["topic"] == absent

    async def test_a_closed_producer(self, broker: Broker, topic: str) -> None:
        """Closing twice is no harm; sending afterwards is refused."""
        producer = broker.producer()
        await producer.start()
        await producer.close()
        await producer.close()

        with pytest.raises(BrokerUnavailable):
            await producer.send([Message(topic, 0, b"k", b"v")])

    # Positions

    async def test_reads_from_a_position(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """A position is the next offset to read, forwards and backwards."""
        await producer.send([Message(topic, 0, b"k", b"%d" % n) for n in range(10)])
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])

        consumer.seek((topic, 0), 7)
        forwards = await drained(consumer, 3)
        consumer.seek((topic, 0), 2)
        backwards = await drained(consumer, 8)

        assert offsets_by_partition(forwards) == {0: [7, 8, 9]}
        assert offsets_by_partition(backwards) == {0: list(range(2, 10))}

    async def test_a_position_beyond_the_end(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Another log than the position's: say which, do not guess another place."""
        await producer.send([Message(topic, 0, b"k", b"v")])
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        consumer.seek((topic, 0), 99)

        with pytest.raises(PositionForeign) as refused:
            await drained(consumer, 1)

        assert refused.value.where == {"topic": topic, "partition": 0, "offset": 99}
        assert refused.value.sought == (topic, 0, 99)

    async def test_the_ends_of_a_log(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """The end is the offset that the next message will have."""
        await producer.send([Message(topic, 1, b"k", b"v")] * 4)
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        places = [(topic, 0), (topic, 1)]

        assert await consumer.end_offsets(places) == {(topic, 0): 0, (topic, 1): 4}
        assert await consumer.beginning_offsets(places) == {(topic, 0): 0, (topic, 1): 0}

    async def test_a_batch_has_a_limit(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Never more than asked for; what is left comes with the next fetch, nothing twice."""
        await producer.send([Message(topic, n % 2, b"k", b"v") for n in range(50)])
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0), (topic, 1)])

        fetches: list[Sequence[Fetched]] = []
        while sum(len(piece.offsets) for pieces in fetches for piece in pieces) < 50:
            fetches.append(await consumer.fetch(7, SOON))

        assert all(sum(len(piece.offsets) for piece in pieces) <= 7 for pieces in fetches)
        assert all(len({piece.partition for piece in p}) == len(p) for p in fetches)
        read = offsets_by_partition([piece for pieces in fetches for piece in pieces])
        assert read == {0: list(range(25)), 1: list(range(25))}

    async def test_silence_is_empty(
        self, broker: Broker, topic: str, stack: AsyncExitStack
    ) -> None:
        """A fetch without news ends when it was told to."""
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        before = time.monotonic()

        found = await consumer.fetch(10, timedelta(milliseconds=300))

        assert list(found) == []
        assert 0.25 < time.monotonic() - before < 2.0

    async def test_news_ends_the_wait(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """A waiting fetch returns when a message comes, not when its time is over."""
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        await consumer.fetch(10, AT_ONCE)
        before = time.monotonic()

        waiting = asyncio.create_task(consumer.fetch(10, timedelta(seconds=30)))
        await asyncio.sleep(0)
        await producer.send([Message(topic, 0, b"k", b"v")])
        (piece,) = await waiting

        assert piece.values == [b"v"]
        assert time.monotonic() - before < 2.0

    async def test_members_are_named_until_they_leave(
        self, broker: Broker, topic: str, rig: BrokerRig
    ) -> None:
        """By their client ids; a group that nobody ever joined has none."""
        group = rig.name("group")

        async def nothing(_: Sequence[TopicPartition]) -> None: ...

        consumer = broker.consumer(group, client_id="renkei-tax@host:7:1795999349")
        await consumer.start()
        try:
            await consumer.subscribe([topic], nothing, nothing)
            async with asyncio.timeout(20):
                while not (await broker.members([group]))[group]:
                    await consumer.fetch(1, timedelta(milliseconds=100))
            found = await broker.members([group, f"{group}-of-nobody"])
        finally:
            await consumer.close()

        assert found == {group: ["renkei-tax@host:7:1795999349"], f"{group}-of-nobody": []}
        async with asyncio.timeout(5):
            while (await broker.members([group]))[group]:  # noqa: ASYNC110 - the cluster says it
                await asyncio.sleep(0.05)

    async def test_asking_for_the_end_does_not_wait_for_a_fetch(
        self, broker: Broker, topic: str, stack: AsyncExitStack
    ) -> None:
        """The protection fence asks before every batch: an idle fetch must not hold it up."""
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0)])
        await consumer.end_offsets([(topic, 1)])
        waiting = asyncio.create_task(consumer.fetch(10, timedelta(seconds=1)))
        await asyncio.sleep(0)
        before = time.monotonic()

        for _ in range(5):
            await consumer.end_offsets([(topic, 1)])

        assert time.monotonic() - before < 0.3
        await waiting

    async def test_a_reader_closes_at_once(self, broker: Broker, topic: str) -> None:
        """Though it has just gone on to the next partition, and was waiting at the one before."""
        consumer = broker.consumer()
        async with opened(consumer):
            for place in [(topic, 0), (topic, 1), (topic, 2)]:
                begin = await consumer.beginning_offsets([place])
                assert begin == await consumer.end_offsets([place])
                await consumer.assign([place])
                consumer.seek(place, begin[place])
                assert await consumer.position(place) == begin[place]
            closing = asyncio.create_task(consumer.close())
            done, _ = await asyncio.wait({closing}, timeout=5)
            closing.cancel()  # what still hangs must not hold up the test

            assert done

    async def test_a_paused_partition_is_silent(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Others flow meanwhile; after resuming nothing is missing."""
        await producer.send([Message(topic, p, b"k", b"v") for p in (0, 0, 1, 1)])
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0), (topic, 1)])

        consumer.pause((topic, 0))
        meanwhile = await drained(consumer, 2)
        silence = await consumer.fetch(10, timedelta(milliseconds=200))
        consumer.resume((topic, 0))
        afterwards = await drained(consumer, 2)

        assert offsets_by_partition(meanwhile) == {1: [0, 1]}
        assert list(silence) == []
        assert offsets_by_partition(afterwards) == {0: [0, 1]}

    async def test_only_chosen_partitions_are_fetched(
        self, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """What others have is kept for later, and a position says how far was read."""
        await producer.send([Message(topic, p, b"131130/1", b"value") for p in (0, 0, 1)])
        consumer = await stack.enter_async_context(opened(broker.consumer()))
        await consumer.assign([(topic, 0), (topic, 1)])

        (piece,) = await consumer.fetch(100, SOON, [(topic, 1)])
        assert (piece.partition, piece.offsets) == (1, [0])
        assert await consumer.position((topic, 1)) == 1
        assert await consumer.position((topic, 0)) == 0

        assert await consumer.fetch(100, AT_ONCE, []) == []
        (piece,) = await drained(consumer, 2)
        assert (piece.partition, piece.offsets) == (0, [0, 1])

    async def test_reading_what_is_not_there(self, rig: BrokerRig, broker: Broker) -> None:
        """An absent topic is an error at once, for a group's member and for a lone reader."""
        absent = rig.name("absent")
        async with opened(broker.consumer(rig.name("group"))) as consumer:
            with pytest.raises(ConfigurationError):
                await Member(consumer).join(absent)
        async with opened(broker.consumer()) as consumer:
            with pytest.raises(ConfigurationError):
                await consumer.assign([(absent, 0)])
            with pytest.raises(ConfigurationError):
                await consumer.end_offsets([(absent, 0)])

    # Groups

    async def test_one_member_has_everything(
        self, rig: BrokerRig, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """It is told what it owns before anything is read, and starts at the beginning."""
        await producer.send([Message(topic, n % 3, b"k", b"v") for n in range(9)])
        group = rig.name("group")
        member = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        await member.join(topic)

        await until(lambda: len(member.read) == 9, member)

        assert member.rebalances == [("assigned", frozenset((topic, p) for p in range(3)))]
        assert sorted(member.read) == [(topic, p, o) for p in range(3) for o in range(3)]

    async def test_positions_set_when_assigned_count(
        self, rig: BrokerRig, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """The store says where a lane resumes, never the group."""
        await producer.send([Message(topic, 0, b"k", b"v")] * 5)
        member = Member(await stack.enter_async_context(opened(broker.consumer(rig.name("g")))))

        async def resume(places: Sequence[TopicPartition]) -> None:
            await member.on_assigned(places)
            member.consumer.seek((topic, 0), 3)

        await member.consumer.subscribe([topic], resume, member.on_revoked)
        await until(lambda: len(member.read) == 2, member)

        assert member.read == [(topic, 0, 3), (topic, 0, 4)]

    async def test_pausing_when_assigned_holds(
        self, rig: BrokerRig, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """A lane that is not ready yet is paused before it can be read."""
        await producer.send([Message(topic, p, b"k", b"v") for p in range(3)])
        member = Member(await stack.enter_async_context(opened(broker.consumer(rig.name("g")))))

        async def hold(places: Sequence[TopicPartition]) -> None:
            await member.on_assigned(places)
            member.consumer.pause((topic, 1))

        await member.consumer.subscribe([topic], hold, member.on_revoked)
        await until(lambda: len(member.read) == 2, member)
        await member.poll()
        before = sorted(member.read)
        member.consumer.resume((topic, 1))
        await until(lambda: len(member.read) == 3, member)

        assert before == [(topic, 0, 0), (topic, 2, 0)]

    async def test_two_members_share(
        self, rig: BrokerRig, broker: Broker, topic: str, stack: AsyncExitStack
    ) -> None:
        """Every partition has one owner; who owned it before is told to let go first."""
        group = rig.name("group")
        first = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        second = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        everything = {(topic, p) for p in range(3)}
        await first.join(topic)
        await until(lambda: first.owned == everything, first)

        await second.join(topic)
        await until(
            lambda: second.owned and first.owned | second.owned == everything, first, second
        )

        assert not first.owned & second.owned
        assert [word for word, _ in first.rebalances] == ["assigned", "revoked", "assigned"]

    async def test_a_member_may_want_other_topics(
        self, rig: BrokerRig, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """All is taken back first; then it is told what it owns of the new ones, and reads it."""
        other = rig.name("suite")
        await broker.create_topics([TopicSpec(other, 1, 1, {})])
        await producer.send([Message(topic, 0, b"k", b"v"), Message(other, 0, b"k", b"v")])
        member = Member(await stack.enter_async_context(opened(broker.consumer(rig.name("g")))))
        everything = {(topic, p) for p in range(3)}
        try:
            await member.join(topic)
            await until(lambda: member.owned == everything and member.read, member)
            await member.join(topic, other)
            context = everything | {(other, 0)}
            await until(lambda: member.owned == context and (other, 0, 0) in member.read, member)
            await member.join(other)
            await until(lambda: member.owned == {(other, 0)}, member)
        finally:
            await rig.remove(other)

        assert [word for word, _ in member.rebalances] == ["assigned", "revoked"] * 2 + ["assigned"]

    async def test_who_stays_takes_over(
        self, rig: BrokerRig, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """A member that closes leaves its partitions to the others at once."""
        group = rig.name("group")
        first = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        second = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        everything = {(topic, p) for p in range(3)}
        await first.join(topic)
        await second.join(topic)
        await until(
            lambda: first.owned and second.owned and first.owned | second.owned == everything,
            first,
            second,
        )

        await first.consumer.close()
        await until(lambda: second.owned == everything, second)
        await producer.send([Message(topic, p, b"k", b"v") for p in range(3)])
        await until(lambda: len(second.read) == 3, second)

        assert sorted(second.read) == [(topic, p, 0) for p in range(3)]

    async def test_an_error_when_assigned_is_raised(
        self, rig: BrokerRig, broker: Broker, topic: str, stack: AsyncExitStack
    ) -> None:
        """A store that cannot be opened stops the reader; it is not only logged."""
        consumer = await stack.enter_async_context(opened(broker.consumer(rig.name("group"))))

        async def refuse(_places: Sequence[TopicPartition]) -> None:
            raise ConfigurationError("no such store")

        await consumer.subscribe([topic], refuse, Member(consumer).on_revoked)

        with pytest.raises(ConfigurationError, match="no such store"):
            await drained(consumer, 1)

    async def test_an_assignment_that_failed_is_announced_again(
        self, rig: BrokerRig, broker: Broker, topic: str, producer: Producer, stack: AsyncExitStack
    ) -> None:
        """Whoever could not take its partitions gets another try with the next fetch."""
        await producer.send([Message(topic, p, b"k", b"v") for p in range(3)])
        member = Member(await stack.enter_async_context(opened(broker.consumer(rig.name("g")))))
        tries: list[int] = []

        async def fail_once(places: Sequence[TopicPartition]) -> None:
            tries.append(len(places))
            if len(tries) == 1:
                raise BrokerUnavailable("not yet")
            await member.on_assigned(places)

        await member.consumer.subscribe([topic], fail_once, member.on_revoked)
        with pytest.raises(BrokerUnavailable, match="not yet"):
            await drained(member.consumer, 1)
        await until(lambda: len(member.read) == 3, member)

        assert tries == [3, 3]

    async def test_an_error_when_revoked_is_raised(
        self, rig: BrokerRig, broker: Broker, topic: str, stack: AsyncExitStack
    ) -> None:
        """Letting go that fails is raised to the one who failed; the group goes on."""
        group = rig.name("group")
        first = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        second = Member(await stack.enter_async_context(opened(broker.consumer(group))))

        async def fail(_places: Sequence[TopicPartition]) -> None:
            raise BrokerUnavailable("could not let go")

        await first.consumer.subscribe([topic], first.on_assigned, fail)
        await until(lambda: first.owned, first)
        await second.join(topic)

        with pytest.raises(BrokerUnavailable, match="could not let go"):
            await until(lambda: False, first, second)

    async def test_the_group_is_told_how_far(
        self, rig: BrokerRig, broker: Broker, topic: str, stack: AsyncExitStack
    ) -> None:
        """Lag tools see what was told; what a member does not own is not told."""
        group = rig.name("group")
        first = Member(await stack.enter_async_context(opened(broker.consumer(group))))
        assert await broker.committed(group) == {}
        await first.join(topic)
        await until(lambda: first.owned, first)

        await first.consumer.commit({(topic, 0): 5, (topic, 1): 7, ("elsewhere", 0): 9})

        assert await broker.committed(group) == {(topic, 0): 5, (topic, 1): 7}

    async def test_without_a_group(self, broker: Broker, topic: str, stack: AsyncExitStack) -> None:
        """A lone reader has nobody to tell and nothing to join."""
        consumer = await stack.enter_async_context(opened(broker.consumer()))

        with pytest.raises(ConfigurationError):
            await consumer.commit({(topic, 0): 1})
        with pytest.raises(ConfigurationError):
            await Member(consumer).join(topic)

    async def test_closing_just_after_starting(self, rig: BrokerRig) -> None:
        """Every part can be let go of before it did anything."""
        broker = rig.broker()
        await broker.start()
        for part in (broker.consumer(), broker.consumer(rig.name("group")), broker.producer()):
            await part.start()
            await part.close()
        await broker.close()

    async def test_closing_at_any_moment(self, rig: BrokerRig, broker: Broker, topic: str) -> None:
        """Many starts and stops at once, and closing twice, leave nothing behind."""

        async def brief(turns: int) -> None:
            consumer = broker.consumer(rig.name("group"))
            await consumer.start()
            member = Member(consumer)
            await member.join(topic)
            for _ in range(turns):
                await member.poll()
            await consumer.close()
            await consumer.close()

        await asyncio.gather(*(brief(turns) for turns in range(4)))


def too_large(messages: Sequence[Message], most: int) -> int | None:
    """Which of *messages* is the first that is above the limit."""
    return first_too_large([each.key for each in messages], [each.value for each in messages], most)
