"""How a command asks its questions: over one session, in one event loop, closed at the end.

Also what the parsers of its names ask, so that no command opens Kafka twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from bus import app as composition

if TYPE_CHECKING:
    from bus.operate.session import Session

T = TypeVar("T")


class Asking:
    """An event loop with a session."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._session: Session | None = None

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        session, self._session = self._session, None
        try:
            if session is not None:
                self._runner.run(_closed(session))
        finally:
            self._runner.close()

    def run(self, question: Callable[[Session], Awaitable[T]], patience: timedelta) -> T:
        """The answer to *question*."""

        async def answer() -> T:
            if self._session is None:
                from bus.operate.session import Session

                self._session = Session(composition.configured.settings(), patience=patience)
            return await question(self._session)

        return self._runner.run(answer())


async def _closed(session: Session) -> None:
    await session.__aexit__(None, None, None)


_CURRENT: ContextVar[Asking | None] = ContextVar("asking", default=None)


@contextmanager
def asking() -> Iterator[Asking]:
    """Ask everything inside the block over one session."""
    with Asking() as made:
        token = _CURRENT.set(made)
        try:
            yield made
        finally:
            _CURRENT.reset(token)


def ask(
    question: Callable[[Session], Awaitable[T]],
    patience: timedelta | None = None,
) -> T:
    """The answer to *question*, over the session of this command.

    Args:
        question: Asked with the session.
        patience: How long the log is waited for, where not as usual; what the first question says
            holds for all.
    """
    waits = composition.clients.PATIENCE if patience is None else patience
    current = _CURRENT.get()
    if current is not None:
        return current.run(question, waits)
    with Asking() as made:
        return made.run(question, waits)
