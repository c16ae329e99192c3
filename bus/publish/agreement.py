"""All processes that publish have the same ``RENKEI_INTAKE``, or those that differ do not publish.

Turns keep the order of several ways in only if everybody takes them
(:mod:`~bus.publish.taking_turns`). So whoever publishes is in one consumer group, under a name that
says its setting: Kafka, which all of them need in any case, says who lives. A process looks, joins
and looks again before its first append; of two that differ at least one sees the other, and leaves.
It goes on looking, and goes by nothing that it saw too long ago: whoever slept may have been taken
for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from bus.broker import Broker, TopicPartition, group_of
from bus.broker.port import Consumer
from bus.connect.lease import running_clock, until_taken
from bus.connect.source import Guard
from bus.errors import BrokerUnavailable, BusError, IntakeDiffers
from bus.model import Change
from bus.observe.runner import runner_of, this_process
from bus.observe.tasks import SupervisedTask, Tasks
from bus.publish.outcome import Outcome
from bus.publish.sender import Publishes

GROUP = group_of("publishing")
EVERY = timedelta(seconds=2)
JOINED_WITHIN_S = 10.0
_SAYS = "intake="
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A living process that publishes."""

    process: str
    intake: str
    """Its setting, as it writes it."""

    @classmethod
    def here(cls, intake: Collection[str]) -> Self:
        """This process, with the systems that may hand changes in by its settings."""
        return cls(this_process(), written(intake))

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        return str(runner_of(self.process) or self.process)


def written(intake: Collection[str]) -> str:
    """A setting as a member's name says it."""
    return ",".join(sorted(set(intake))) or "none"


def members_of(names: Sequence[str]) -> Iterator[Member]:
    """Who the members of the group are; whoever says nothing of the setting is none of ours."""
    for name in names:
        said, _, process = name.partition("@")
        if said.startswith(_SAYS):
            yield Member(process, said.removeprefix(_SAYS))


async def living(broker: Broker) -> list[Member]:
    """Every process that publishes now, as Kafka judges it.

    Raises:
        BrokerUnavailable: It does not answer.
    """
    return sorted(set(members_of((await broker.members([GROUP]))[GROUP])))


