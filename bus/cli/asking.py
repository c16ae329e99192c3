"""How a command asks its questions: over one session, in one event loop, closed at the end.

Also how it asks whoever runs it; and what the parsers of its names ask, so that no command opens
Kafka twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import typer

from bus import app as composition

if TYPE_CHECKING:
    from bus.operate.session import Session

T = TypeVar("T")
_READS = "reads an answer"
"""The name of a thread that does; nothing can take it away from there."""


class CommandSession:
    """An event loop with a session."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._session: Session | None = None

    def __enter__(self) -> CommandSession:
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

        termination = Termination()
        try:
            return self._runner.run(termination.ended_by_sigterm(answer()))
        except asyncio.CancelledError:
            if termination.is_to_end:
                raise EndedBySignal(signal.SIGTERM) from None
            raise


class EndedBySignal(BaseException):
    """Somebody ended the command by a signal; what it was at has ended in order."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number

    @property
    def word(self) -> str:
        """What is said of it."""
        return "interrupted" if self.number is signal.SIGINT else "terminated"

    @property
    def exit_status(self) -> int:
        """As a shell says it."""
        return 128 + self.number


class Termination:
    """Whether a command was told to end, as a supervisor tells it."""

    def __init__(self) -> None:
        self.is_to_end = False

    async def ended_by_sigterm(self, work: Awaitable[T]) -> T:
        """Await *work*, which SIGTERM cancels, as Ctrl-C does. A second one ends the process."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        if threading.current_thread() is not threading.main_thread():
            return await work  # only the main thread hears signals

        def end() -> None:
            self.is_to_end = True
            loop.remove_signal_handler(signal.SIGTERM)
            task.cancel()

        loop.add_signal_handler(signal.SIGTERM, end)
        try:
            return await work
        finally:
            loop.remove_signal_handler(signal.SIGTERM)


async def _closed(session: Session) -> None:
    await session.__aexit__(None, None, None)


_CURRENT: ContextVar[CommandSession | None] = ContextVar("asking", default=None)


@contextmanager
def asking() -> Iterator[CommandSession]:
    """Ask everything inside the block over one session."""
    with CommandSession() as made:
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
    with CommandSession() as made:
        return made.run(question, waits)


async def confirmed(question: str, *, abort: bool = False) -> bool:
    """Whether somebody answers *question* with yes; a signal ends the waiting at once.

    Args:
        question: Shown on stderr.
        abort: Anything but yes ends the command.

    Raises:
        typer.Abort: Nobody answers, for stdin has ended.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def tell(said: bool | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(bool(said))

    def read() -> None:
        said, failed = None, None
        try:
            said = typer.confirm(question, abort=abort, err=True)
        except BaseException as error:  # noqa: BLE001 - whoever asked raises it
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, said, failed)

    run = copy_context().run
    threading.Thread(target=run, args=(read,), name=_READS, daemon=True).start()
    return await answer


def leave(status: int) -> None:
    """End the process. Where a thread still waits for an answer it holds stdin, which Python and C
    would close in order, and wait for: then without that."""
    if any(thread.name == _READS for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(status)
    sys.exit(status)
