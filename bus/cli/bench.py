"""``renkei bench``: how fast, beside what is possible on this machine in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bus.app import configured
from bus.bench.run import Figure, Part, measure
from bus.cli.local import watching
from bus.cli.output import Json, err, out, show_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    part: Annotated[Part, typer.Argument(help="What to measure.")] = Part.ALL,
    is_family: Annotated[
        bool,
        typer.Option(
            "--family", help="With load: also every stream into all systems; takes minutes."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure speed on the real engines, each figure with its ceiling.

    Works on a data folder of its own (bench, within RENKEI_HOME), deleted afterwards. Machines
    are noisy: read the ratios. Figures never decide the exit status. "provisions" is not among
    "all": it makes a ledger of a hundred million provisions, in some minutes and gigabytes.
    """
    figures = measure(configured.settings(), part, watching, _step, is_family=is_family)
    if as_json:
        show_json({each.name: round(each.value, 3) for each in figures})
    else:
        out().print(_table(figures))


def _step(what: str) -> None:
    err().print(f"  {what}", markup=False)


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("Figure", "Measured", "Aim", "", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for each in figures:
        shown = f"{each.value:,.0f}" if each.value >= 100 else f"{each.value:,.2f}"
        mark = Text("")
        if each.aim is not None:
            mark = Text("ok", "green") if each.is_kept else Text("below aim", "yellow")
        table.add_row(each.name, shown, str(each.aim) if each.aim else "", mark)
    return table