class Agreement:
    """What this process says of its setting, and whether somebody says otherwise. One per process.

    Args:
        topic: Any that is there: a group is about topics. Nothing of it is read.
        mine: This process, and its setting.
        tasks: The process's: one that looks no more is seen there.
        fresh: How long what was seen is gone by.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        mine: Member,
        tasks: Tasks,
        *,
        fresh: timedelta = timedelta(seconds=12),
        every: timedelta = EVERY,
        clock: Callable[[], float] = running_clock,
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._mine = mine
        self._tasks = tasks
        self._fresh = fresh.total_seconds()
        self._every = every.total_seconds()
        self._clock = clock
        self._joining = asyncio.Lock()
        self._users = 0
        self._consumer: Consumer | None = None
        self._looking: SupervisedTask | None = None
        self._others: Sequence[Member] = ()
        self._seen_at = _NEVER
        self._unseen: BusError | None = None

    async def __aenter__(self) -> Self:
        await self.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def join(self) -> None:
        """Be among those who publish, until :meth:`leave` was called as often as this.

        Raises:
            IntakeDiffers: A living process has another setting.
            BrokerUnavailable: Kafka does not answer.
            ConfigurationError: The topic does not exist, or a right is missing.
        """
        async with self._joining:
            if self._consumer is None:
                await self._look()
                self._insist()  # before anybody sees us
                await self._enter()
            self._users += 1

    async def leave(self) -> None:
        """Publish no more."""
        self._users -= 1  # at once: whoever is cancelled while it waits has left all the same
        async with self._joining:
            if self._users == 0:
                await self._exit()

    async def refresh(self) -> None:
        """Look again where that was some time ago, as after Kafka was away; join anew if need be.

        Raises:
            IntakeDiffers, BrokerUnavailable, ConfigurationError: As :meth:`join`.
        """
        if self._age <= self._fresh / 2 or await self._look():
            return
        async with self._joining:
            if self._age > self._fresh:
                self._insist()
                await self._exit()
                await self._enter()

    def guard(self) -> None:
        """Do nothing if all have the same setting, as far as was seen a moment ago.

        Raises:
            IntakeDiffers: A living process has another.
            BrokerUnavailable: Nobody could be seen for too long.
        """
        self._insist()
        if self._age > self._fresh:
            raise BrokerUnavailable(
                "who else publishes was not seen for too long"
            ) from self._unseen

    @property
    def _age(self) -> float:
        """Of what was seen last."""
        return self._clock() - self._seen_at

    def _insist(self) -> None:
        for other in self._others:
            raise IntakeDiffers(
                "another living process that publishes has another RENKEI_INTAKE: it must be the"
                " same in all",
                here=f"{self._mine.place} has {self._mine.intake}",
                there=f"{other.place} has {other.intake}",
            )

    async def _enter(self) -> None:
        name = f"{_SAYS}{self._mine.intake}@{self._mine.process}"
        consumer = self._broker.consumer(GROUP, client_id=name)
        self._consumer = consumer
        try:
            await consumer.start()
            await consumer.subscribe([self._topic], _nothing, _nothing)
            await self._until_seen(consumer)
            self._insist()
            self._looking = self._tasks.keep("agreement", self._look_on)
        except BaseException:
            await self._exit()
            raise

    async def _exit(self) -> None:
        consumer, self._consumer = self._consumer, None
        looking, self._looking = self._looking, None
        self._seen_at = _NEVER
        if looking is not None:
            await looking.end()
        if consumer is not None:
            await consumer.close()

    async def _until_seen(self, consumer: Consumer) -> None:
        """Until the others can see this process too."""
        if not await until_taken(self._look, JOINED_WITHIN_S):
            await consumer.fetch(1, timedelta())  # says why it may not join, if it may not
            raise BrokerUnavailable(
                "the group of those who publish does not come about", group=GROUP
            )

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._look()
            except BusError as error:  # what was seen before grows old
                self._unseen = error

    async def _look(self) -> bool:
        """See who publishes; whether this process is among them, as far as others can see."""
        asked_at = self._clock()
        found = await living(self._broker)
        self._others = [each for each in found if each.intake != self._mine.intake]
        is_there = self._mine in found
        self._seen_at = asked_at if is_there else _NEVER
        return is_there


class Agreed:
    """A publisher that appends only while all have the same setting; see
    :class:`bus.publish.sender.Publishes`.

    Args:
        make: Makes the publisher, which calls the guard before each append.
        guard: What else must hold before each append.
    """

    def __init__(
        self, make: Callable[[Guard], Publishes], guard: Guard, agreement: Agreement
    ) -> None:
        self._outer_guard = guard
        self._agreement = agreement
        self._inner = make(self._guard)
        self._has_joined = False

    async def start(self) -> None:
        """As the publisher does; may be called again after it failed.

        Raises:
            IntakeDiffers, BrokerUnavailable: As :meth:`Agreement.join`.
        """
        if not self._has_joined:
            await self._agreement.join()
            self._has_joined = True
        await self._inner.start()

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """As the publisher does.

        Raises:
            IntakeDiffers, BrokerUnavailable: As :meth:`Agreement.refresh`.
        """
        await self._agreement.refresh()
        return await self._inner.publish(changes)

    async def close(self) -> None:
        """As the publisher does."""
        try:
            await self._inner.close()
        finally:
            if self._has_joined:
                self._has_joined = False
                await self._agreement.leave()

    def _guard(self) -> None:
        self._outer_guard()
        self._agreement.guard()


async def _nothing(_: Sequence[TopicPartition]) -> None:
    """No partition is read."""
