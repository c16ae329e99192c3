"""What an operator's command works with: catalogue, log, registry, ledger and control streams.

Each is opened when it is asked for first, once, and all are closed together. Whoever asks several
things asks them over one session, so that no command, and no page, opens Kafka twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from bus.app import clients, configured, keys
from bus.backoff import BackOff
from bus.broker import Broker, Producer
from bus.catalog import Catalog
from bus.catalog.memory import keep_freed
from bus.catalog.registry import Registry
from bus.catalog.wire import Reader
from bus.clock import SystemClock
from bus.connect.source import Guard
from bus.control.deeds import Journal
from bus.control.editions import Editions
from bus.control.operations import Operations
from bus.control.parked import ParkedIndex
from bus.errors import BusError, KeysUnusable, UnknownName
from bus.ledger import Ledger
from bus.log.internal import InternalTopic
from bus.log.tail import Follower
from bus.model import Edition, Stream
from bus.observe.tasks import Tasks
from bus.policy import OWN_FEEDS, feed_policy
from bus.sealing import Proofs
from bus.settings import Settings

if TYPE_CHECKING:
    from bus.app.publishing import Rules
    from bus.publish.agreement import Agreement
    from bus.publish.publisher import Publisher
    from bus.publish.sender import Publishes
    from bus.publish.taking_turns import HeldTerms

ANSWER_WITHIN = timedelta(seconds=5)
"""For a question that has an answer without the log too: how long the log is waited for."""
F = TypeVar("F", bound=Follower)
T = TypeVar("T")


class OpensLog(Protocol):
    """Opens the broker of some settings."""

    def __call__(
        self, settings: Settings, *, patience: timedelta
    ) -> AbstractAsyncContextManager[Broker]: ...


@dataclass(frozen=True, slots=True)
class Openers:
    """How a session opens the log and the registry."""

    log: OpensLog = clients.broker
    registry: Callable[[Settings], AbstractAsyncContextManager[Registry]] = clients.registry


class Session:
    """One operator's work inside an ``async with``; each part is opened when first used.

    Args:
        settings: Where everything is.
        patience: How long the log is waited for.
        ways: What comes into log and registry; other ones for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        patience: timedelta = clients.PATIENCE,
        ways: Openers | None = None,
    ) -> None:
        self.settings = settings
        self._patience = patience
        self._ways = ways or Openers()
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._tasks = Tasks()
        self._broker: Broker | None = None
        self._registry: Registry | None = None
        self._producer: Producer | None = None
        self._ledger: Ledger | None = None
        self._agreement: Agreement | None = None
        self._followers: dict[type[Follower], Follower] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def enter(self, opened: AbstractAsyncContextManager[T]) -> T:
        """Enter a context that is left when the session ends."""
        return await self._stack.enter_async_context(opened)

    @cached_property
    def catalog(self) -> Catalog:
        """The streams.

        Raises:
            FilesRefused: The schema files have faults.
        """
        return configured.catalog(self.settings)

    @cached_property
    def proofs(self) -> Proofs:
        """The keys of proofs."""
        return keys.proofs(self.settings)

    async def broker(self) -> Broker:
        """The broker.

        Raises:
            BrokerUnavailable: It does not answer; asked again, it is looked for again.
        """
        async with self._opening:
            if self._broker is None:
                opened = self._ways.log(self.settings, patience=self._patience)
                self._broker = await self._stack.enter_async_context(opened)
        return self._broker

    async def registry(self) -> Registry:
        """The schema registry.

        Raises:
            ConfigurationError: No registry is set, or not how to enter it.
        """
        async with self._opening:
            if self._registry is None:
                made = self._ways.registry(self.settings)
                self._registry = await self._stack.enter_async_context(made)
        return self._registry

    async def ledger(self) -> Ledger:
        """The ledger; it connects with the first question."""
        async with self._opening:
            if self._ledger is None:
                made = clients.ledger(self.settings)
                self._ledger = await self._stack.enter_async_context(made)
        return self._ledger

    async def producer(self) -> Producer:
        """A producer.

        Raises:
            BrokerUnavailable: It does not answer.
        """
        broker = await self.broker()
        async with self._opening:
            if self._producer is None:
                made = broker.producer(client_id="renkei-operator")
                await made.start()
                self._stack.push_async_callback(made.close)
                self._producer = made
        return self._producer

    async def reader(self, name: str) -> Reader:
        """A reader of a stream."""
        return Reader(self.catalog.stream(name), self.catalog, await self.registry())

    async def topic(self, name: str) -> InternalTopic:
        """The internal topic of a stream, to append to."""
        stream = self.catalog.stream(name)
        broker, producer = await self.broker(), await self.producer()
        return InternalTopic(broker, producer, await self.registry(), stream)

    @cached_property
    def rules(self) -> Rules:
        """What every publisher has in common.

        Raises:
            FilesRefused: The schema files have faults.
        """
        from bus.app.publishing import Rules

        keep_freed()
        return Rules(self.settings, self.catalog, keys.seals(self.settings))

    @cached_property
    def turns(self) -> HeldTerms:
        """When what is appended here may be, where a system has several ways in.

        Raises:
            ConfigurationError: There are such systems, and no database to take turns by.
        """
        from bus.app.publishing import held_terms

        return held_terms(self.settings)

    async def agreement(self) -> Agreement:
        """What holds this process to the ``RENKEI_INTAKE`` of the others, until the session ends.

        Raises:
            IntakeDiffers: A living process has another.
            BrokerUnavailable: The log does not answer.
        """
        if self._agreement is None:
            from bus.app.publishing import agreement

            self._agreement = await self.enter(
                agreement(self.rules, await self.broker(), self._tasks)
            )
        return self._agreement

    async def trial(self) -> Callable[[Guard | None], Publisher]:
        """What makes publishers that check everything and append nothing.

        Raises:
            BrokerUnavailable: The log does not answer.
        """
        known, cluster = await self.registry(), await self.broker()
        return partial(self.rules.publisher, known, cluster, is_dry=True)

    async def publishers(self) -> Callable[[Guard], Publishes]:
        """What makes publishers over the same log, each with a guard of its own; they take turns.

        Raises:
            ConfigurationError: As :attr:`turns`.
            IntakeDiffers, BrokerUnavailable: As :meth:`agreement`.
        """
        from bus.publish.agreement import Agreed
        from bus.publish.taking_turns import TakingTurns

        make = partial(self.rules.publisher, await self.registry(), await self.broker())
        agreed = partial(Agreed, make, agreement=await self.agreement())
        return partial(TakingTurns, agreed, held=self.turns)

    async def guard(self) -> Guard:
        """What is asked before something is appended here.

        Raises:
            ConfigurationError: As :attr:`turns`.
            IntakeDiffers, BrokerUnavailable: As :meth:`agreement`.
        """
        turns, agreed = self.turns, await self.agreement()

        def guard() -> None:
            turns.guard()
            agreed.guard()

        return guard

    async def publisher(self) -> Publisher:
        """One of them, started, for as long as the session; to be asked for once. Whoever has it
        appends in the turn that they take (:attr:`turns`).

        Raises:
            ConfigurationError: As :attr:`turns`.
            IntakeDiffers, BrokerUnavailable: As :meth:`agreement`.
        """
        guard = await self.guard()
        made = self.rules.publisher(await self.registry(), await self.broker(), guard)
        self._stack.push_async_callback(made.close)
        await made.start()
        return made

    async def insist_on_proofs(self) -> None:
        """That what is done here, and who looks whom up, can be proved afterwards. Nothing is
        opened for it.

        Raises:
            KeysUnusable: There are no keys for it, or they cannot be used.
            KeysUnavailable: Whoever has them does not answer.
        """
        if not self.proofs.has_source:
            raise KeysUnusable(
                "what is done here is recorded, and could not be proved: set "
                + " or ".join(f"RENKEI_{name.upper()}" for name in self.proofs.settings),
                how="docs/howto/keys-for-receipts.md",
            )
        await self.proofs.ring()

    async def journal(self) -> Journal:
        """Where deeds are recorded.

        Raises:
            KeysUnusable, KeysUnavailable: As :meth:`insist_on_proofs`.
            BrokerUnavailable: The log does not answer.
        """
        await self.insist_on_proofs()
        return Journal(await self.topic("deed"), self.proofs)

    async def parked(self) -> ParkedIndex:
        """The exceptions, read up to now."""
        if ParkedIndex not in self._followers:
            made = ParkedIndex(await self.broker(), *await self._parts("exception"), SystemClock())
            return await self._started(made)
        return await self._now(ParkedIndex)

    async def operations(self) -> Operations:
        """The operations, read up to now."""
        if Operations not in self._followers:
            back_off = BackOff(self.settings.retry_first, self.settings.retry_most)
            parts = await self._parts("operation")
            made = Operations(await self.broker(), *parts, SystemClock(), back_off, self._tasks)
            return await self._started(made)
        return await self._now(Operations)

    async def editions(self) -> Editions:
        """The editions of subscriptions, read up to now."""
        if Editions not in self._followers:
            made = Editions(await self.broker(), *await self._parts("subscription"))
            return await self._started(made)
        return await self._now(Editions)

    async def _parts(self, name: str) -> tuple[InternalTopic, Stream, Reader]:
        return await self.topic(name), self.catalog.stream(name), await self.reader(name)

    async def _started(self, follower: F) -> F:
        self._stack.push_async_callback(follower.close)
        await follower.start()
        self._followers[type(follower)] = follower
        return follower

    async def _now(self, kind: type[F]) -> F:
        known = self._followers[kind]
        assert isinstance(known, kind)
        await known.catch_up()
        return known


def received(
    settings: Settings, system: str, applied: Mapping[str, Edition | BusError]
) -> list[str]:
    """The streams that a system receives today, *applied* by editions or by its file; the ledger
    receives all.

    Raises:
        UnknownName: There is no subscription of this system.
    """
    if not feed_policy(system).by_subscription:
        return sorted(configured.catalog(settings).streams)
    known = configured.granted(settings, configured.this_day(), applied)
    if system not in known:
        raise UnknownName("this system receives nothing", system=system)
    return sorted(known[system])


def receivers(
    settings: Settings, stream: str, applied: Mapping[str, Edition | BusError]
) -> list[str]:
    """The systems that receive a stream today, and the ledger, which receives all."""
    known = configured.granted(settings, configured.this_day(), applied)
    return sorted({*OWN_FEEDS, *(system for system, mine in known.items() if stream in mine)})
