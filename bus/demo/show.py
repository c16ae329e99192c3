"""All of ``renkei demo``: on a data folder of its own, shown as it goes, ended in order."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from bus import app
from bus.demo import picture, screen
from bus.demo.result import Arrival, ChangeShown, DemoResult, FirstLoad
from bus.demo.run import Screen, run
from bus.demo.story import Scene
from bus.errors import DataFolderInUse
from bus.local.progress import StartProgress as Fetching
from bus.model import Change
from bus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants to see, and where."""

    population: int
    results: Console | None  # None: only the result, at the end
    progress: Console
    watching: Callable[[], AbstractContextManager[Fetching]]  # shows the engines as they come
    ended: Callable[[DemoResult], None]  # told when all is shown, while everything still runs
    is_kept: bool  # everything goes on running until SIGINT or SIGTERM, and the data stays
    svg: Path | None


def show(outer: Settings, wanted: Wanted) -> DemoResult:
    """Run the demo.

    Args:
        outer: The settings of whoever asks: engines' files and schemas are theirs.
        wanted: What is to be seen.

    Raises:
        DataFolderInUse: Another one is running, or has yet to clear up.
        EngineError: A part of it ended, or the first load did not arrive.
        CancelledError: It was interrupted; everything is stopped.
    """
    settings = Settings(home=outer.home / "demo", maven=outer.maven, schemas=outer.schemas)
    stack = app.configured.local_stack(settings, engines=outer.home / "engines")
    with alone(settings.home):
        with wanted.watching() as progress:
            stack.fetch(progress)
            stack.reset()
            stack.folder.share_engines()
            with stack.running(progress):
                try:
                    result = asyncio.run(_run(settings, wanted))
                except asyncio.CancelledError:
                    wanted.progress.print("interrupted; everything is stopped")
                    raise
        if not wanted.is_kept:
            shutil.rmtree(settings.home, ignore_errors=True)
    if wanted.svg is not None:
        picture.save(result, wanted.svg)
    return result


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold a lock, so that one demo runs at a time; the kernel releases it with the process.

    Raises:
        DataFolderInUse: Another one is running, or has yet to clear up.
    """
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderInUse(
                "a demo is running, or just ending: end it with Ctrl-C there, and try again",
                home=home,
            ) from None
        yield


async def _run(settings: Settings, wanted: Wanted) -> DemoResult:
    """The demo as a task that SIGTERM and SIGINT end in order; what it started ends with it."""
    may_end = asyncio.Event()
    is_kept = False
    say = wanted.progress.print

    async def afterwards(result: DemoResult) -> None:
        nonlocal is_kept
        wanted.ended(result)
        if wanted.is_kept:
            say("it keeps running: Ctrl-C ends it; a process that ends before is named here")
            is_kept = True
            await may_end.wait()
        say("stopping everything: some twenty seconds")

    def end() -> None:
        if is_kept:
            may_end.set()
        else:
            task.cancel()

    mine = app.configured.settings({"home": settings.home})
    results, progress = wanted.results, wanted.progress
    shown: Screen = _Quiet(progress) if results is None else _Shown(results, progress)
    task = asyncio.ensure_future(run(mine, wanted.population, shown, afterwards=afterwards))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return await task


def _say_gone(progress: Console, command: str, log: Path) -> None:
    said = f"{command} has ended: what it does, nobody does now; its log: {log}"
    progress.print(said, style="bold red", markup=False)


class _Quiet:
    """Shows nothing: the JSON object comes at the end."""

    def __init__(self, progress: Console) -> None:
        self._progress = progress

    def step(self, what: str) -> None: ...

    def loading(self, done: int, total: int) -> None: ...

    def loaded(self, load: FirstLoad, population: int) -> None: ...

    def scene(self, number: int, count: int, scene: Scene, change: Change) -> None: ...

    def lights(self, arrivals: Sequence[Arrival]) -> None: ...

    def shown(self, change: ChangeShown) -> None: ...

    def end(self, result: DemoResult) -> None: ...

    def gone(self, command: str, log: Path) -> None:
        _say_gone(self._progress, command, log)


class _Shown:
    """Draws on stdout: live on a terminal, one block per change where it is piped."""

    def __init__(self, results: Console, progress: Console) -> None:
        self._out = results
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            console=progress,
            disable=not progress.is_terminal,
            transient=True,
        )
        self._progress = progress
        self._task: TaskID | None = None
        self._live: Live | None = None

    def step(self, what: str) -> None:
        self._progress.print(f"  {what}", markup=False)

    def loading(self, done: int, total: int) -> None:
        if self._task is None:
            self._bars.start()
            self._task = self._bars.add_task("into all databases", total=total)
        self._bars.update(self._task, completed=done)

    def loaded(self, load: FirstLoad, population: int) -> None:
        self._bars.stop()
        self._out.print(screen.load_line(load, population))

    def scene(self, number: int, count: int, scene: Scene, change: Change) -> None:
        self._out.print()
        self._out.print(
            screen.change_title(
                number, count, scene.ja, scene.what, change.source, len(change.records)
            )
        )
        if self._out.is_terminal:
            self._live = Live(console=self._out, auto_refresh=False)
            self._live.start()

    def lights(self, arrivals: Sequence[Arrival]) -> None:
        if self._live is not None:
            self._live.update(screen.lights(arrivals), refresh=True)

    def shown(self, change: ChangeShown) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        else:
            self._out.print(screen.lights(change.arrivals))
        self._out.print(screen.change_end(change))
        if change.compared is not None:
            self._out.print(screen.side_by_side(change.compared))

    def gone(self, command: str, log: Path) -> None:
        _say_gone(self._progress, command, log)

    def end(self, result: DemoResult) -> None:
        self._out.print()
        self._out.print(screen.summary(result))
