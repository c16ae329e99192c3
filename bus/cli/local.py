"""``renkei local``: the one-machine stack."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from bus import app as composition
from bus.cli import names
from bus.cli.output import Json, err, out, show_json
from bus.cli.times import shown
from bus.errors import ConfigurationError
from bus.observe.moments import TO_THE_SECOND
from bus.operate import documents
from bus.operate.engines import LOGS, Engines, StartStep

if TYPE_CHECKING:  # needs the packages of renkei[local]
    from bus.operate.engines import Status

LONGEST_NAME = 34

PortOption = Annotated[int | None, typer.Option(min=1, max=65535, show_default="a free one, kept")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="Kafka, PostgreSQL and the registry on this machine."
    )
    for command in (fetch, up, down, status, logs, reset):
        group.command()(command)
    app.add_typer(group, name="local")


def fetch(as_json: Json = False) -> None:
    """Bring the engines' files, each verified; start nothing."""
    engines = engines_here()
    with watching() as progress:
        brought = engines.fetch(progress)
    if as_json:
        show_json(documents.engines_fetched(brought))
    else:
        out().print(
            f"{brought} files fetched, all in place" if brought else "every file is in place",
        )


def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay until Ctrl-C, then stop everything.")
    ] = False,
    kafka_port: PortOption = None,
    controller_port: PortOption = None,
    postgres_port: PortOption = None,
    registry_port: PortOption = None,
    as_json: Json = False,
) -> None:
    """Start the engines and wait until each answers; start again what is down."""
    if foreground and as_json:
        raise ConfigurationError("in the foreground there is no result: --foreground or --json")
    given = {
        "kafka": kafka_port,
        "controller": controller_port,
        "postgres": postgres_port,
        "registry": registry_port,
    }
    engines = engines_here(given)
    with watching() as progress:
        if foreground:
            engines.run(progress)
            return
        now = engines.up(progress)
    if now.was_up:
        err().print(f"already up since {_local(now.since)}")
    if as_json:
        show_json(documents.engines_up(now.where, was_up=now.was_up))
        return
    table = Table.grid(padding=(0, 2))
    for name, place in now.where.items():
        table.add_row(name, f"in {place}" if name == "password" else place)
    out().print(table)


def down(as_json: Json = False) -> None:
    """Stop the engines; their data stays."""
    done = engines_here().down()
    if as_json:
        show_json(documents.engines_down(done.seconds, was_up=done.was_up))
    else:
        out().print(f"stopped in {done.seconds:.1f} s" if done.was_up else "nothing was running")


def status(as_json: Json = False) -> None:
    """Each engine: process, port, memory, how long it has run. Exit status 1 if one is down."""
    now = engines_here().status()
    if as_json:
        show_json(documents.engines(now))
    else:
        out().print(_status_table(now))
        if now.error:
            err().print(now.error, markup=False)
        if not now.is_up:
            err().print("start what is down with: renkei local up")
    if not now.is_up:
        raise typer.Exit(1)


def logs(
    engine: Annotated[
        str | None, typer.Argument(parser=names.one_of("log", LOGS), help=" | ".join(LOGS))
    ] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Lines of each log.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """The engines' last log lines."""
    found = engines_here().logs(engine)
    console = out()
    for name, line in found.last(lines):
        _print_line(console, name if found.are_several else None, line)
    if follow:
        for name, line in found.coming():
            _print_line(console, name if found.are_several else None, line)


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete all data.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the engines' data, logs and addresses; fetched files stay."""
    home = engines_here().reset(is_sure=yes)
    if as_json:
        show_json(documents.engines_reset(home))
    else:
        out().print(f"deleted data, logs and addresses in {home}", markup=False)


class StartScreen:
    """Shows a fetch as bars and a start as lines; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=14),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._tasks: dict[str, TaskID] = {}
        self._total: TaskID | None = None

    def fetching(self, files: int, size_bytes: int) -> None:
        """Begin the bars."""
        self._console.print(f"fetching {files} files, {decimal(size_bytes)}")
        self._bars.start()
        self._total = self._bars.add_task("all files", total=size_bytes)

    def received(self, file: str, size_bytes: int, done_bytes: int) -> None:
        """Move a bar; the bars of finished files go, so that few are seen at once."""
        with self._lock:
            self._done[file] = done_bytes
            if file not in self._tasks:
                shown = file if len(file) <= LONGEST_NAME else file[: LONGEST_NAME - 1] + "…"
                self._tasks[file] = self._bars.add_task(shown, total=size_bytes)
            finished = done_bytes >= size_bytes
            self._bars.update(self._tasks[file], completed=done_bytes, visible=not finished)
            if self._total is not None:
                self._bars.update(self._total, completed=sum(self._done.values()))

    def fetched(self) -> None:
        """End the bars."""
        self.close()
        self._console.print("every file is the one that was pinned (SHA-256)")

    def step(self, step: StartStep) -> None:
        """A line for each step that is done."""
        if step.seconds is not None:
            name, _, what = step.name.partition(": ")
            done = {"start": "answers", "prepare": "data folder made"}[what]
            self._console.print(f"  {name:<10}{done:<20}{step.seconds:5.1f} s")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()


@contextmanager
def watching() -> Iterator[StartScreen]:
    """Shows progress on stderr."""
    watch = StartScreen(err())
    try:
        yield watch
    finally:
        watch.close()


def engines_here(ports: Mapping[str, int | None] | None = None) -> Engines:
    """The engines on this user's data folder.

    Raises:
        ConfigurationError: The packages that run engines are not installed.
    """
    return Engines.of(composition.configured.settings(), ports)


def _local(when: datetime | None) -> str:
    return shown(when, TO_THE_SECOND) if when else "?"


def _status_table(now: Status) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("engine", "state", "pid", "port", "memory", "up for", "restarts"):
        table.add_column(title, justify="left" if title in ("engine", "state") else "right")
    for each in now.engines:
        table.add_row(
            each.name,
            each.phase.value,
            str(each.pid or "-"),
            str(each.port or "-"),
            decimal(each.memory_bytes) if each.memory_bytes is not None else "-",
            _age(each.since),
            str(each.restarts),
        )
    whole = "up" if now.is_up else "down"
    table.add_row("all", whole, "", "", decimal(now.memory_bytes), "", "")
    return table


def _age(since: datetime | None) -> str:
    if since is None:
        return "-"
    seconds = int((datetime.now(UTC) - since).total_seconds())
    minutes, seconds = divmod(max(seconds, 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _print_line(console: Console, name: str | None, line: str) -> None:
    text = line.rstrip("\n")
    console.print(f"{name:<10} {text}" if name else text, markup=False, soft_wrap=True)
