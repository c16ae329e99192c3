"""How commands write: results to stdout, progress and errors to stderr, JSON on demand.

Colours and live displays turn off by themselves where the stream is no terminal or ``NO_COLOR``
is set; nothing is drawn wider than 80 columns unless the terminal is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from bus.errors import BusError
from bus.operate.jobs import OnProgress
from bus.operate.jobs import Progress as Advance

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]


def out() -> Console:
    """The console of results."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """The console of progress, warnings and errors."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty())


def show_json(value: Any) -> None:
    """One JSON document, UTF-8, on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")
    sys.stdout.flush()  # a full disk is an error of the command, not of its end


@contextmanager
def bars() -> Iterator[OnProgress]:
    """A progress bar for each thing that a job works on, on stderr, removed at the end."""
    tasks: dict[str, TaskID] = {}
    with Progress(console=err(), transient=True) as shown:

        def advance(now: Advance) -> None:
            if now.name not in tasks:
                tasks[now.name] = shown.add_task(now.name, total=now.total)
            shown.update(tasks[now.name], completed=now.done, total=now.total)

        yield advance


def show_error(error: BusError) -> None:
    """One line (and the report of faults, where the error carries one) on stderr."""
    console = err()
    console.print(f"error: {error}", style="bold red", markup=False)
    for fault in getattr(error, "faults", ()):
        console.print(f"  {fault}", markup=False)
