"""``renkei demo``: the main job, shown live, or as one JSON object."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bus.app import configured
from bus.cli.local import watching
from bus.cli.output import Json, err, out, show_json
from bus.demo.result import DemoResult
from bus.demo.show import Wanted, show

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

    def ended(result: DemoResult) -> None:
        if as_json:
            show_json({"document": "demo/1", **result.document()})

    wanted = Wanted(
        population=population,
        results=None if as_json else out(),
        progress=err(),
        watching=watching,
        ended=ended,
        is_kept=keep,
        svg=svg,
    )
    try:
        result = show(configured.settings(), wanted)
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
    if not result.is_whole:
        raise typer.Exit(INCOMPLETE)
