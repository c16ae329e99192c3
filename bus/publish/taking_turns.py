"""A publisher that takes turns with those of other processes: one term for each system of a call.

Kafka has no compare-and-set, so what is next in a subject's order is known for sure only by whoever
alone publishes for its system. Where changes of one system come in by several ways (what waits in
its source, what is handed in), none of them is alone for good: each takes the system's term
(:class:`Terms`) for one call, reads what the others appended meanwhile, appends, and gives it back.

Something that was sent may be under way when a call fails. Then the terms are left to run out, and
this process waits for that like the others.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol, TypeVar

from bus.connect.source import Guard, Term
from bus.connect.together import until_one_ends
from bus.model import Change
from bus.publish.fault_search import is_of_data
from bus.publish.outcome import Outcome
from bus.publish.sender import Publishes

T = TypeVar("T")
LetGo = Callable[[Sequence[Term], BaseException], Awaitable[None]]


async def _let_go(terms: Sequence[Term], error: BaseException) -> None:
    """Leave the terms to run out, if something may be under way."""
    if not is_of_data(error):
        for term in terms:
            term.abandon()


class Terms(Protocol):
    """Gives one process at a time the right to publish for a system."""

    def of(self, system: str) -> AbstractAsyncContextManager[Term]:
        """Wait for the right, and have it inside the block.

        Raises:
            LeaseLost: Another process has it, for longer than is waited for.
            StoreUnavailable: The database does not answer.
        """


class HeldTerms:
    """The terms of all systems that one call is about; of one call after the other.

    Args:
        terms: Who may publish for which system; None: nobody takes turns here.
        systems: That have several ways in; the others take no turns. None: all.
    """

    def __init__(self, terms: Terms | None, systems: Collection[str] | None = None) -> None:
        self._terms = terms
        self._systems = systems
        self._held: Sequence[Term] = ()

    @asynccontextmanager
    async def of(self, systems: Iterable[str]) -> AsyncIterator[Sequence[Term]]:
        """Wait for the right to publish for each system, and have all inside the block.

        Raises:
            LeaseLost, StoreUnavailable: As :meth:`Terms.of`.
        """
        async with AsyncExitStack() as stack:
            self._held = [
                await stack.enter_async_context(terms.of(one))
                for terms, one in self._wanted(systems)
            ]
            try:
                yield self._held
            finally:
                self._held = ()

    async def during(
        self, systems: Iterable[str], act: Callable[[], Awaitable[T]], let_go: LetGo = _let_go
    ) -> T:
        """What *act* comes to, in the turn of *systems*.

        Args:
            let_go: What is done where it fails, before the turn is given back.

        Raises:
            LeaseLost: Another process has had the turn for too long, or has it by now.
            StoreUnavailable: Whoever says whose turn it is does not answer.
        """
        found: list[T] = []

        async def acting() -> None:
            found.append(await act())

        async with self.of(systems) as terms:
            try:
                await until_one_ends(acting(), *(term.keep() for term in terms))
            except BaseException as error:
                await let_go(terms, error)
                raise
        return found[0]

    def guard(self) -> None:
        """Return if a send that begins now surely ends within every term.

        Raises:
            LeaseLost: It may not.
        """
        for term in self._held:
            term.guard()

    def _wanted(self, systems: Iterable[str]) -> Iterator[tuple[Terms, str]]:
        """In order, so that nobody waits crosswise."""
        if self._terms is None:
            return
        for system in sorted(set(systems)):
            if self._systems is None or system in self._systems:
                yield self._terms, system


class TakingTurns:
    """See :class:`bus.publish.sender.Publishes`.

    Args:
        make: Makes the publisher, which calls the guard before each append.
        guard: What else must hold before each append.
        held: Who may publish for which system, for one call after the other.
    """

    def __init__(self, make: Callable[[Guard], Publishes], guard: Guard, held: HeldTerms) -> None:
        self._outer_guard = guard
        self._held = held
        self._inner = make(self._guard)

    async def start(self) -> None:
        """Start the publisher."""
        await self._inner.start()

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Publish in this process's turn.

        Raises:
            LeaseLost: Another process has had the turn for too long, or has it by now.
            StoreUnavailable: Whoever says whose turn it is does not answer.
        """
        systems = [change.source for change in changes]
        return await self._held.during(systems, lambda: self._inner.publish(changes))

    async def close(self) -> None:
        """Close the publisher."""
        await self._inner.close()

    def _guard(self) -> None:
        self._outer_guard()
        self._held.guard()
