"""A process's long-lived tasks (常駐タスク): one that ends by itself is logged and started again.

A task that ends though nobody ended it, by an error, by a cancellation from within or by coming
back, is logged with the error's class and place, counted, named by readiness until it has run
again for as long as it was waited for, and begun again after a back-off. Nothing in a process
stops working in silence.

Most are kept by :meth:`Tasks.keep`. Who must make something anew before its task can go on (a
lane asks its store where it stands) tells of the end by :meth:`Tasks.fell`, and of the new
beginning by :meth:`Tasks.begun`. Tasks that end by themselves in the ordinary course and whose
outcome somebody waits for are no matter of this module (``tests/architecture/test_tasks.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from bus.backoff import BackOff
from bus.errors import BusError
from bus.observe.logs import describe
from bus.observe.metrics import Metrics

_log = structlog.get_logger("renkei.tasks")
FIRST, MOST = timedelta(milliseconds=200), timedelta(seconds=30)
Work = Callable[[], Coroutine[Any, Any, None]]


class CameBack(Exception):
    """A task that should not end has returned."""


@dataclass(slots=True)
class TaskFailure:
    """A task that has ended by itself and does not run well again yet."""

    task: str
    place: str
    error: BaseException
    wait: timedelta

    def __str__(self) -> str:
        code = self.error.code if isinstance(self.error, BusError) else type(self.error).__name__
        return " ".join(part for part in (self.task, self.place, "ended", code) if part)


class SupervisedTask:
    """A task that is started again whenever it ends by itself."""

    def __init__(self) -> None:
        self.outcome: asyncio.Task[None]
        """Done when the work is done, was given up, or was ended from here."""
        self._is_leaving = False
        self.resting: asyncio.Task[None] | None = None

    def is_leaving(self) -> bool:
        """Whether it will not be started again."""
        return self._is_leaving

    def leave(self) -> None:
        """Do not start it again; a run that is under way may finish."""
        self._is_leaving = True
        if self.resting is not None:
            self.resting.cancel()

    def cancel(self) -> None:
        """Cancel it, and do not start it again."""
        self.leave()
        self.outcome.cancel()

    async def end(self) -> None:
        """Cancel it, and wait until it has ended."""
        self.cancel()
        await asyncio.wait({self.outcome})


async def until_over(
    kept: Sequence[SupervisedTask], stop: asyncio.Event, *, all_fail: bool = False
) -> None:
    """Wait until all have ended, one has given up (unless *all_fail*), or *stop* is set."""
    pending = {each.outcome for each in kept}
    stopping = asyncio.create_task(stop.wait())
    try:
        while pending and not stop.is_set():
            done, _ = await asyncio.wait({*pending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            failed = [task for task in done - {stopping} if _ended_by(task) is not None]
            if failed and not all_fail:
                return
    finally:
        stopping.cancel()


async def errors_of(kept: Sequence[SupervisedTask]) -> list[BaseException]:
    """The errors of these tasks, all of which have ended."""
    outcomes = [each.outcome for each in kept]
    if outcomes:
        await asyncio.wait(outcomes)
    return [error for task in outcomes if (error := _ended_by(task)) is not None]


class Tasks:
    """All long-lived tasks of one process.

    Args:
        first: How long one that ended is waited for at first.
        most: And at most; after it has run for so long, it starts from the first again.
    """

    def __init__(
        self, metrics: Metrics | None = None, *, first: timedelta = FIRST, most: timedelta = MOST
    ) -> None:
        self._metrics = metrics or Metrics()
        self._first = first
        self._most = most
        self._fallen: dict[tuple[str, str], TaskFailure] = {}
        self._back_offs: dict[tuple[str, str], BackOff] = {}
        self._began: dict[tuple[str, str], float] = {}

    @property
    def fallen(self) -> list[TaskFailure]:
        """Tasks that have ended by themselves and do not run well again yet, in that order."""
        return list(self._fallen.values())

    def ill(self) -> list[str]:
        """The same as texts, as reasons why the process is not ready."""
        return [str(fallen) for fallen in self._fallen.values()]

    def keep(
        self,
        task: str,
        work: Work,
        *,
        until_done: bool = False,
        gives_up: Callable[[BaseException], bool] | None = None,
        **where: str | int,
    ) -> SupervisedTask:
        """Run *work*, and start it again whenever it ends by itself.

        Args:
            task: What kind it is: one of few words, for metrics too.
            work: Begins it; called again each time.
            until_done: Coming back is no failure: then the work is done.
            gives_up: Whether an error, which was told of, is to be raised by the outcome instead.
            where: Which one it is: identifiers that may stand in a log line.
        """
        kept = SupervisedTask()
        kept.outcome = asyncio.create_task(
            self._keep(kept, task, work, where, until_done=until_done, gives_up=gives_up)
        )
        return kept

    def fell(self, task: str, error: BaseException, **where: object) -> timedelta:
        """Log and count that a task has ended; how long to wait before it is started again."""
        name = (task, _place(where))
        now = asyncio.get_running_loop().time()
        back_off = self._back_offs.setdefault(name, BackOff(self._first, self._most))
        if now - self._began.get(name, now) >= self._most.total_seconds():
            back_off.reset()
        wait = back_off.next()
        self._fallen[name] = TaskFailure(*name, error, wait)
        seconds = round(wait.total_seconds(), 3)
        _log.error("task-ended", **{**describe(error), **where, "task": task, "seconds": seconds})
        self._count(task)
        return wait

    def begun(self, task: str, **where: object) -> None:
        """Note that it was started again; it counts as well once it has run as long as the wait."""
        name = (task, _place(where))
        loop = asyncio.get_running_loop()
        self._began[name] = loop.time()
        if (fallen := self._fallen.get(name)) is not None:
            self._metrics.task_restarted(task)
            loop.call_later(fallen.wait.total_seconds(), self._does_well, name, fallen)

    def forget(self, task: str, **where: object) -> None:
        """Drop a task that this process no longer keeps."""
        name = (task, _place(where))
        self._began.pop(name, None)
        self._back_offs.pop(name, None)
        if self._fallen.pop(name, None) is not None:
            self._count(task)

    async def _keep(
        self,
        kept: SupervisedTask,
        task: str,
        work: Work,
        where: Mapping[str, object],
        *,
        until_done: bool,
        gives_up: Callable[[BaseException], bool] | None,
    ) -> None:
        is_given_up = False
        try:
            while not kept.is_leaving():
                running = asyncio.create_task(work())
                self.begun(task, **where)
                await _over(running)
                if running.cancelled() and running.cancelling():
                    return  # by whoever ends the process
                error = _ended_by(running)
                if error is None and (until_done or kept.is_leaving()):
                    return
                error = error or CameBack()
                wait = self.fell(task, error, **where)
                is_given_up = gives_up is not None and gives_up(error)
                if is_given_up:
                    raise error
                if kept.is_leaving():
                    return  # it was told of, and was to end anyhow
                kept.resting = asyncio.create_task(asyncio.sleep(wait.total_seconds()))
                await _over(kept.resting)
        finally:
            if not is_given_up:
                self.forget(task, **where)

    def _does_well(self, name: tuple[str, str], fallen: TaskFailure) -> None:
        if self._fallen.get(name) is fallen:
            del self._fallen[name]
            self._count(name[0])

    def _count(self, task: str) -> None:
        self._metrics.tasks_ended(task, sum(name == task for name, _ in self._fallen))


async def _over(task: asyncio.Task[None]) -> None:
    """Wait until it has ended; if cancelled meanwhile, cancel it too."""
    try:
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        _ended_by(task)  # retrieved, also where nobody asks any more


def _ended_by(task: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _place(where: Mapping[str, object]) -> str:
    return "/".join(str(part) for part in where.values())
