"""``renkei demo``: the main job, shown live, or as one JSON object."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from bus.app import configured
from bus.cli.local import watching
from bus.cli.output import Json, err, out, show_json
from bus.demo import picture, screen
from bus.demo.result import Arrival, ChangeShown, DemoResult, FirstLoad
from bus.demo.run import Screen, run
from bus.demo.story import Scene
from bus.errors import DataFolderInUse
from bus.model import Change
from bus.settings import Settings

POPULATION = 10_000
INCOMPLETE = 3  # exit status: a change has not arrived everywhere, or ledger and stores differ
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    population: Annotated[
        int, typer.Option(min=1_000, max=4_000_000, help="Residents of the synthetic municipality.")
    ] = POPULATION,
    as_json: Json = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep everything running until Ctrl-C, and the data.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            help="Also draw the last screen into this SVG file, and its record beside it."
        ),
    ] = None,
) -> None:
    """Enter changes into seventeen systems and watch each arrive wherever it must.

    Starts the engines on a data folder of its own (demo, within RENKEI_HOME), loads a synthetic
    municipality through the bus, and stops everything at the end. The exit status is 0 if every
    change arrived everywhere, the ledger says the same as the databases, and every system
    published and received.
    """
    outer = configured.settings()
    settings = Settings(home=outer.home / "demo", maven=outer.maven, schemas=outer.schemas)
    stack = configured.local_stack(settings, engines=outer.home / "engines")
    shown: Screen = _Quiet() if as_json else _Shown(out(), err())
    with alone(settings.home):
        with watching() as progress:
            stack.fetch(progress)
            stack.reset()
            stack.folder.share_engines()
            with stack.running(progress):
                try:
                    made = _run(settings, population, shown, keep=keep, as_json=as_json)
                    result = asyncio.run(made)
                except asyncio.CancelledError:
                    err().print("interrupted; everything is stopped")
                    raise typer.Exit(INTERRUPTED) from None
        if not keep:
            shutil.rmtree(settings.home, ignore_errors=True)
    if svg is not None:
        picture.save(result, svg)
    if not result.is_whole:
        raise typer.Exit(INCOMPLETE)


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


async def _run(
    settings: Settings, population: int, shown: Screen, *, keep: bool, as_json: bool
) -> DemoResult:
    """The demo as a task that SIGTERM and SIGINT end in order; what it started ends with it."""
    told = asyncio.Event()
    is_kept = False

    async def afterwards(result: DemoResult) -> None:
        nonlocal is_kept
        if as_json:
            show_json({"document": "demo/1", **result.document()})
        if keep:
            err().print(
                "it keeps running: Ctrl-C ends it; a process that ends before is named here"
            )
            is_kept = True
            await told.wait()
        err().print("stopping everything: some twenty seconds")

    def end() -> None:
        if is_kept:
            told.set()
        else:
            task.cancel()

    mine = configured.settings({"home": settings.home})
    task = asyncio.ensure_future(run(mine, population, shown, afterwards=afterwards))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return await task


def _say_gone(command: str, log: Path) -> None:
    said = f"{command} has ended: what it does, nobody does now; its log: {log}"
    err().print(said, style="bold red", markup=False)


class _Quiet:
    """Shows nothing: the JSON object comes at the end."""

    def step(self, what: str) -> None: ...

    def loading(self, done: int, total: int) -> None: ...

    def loaded(self, load: FirstLoad, population: int) -> None: ...

    def scene(self, number: int, count: int, scene: Scene, change: Change) -> None: ...

    def lights(self, arrivals: Sequence[Arrival]) -> None: ...

    def shown(self, change: ChangeShown) -> None: ...

    def end(self, result: DemoResult) -> None: ...

    def gone(self, command: str, log: Path) -> None:
        _say_gone(command, log)


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
        _say_gone(command, log)

    def end(self, result: DemoResult) -> None:
        self._out.print()
        self._out.print(screen.summary(result))
