"""``renkei publish``: changes from a file, one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, WhyDone, order_of
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.errors import ChangeRefused, ConfigurationError
from bus.files import create_private
from bus.operate import deeds, documents, jobs
from bus.operate.deeds import Order
from bus.operate.loading import Load, LoadProgress, Publish, RefusedLine, insist_on_a_way_back
from bus.operate.session import Session

SHOWN_LINES = 20
"""Refused lines that are shown; the report file has all."""
SHOWN_FAULTS = 5
LISTED_LINES = 1_000
"""Refused lines in the JSON document; the report file has all."""

Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where an interrupted load of this file stopped.")
]
Report = Annotated[
    Path | None, typer.Option("--report", help="Write every refused line here, JSON lines.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(publish)


def publish(
    file: Annotated[
        str,
        typer.Argument(
            parser=names.made, help="A file of changes, one JSON object a line; - reads stdin."
        ),
    ],
    dry_run: DryRun = False,
    as_json: Json = False,
    resume: Resume = False,
    report: Report = None,
    reason: WhyDone = None,
    by: By = None,
) -> None:
    """Check the changes in FILE and publish them; a refused line does not stop the others.

    Publishing a file again changes nothing: what is there is recognised. Exit status: 0 all
    published, 65 some lines refused, 75 something did not answer (run again with --resume).
    """
    order = order_of(by, reason)
    if resume:
        insist_on_a_way_back(file)
    started = time.monotonic()
    with _report(report) as written:
        refusals = _RefusalReport(written)
        progress = ask(lambda session: _run(session, order, file, dry_run, resume, refusals))
    seconds = time.monotonic() - started
    if as_json:
        show_json(documents.loaded(progress, refusals.listed, is_dry=dry_run, seconds=seconds))
    else:
        _show(progress, refusals, dry_run=dry_run, seconds=seconds)
    if progress.refused:
        raise typer.Exit(ChangeRefused.exit_status)


async def _run(
    session: Session, order: Order, file: str, dry_run: bool, resume: bool, refusals: _RefusalReport
) -> LoadProgress:
    load = Load.of(session.settings, file, _cannot_remember, is_resumed=resume, is_dry=dry_run)
    if resume and load.begun is None:
        err().print("nothing to resume: the file is published from its beginning")
    elif load.begun is not None:
        err().print(f"resuming after line {load.begun.lines:,}")
    with load.opened() as content, _bar(load, refusals) as moved:

        def advanced(now: LoadProgress) -> None:
            load.remembered.advanced(now)
            moved(now)

        async def work(step: jobs.OnProgress) -> LoadProgress:
            action = Publish(
                file=content,
                progress=load.begun,
                refused=refusals.refused,
                advanced=advanced,
                on_progress=step,
            )
            return await deeds.carry_out(session, action, order, is_dry=dry_run)

        progress = await jobs.start(work).result()
    load.remembered.forget()
    return progress


def _cannot_remember() -> None:
    err().print(
        "cannot remember how far the load is (no room, or no right to write in RENKEI_HOME);"
        " it goes on, and if it is interrupted, publish the file again: nothing doubles"
    )


class _RefusalReport:
    """What the command shows of refused lines while a load runs."""

    def __init__(self, report: TextIO | None) -> None:
        self._report = report
        self._shown = 0
        self.listed: list[dict[str, object]] = []
        self.console = err()

    def refused(self, line: RefusedLine) -> None:
        """Show a refused line, if it is one of the first, and write it into the report."""
        if self._report is not None:
            self._report.write(json.dumps(line.as_json, ensure_ascii=False) + "\n")
        if len(self.listed) < LISTED_LINES:
            self.listed.append(line.as_json)
        self._shown += 1
        if self._shown > SHOWN_LINES:
            if self._shown == SHOWN_LINES + 1:
                self.console.print("more lines are refused; --report FILE lists all")
            return
        for fault in line.faults[:SHOWN_FAULTS]:
            self.console.print(f"line {line.number}: {fault}", markup=False)
        if len(line.faults) > SHOWN_FAULTS:
            left = len(line.faults) - SHOWN_FAULTS
            self.console.print(f"line {line.number}: and {left} more faults")


@contextmanager
def _report(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = create_private(path)
    except OSError as error:
        raise ConfigurationError("cannot write the report", file=str(path)) from error
    with file:
        yield file


@contextmanager
def _bar(load: Load, refusals: _RefusalReport) -> Iterator[Callable[[LoadProgress], None]]:
    """A progress bar on stderr; nothing where that is no terminal."""
    size = load.size
    bar = Bar(
        TextColumn("publishing"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%" if size else ""),
        TextColumn("{task.fields[changes]:,} changes, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=refusals.console,
        disable=not refusals.console.is_terminal,
        transient=True,
    )
    started = time.monotonic()
    task = bar.add_task("", total=size, changes=0, rate=0.0)

    def moved(progress: LoadProgress) -> None:
        done = progress.changes - load.before  # what an earlier run did is not this one's speed
        rate = done / max(time.monotonic() - started, 0.001)
        bar.update(task, completed=progress.offset, changes=progress.changes, rate=rate)

    with bar if refusals.console.is_terminal else nullcontext():
        yield moved


def _show(
    progress: LoadProgress, refusals: _RefusalReport, *, dry_run: bool, seconds: float
) -> None:
    verb = "would be published" if dry_run else "published"
    console = out()
    console.print(
        f"{progress.published:,} of {progress.changes:,} changes {verb}: "
        f"{progress.events:,} events, {progress.resent:,} of them there already "
        f"({seconds:.1f} s)"
    )
    for (code, where), count in sorted(progress.warnings.items()):
        console.print(f"warning: {code} at {where}: {count:,}", markup=False)
    if progress.refused:
        refusals.console.print(f"{progress.refused:,} lines refused", style="bold red")
