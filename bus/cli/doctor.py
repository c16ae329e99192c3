"""``renkei doctor``: is everything here that Renkei needs, and what mends what is not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from bus.cli.asking import ask
from bus.cli.local import engines_here
from bus.cli.output import Json, out, show_json
from bus.operate import documents
from bus.operate.session import ANSWER_WITHIN

if TYPE_CHECKING:  # needs the packages of renkei[local]
    from bus.operate.examining import CheckResult

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Look at versions, files, ports, disk, Kafka, registry, databases, lines, keys, clock, and who
    runs.

    Status 1 if one fails: also if somebody who should run does not.
    """
    engines = engines_here()
    from bus.operate import examining

    findings = ask(lambda session: examining.examined(session, engines), ANSWER_WITHIN)
    if as_json:
        show_json(documents.findings(findings))
    else:
        out().print(_table(findings))
    if examining.is_ill(findings):
        raise typer.Exit(1)


def _table(findings: list[CheckResult]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict.value, style=STYLES[finding.verdict])
        table.add_row(verdict, finding.name, Text(finding.says))
        if finding.mend:
            table.add_row("", "", Text(f"mend: {finding.mend}"))
    return table
