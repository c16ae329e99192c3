"""``renkei doctor``: is everything here that Renkei needs, and what mends what is not?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

import bus
from bus import app as composition
from bus.cli.asking import ask
from bus.cli.local import stack_here
from bus.cli.output import Json, out, show_json
from bus.cli.times import shown
from bus.operate import running
from bus.operate.session import ANSWER_WITHIN
from bus.settings import Settings

if TYPE_CHECKING:  # needs the packages of renkei[local]
    from bus.local.checkup import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Look at versions, files, ports, disk, Kafka, registry, databases, lines, keys, clock, and who
    runs.

    Status 1 if one fails: also if somebody who should run does not.
    """
    stack = stack_here()
    from bus.local.checkup import Outside, Verdict, examine

    outside = Outside(
        lock=Path(bus.__file__).parents[1] / "requirements" / "lock.txt",
        settings=composition.settings(),
    )
    findings = [*examine(stack, outside), *_running(outside.settings)]
    if as_json:
        show_json(
            [
                {"name": f.name, "verdict": f.verdict.value, "says": f.says, "mend": f.mend}
                for f in findings
            ]
        )
    else:
        out().print(_table(findings))
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


def _running(settings: Settings) -> Iterator[Finding]:
    """Who delivers, sends and watches, and who should and does not."""
    from bus.local.checkup import Finding, Verdict

    if settings.kafka is None or not (settings.systems or settings.outboxes or settings.sources):
        return
    found = ask(running.all_duties, ANSWER_WITHIN)
    for command in dict.fromkeys(duty.command for duty in found):
        mine = [duty for duty in found if duty.command == command]
        wrong = [str(duty) for duty in mine if not duty.is_done]
        name = command.partition(" ")[0]
        if wrong:
            says = brief(wrong)
            yield Finding(name, Verdict.FAIL, says, f"renkei {command}, and see its log")
        else:
            runners = sorted({runner for duty in mine for runner in duty.runners})
            where = ", ".join(f"{r} since {shown(r.since)}" for r in runners)
            yield Finding(name, Verdict.OK, f"{len(mine)} of {len(mine)}, by {where or 'others'}")


def brief(wrong: list[str], most: int = 3) -> str:
    """The first few of what is wrong, and how many more."""
    more = len(wrong) - most
    return "; ".join(wrong[:most]) + (f"; and {more} more" if more > 0 else "")


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict.value, style=STYLES[finding.verdict])
        table.add_row(verdict, finding.name, Text(finding.says))
        if finding.mend:
            table.add_row("", "", Text(f"mend: {finding.mend}"))
    return table
