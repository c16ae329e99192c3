"""The cluster: topics, their settings, offsets, and the making of clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import chain, repeat
from typing import TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

from bus.broker.kafka.consumer import KafkaConsumer
from bus.broker.kafka.producer import KafkaProducer
from bus.broker.kafka.translation import no_topic, raise_for, translated
from bus.broker.kafka.way_in import WayIn
from bus.broker.port import TopicPartition, TopicSpec
from bus.broker.security import PLAIN_TEXT, Security
from bus.errors import BrokerUnavailable

Told = TypeVar("Told")
_LOOK_AGAIN = 0.05  # seconds
LONGEST_REQUEST = timedelta(seconds=10)
_UNSETTLED = (
    kafka.GroupCoordinatorNotAvailableError,
    kafka.GroupLoadInProgressError,
    kafka.NotCoordinatorForGroupError,
)
_THERE = (kafka.NoError.errno, kafka.LeaderNotAvailableError.errno)
_CLIENT_ID = 1  # DescribeGroups: its place in what is told of a member
_TOPICS_OWN = 1  # DescribeConfigs: the config_source of what is set on the topic itself


class KafkaBroker:
    """A cluster reached at *bootstrap* (``host:port,…``).

    Args:
        bootstrap: Some of the cluster's brokers.
        security: How all of them are entered.
        idle_wait: How long a fetch may wait at the broker for the first record: bounds what an
            idle reader costs, and how long a partition just sought or resumed may wait.
        fetch_bytes: Most bytes of one answer to a fetch; a consumer holds up to two of them.
        max_message_bytes: The topics' limit for one message.
        session_timeout: How long a member of a group that died holds its partitions.
        patience: How long a producer waits for any acknowledgement before it gives up, and
            anyone for an answer.
    """

    def __init__(
        self,
        bootstrap: str,
        security: Security = PLAIN_TEXT,
        *,
        idle_wait: timedelta = timedelta(milliseconds=250),
        fetch_bytes: int = 8 * 1024 * 1024,
        max_message_bytes: int = 1_000_000,
        session_timeout: timedelta = timedelta(seconds=6),
        patience: timedelta = timedelta(seconds=20),
    ) -> None:
        self._way_in = WayIn(bootstrap, security, min(patience, LONGEST_REQUEST))
        self._idle_wait = idle_wait
        self._fetch_bytes = fetch_bytes
        self._max_message_bytes = max_message_bytes
        self._session_timeout = session_timeout
        self._patience = patience
        self._seen: dict[str, int] = {}
        self._admin: AIOKafkaAdminClient | None = None
        self._asker: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        self._admin = AIOKafkaAdminClient(
            **self._way_in.options,
            client_id="renkei-admin",
        )
        self._asker = AIOKafkaConsumer(
            **self._way_in.options,
            client_id="renkei-offsets",
            isolation_level="read_committed",
        )
        try:
            async with self._way_in.opening():
                await self._admin.start()
                await self._admin.describe_cluster()  # of a broker by the name that it has itself
                await self._asker.start()
            await asyncio.sleep(0)  # the library cannot be closed before its own tasks ran once
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close this object's own connections; clients are closed by their owners."""
        admin, self._admin = self._admin, None
        asker, self._asker = self._asker, None
        if asker is not None:
            await asker.stop()
        if admin is not None:
            await admin.close()

    async def cluster_id(self) -> str:
        with translated():
            cluster = await self._started().describe_cluster()
        return str(cluster["cluster_id"])

    async def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        # All topics are described: naming an absent one would make it where brokers do that.
        with translated():
            described = await self._started().describe_topics()
        wanted = set(topics)
        found = {
            topic["topic"]: len(topic["partitions"])
            for topic in described
            if topic["topic"] in wanted and topic["error_code"] in _THERE
        }
        self._seen.update(found)
        return found

    async def topic_config(self, topic: str) -> Mapping[str, str]:
        return {name: value for name, (value, _) in (await self._described(topic)).items()}

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Make the topics and wait until they are seen; one that exists is left as it is."""
        wanted = [
            NewTopic(spec.name, spec.partitions, spec.replication, None, dict(spec.config))
            for spec in specs
        ]
        with translated():
            answer = await self._started().create_topics(wanted)
        for topic, code, *_ in answer.topic_errors:
            if code != kafka.TopicAlreadyExistsError.errno:
                with translated(topic=topic):
                    raise_for(code)
        names = {spec.name for spec in specs}

        async def are_there() -> bool:
            return (await self.partitions(sorted(names))).keys() == names

        await self._seen_by_broker(are_there)

    async def alter_topic_config(self, topic: str, config: Mapping[str, str]) -> None:
        """Change these settings of a topic, keep its others, and wait until that is seen.

        Kafka's plain AlterConfigs replaces all, so what the topic has of its own is sent along.
        """
        described = await self._described(topic)
        own = {name: value for name, (value, source) in described.items() if source == _TOPICS_OWN}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {**own, **config})
        with translated(topic=topic):
            for answer in await self._started().alter_configs([resource]):
                for code, *_ in answer.resources:
                    raise_for(code)

        async def are_set() -> bool:
            return config.items() <= (await self.topic_config(topic)).items()

        await self._seen_by_broker(are_set)

    async def committed(self, group: str) -> Mapping[TopicPartition, int]:
        with translated(group=group):
            offsets = await self._told_by_coordinator(group)
        return {
            (place.topic, place.partition): found.offset
            for place, found in offsets.items()
            if found.offset >= 0
        }

    async def members(self, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        async def of(group: str) -> list[str]:
            with translated(group=group):
                described = await self._described_by_coordinator(group)
            return [member[_CLIENT_ID] for member in described]

        return dict(zip(groups, await asyncio.gather(*map(of, groups)), strict=True))

    def consumer(self, group: str | None = None, *, client_id: str = "renkei") -> KafkaConsumer:
        return KafkaConsumer(
            self,
            self._way_in,
            group,
            client_id,
            idle_wait=self._idle_wait,
            fetch_bytes=self._fetch_bytes,
            session_timeout=self._session_timeout,
        )

    def producer(self, *, client_id: str = "renkei") -> KafkaProducer:
        return KafkaProducer(
            self,
            self._way_in,
            client_id,
            max_message_bytes=self._max_message_bytes,
            patience=self._patience,
        )

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last readable record, asked over a connection of its own."""
        await self.known(topic for topic, _ in places)
        with translated():
            offsets = await self._asking().end_offsets([KafkaPartition(*p) for p in places])
        return {(place.topic, place.partition): offset for place, offset in offsets.items()}

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The offset of the first record that is still there."""
        await self.known(topic for topic, _ in places)
        with translated():
            offsets = await self._asking().beginning_offsets([KafkaPartition(*p) for p in places])
        return {(place.topic, place.partition): offset for place, offset in offsets.items()}

    async def known(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has, asked once; an error for a missing topic."""
        wanted = set(topics)
        if not wanted <= self._seen.keys():
            found = await self.partitions(sorted(wanted))
            for topic in sorted(wanted):
                if topic not in found:
                    raise no_topic({"topic": topic})
        return self._seen

    async def _described(self, topic: str) -> dict[str, tuple[str, int]]:
        """Each setting of a topic: its value, and where the value comes from."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        with translated(topic=topic):
            (answer,) = await self._started().describe_configs([resource])
            ((code, _, _, _, entries),) = answer.resources
            raise_for(code)
        return {name: (value, source) for name, value, _, source, *_ in entries}

    async def _told_by_coordinator(self, group: str) -> dict[KafkaPartition, OffsetAndMetadata]:
        """A group's committed offsets, from its coordinator."""

        async def ask() -> dict[KafkaPartition, OffsetAndMetadata]:
            return dict(await self._started().list_consumer_group_offsets(group))

        return await self._coordinated(ask)

    async def _described_by_coordinator(self, group: str) -> Sequence[Sequence[str]]:
        """A group's members, from its coordinator."""

        async def ask() -> Sequence[Sequence[str]]:
            (answer,) = await self._started().describe_consumer_groups([group])
            ((code, *_, members),) = [described[:6] for described in answer.groups]
            raise_for(code)
            return list(members)

        return await self._coordinated(ask)

    async def _coordinated(self, ask: Callable[[], Awaitable[Told]]) -> Told:
        """The answer of a group's coordinator, once one has been elected.

        A cluster that had no group yet first makes the topic for them; a broker that has just been
        named coordinator does not know it yet, or still reads what it is to know. Each *ask* looks
        the coordinator up anew, and only what those answer is asked again.
        """
        async with asyncio.timeout(self._way_in.patience.total_seconds()):
            while True:
                with suppress(*_UNSETTLED):
                    return await ask()
                await asyncio.sleep(_LOOK_AGAIN)

    async def _seen_by_broker(self, is_seen: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the broker that is asked has seen what the controller did."""
        with translated():
            async with asyncio.timeout(self._way_in.patience.total_seconds()):
                for pause in chain([0.0], repeat(_LOOK_AGAIN)):
                    await asyncio.sleep(pause)
                    if await is_seen():
                        return

    def _started(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            raise BrokerUnavailable("this connection to the broker is not open")
        return self._admin

    def _asking(self) -> AIOKafkaConsumer:
        if self._asker is None:
            raise BrokerUnavailable("this connection to the broker is not open")
        return self._asker
