"""``renkei local``: the one-machine stack."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
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

from bus import app as compose
from bus.cli import names
from bus.cli.output import Json, err, out, show_json
from bus.cli.times import TO_THE_SECOND, shown
from bus.errors import ConfigurationError
from bus.local.endpoints import ENGINES, Endpoints
from bus.local.progress import Step
from bus.operate import documents

if TYPE_CHECKING:  # needs the packages of renkei[local]
    from bus.local.stack import LocalStack, Status

LOGS = (*ENGINES, "supervisor")
FOLLOW_SECONDS = 0.25
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
    stack = stack_here()
    with watching() as progress:
        brought = stack.fetch(progress)
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
    stack = stack_here({name: port for name, port in given.items() if port is not None})
    with watching() as progress:
        if foreground:
            stack.run(progress)
            return
        before = stack.status()
        endpoints = stack.up(progress)
    if before.is_up:
        err().print(f"already up since {_local(before.since)}")
    where = _endpoints(stack, endpoints)
    if as_json:
        show_json(documents.engines_up(where, was_up=before.is_up))
        return
    table = Table.grid(padding=(0, 2))
    for name, place in where.items():
        table.add_row(name, f"in {place}" if name == "password" else place)
    out().print(table)


def down(as_json: Json = False) -> None:
    """Stop the engines; their data stays."""
    begun = time.monotonic()
    was_up = stack_here().down()
    seconds = time.monotonic() - begun
    if as_json:
        show_json(documents.engines_down(seconds, was_up=was_up))
    else:
        out().print(f"stopped in {seconds:.1f} s" if was_up else "nothing was running")


def status(as_json: Json = False) -> None:
    """Each engine: process, port, memory, how long it has run. Exit status 1 if one is down."""
    now = stack_here().status()
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
    folder = stack_here().folder
    files = {name: folder.log(name) for name in ([engine] if engine else LOGS)}
    console = out()
    for name, file in files.items():
        for line in _tail(file, lines):
            _print_line(console, name if len(files) > 1 else None, line)
    if follow:
        for name, line in _followed(files):
            _print_line(console, name if len(files) > 1 else None, line)


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete all data.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the engines' data, logs and addresses; fetched files stay."""
    stack = stack_here()
    if not yes:
        raise ConfigurationError(
            "this deletes every topic, schema and database; say so with --yes",
            folder=str(stack.folder.home),
        )
    stack.reset()
    if as_json:
        show_json(documents.engines_reset(stack.folder.home))
    else:
        out().print(f"deleted data, logs and addresses in {stack.folder.home}", markup=False)


class Watch:
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

    def step(self, step: Step) -> None:
        """A line for each step that is done."""
        if step.seconds is not None:
            name, _, what = step.name.partition(": ")
            done = {"start": "answers", "prepare": "data folder made"}[what]
            self._console.print(f"  {name:<10}{done:<20}{step.seconds:5.1f} s")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()


@contextmanager
def watching() -> Iterator[Watch]:
    """Shows progress on stderr."""
    watch = Watch(err())
    try:
        yield watch
    finally:
        watch.close()


def stack_here(chosen: dict[str, int] | None = None) -> LocalStack:
    """The stack on this user's data folder.

    Raises:
        ConfigurationError: The packages that run engines are not installed.
    """
    try:
        return compose.configured.local_stack(compose.configured.settings(), chosen)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "engines need more packages; install them with: pip install 'renkei[local]'",
            package=error.name,
        ) from error


def _endpoints(stack: LocalStack, endpoints: Endpoints) -> dict[str, str]:
    """Where the engines answer; of the password, the file that it is in."""
    secret, _, where = endpoints.database.rpartition("@")
    user = secret.partition("://")[2].partition(":")[0]
    return {
        "kafka": endpoints.kafka,
        "registry": endpoints.registry,
        "database": f"postgresql://{user}@{where}",
        "password": str(stack.folder.password),
    }


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
    memory = sum(each.memory_bytes or 0 for each in now.engines)
    table.add_row("all", "up" if now.is_up else "down", "", "", decimal(memory), "", "")
    return table


def _age(since: datetime | None) -> str:
    if since is None:
        return "-"
    seconds = int((datetime.now(UTC) - since).total_seconds())
    minutes, seconds = divmod(max(seconds, 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _tail(file: Path, lines: int) -> Sequence[str]:
    if not file.is_file():
        return ()
    with file.open(encoding="utf-8", errors="replace") as log:
        return deque(log, maxlen=lines)


def _followed(files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """New lines of several logs as they come; begins again where a log was cut."""
    at = {name: file.stat().st_size if file.is_file() else 0 for name, file in files.items()}
    while True:
        for name, file in files.items():
            size = file.stat().st_size if file.is_file() else 0
            if size < at[name]:
                at[name] = 0
            if size > at[name]:
                with file.open("rb") as log:
                    log.seek(at[name])
                    whole, newline, _ = log.read().rpartition(b"\n")
                at[name] += len(whole) + len(newline)
                for line in whole.decode("utf-8", errors="replace").splitlines():
                    yield name, line
        time.sleep(FOLLOW_SECONDS)


def _print_line(console: Console, name: str | None, line: str) -> None:
    text = line.rstrip("\n")
    console.print(f"{name:<10} {text}" if name else text, markup=False, soft_wrap=True)
