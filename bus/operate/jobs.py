"""Jobs: work that takes a while, with progress, and that can be cancelled.

A job runs in the loop of whoever started it. Cancelled, it ends where it stands: what it had done
is as durable as if its process had been stopped, and it may be started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, in steps done and steps in all."""

    name: str  # of what it works on now
    done: int = 0
    total: int | None = None  # None: nobody knows yet


OnProgress = Callable[[Progress], None]
"""Told how far a job is, as often as it likes."""


class Job(Generic[T]):
    """One job; started with :func:`start`."""

    def __init__(
        self, work: Callable[[OnProgress], Awaitable[T]], on_progress: OnProgress | None
    ) -> None:
        self._on_progress = on_progress
        self._news = asyncio.Event()
        self._newest: Progress | None = None
        self._task = asyncio.ensure_future(work(self._note))
        self._task.add_done_callback(lambda _: self._news.set())

    @property
    def newest(self) -> Progress | None:
        """The newest progress; None if there is none yet."""
        return self._newest

    @property
    def is_done(self) -> bool:
        """Whether it has ended: by a result, an error or a cancel."""
        return self._task.done()

    async def progress(self) -> AsyncIterator[Progress]:
        """Each new progress until the job ends; a slow reader misses those in between."""
        seen: Progress | None = None
        while True:
            await self._news.wait()
            self._news.clear()
            if self._newest is not None and self._newest is not seen:
                seen = self._newest
                yield seen
            if self._task.done():
                return

    async def result(self) -> T:
        """What it came to, once it has ended.

        Raises:
            CancelledError: Somebody cancelled it.
            BusError: It could not be done.
        """
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            await self.cancel()  # whoever waits for it is to end: so is the job
            raise

    async def cancel(self) -> None:
        """Cancel it, and wait until it has ended; safe to call twice."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _note(self, progress: Progress) -> None:
        self._newest = progress
        self._news.set()
        if self._on_progress is not None:
            self._on_progress(progress)


def start(
    work: Callable[[OnProgress], Awaitable[T]], on_progress: OnProgress | None = None
) -> Job[T]:
    """Start *work* as a job; *on_progress* is called with each progress."""
    return Job(work, on_progress)
