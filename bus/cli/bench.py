"""``renkei bench``: how fast, beside what is possible on this machine in the same run."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bus.app import configured
from bus.bench import (
    codec,
    deliver,
    family,
    latency,
    load,
    policy,
    provisions,
    publish,
    store,
)
from bus.bench.figures import AIMS
from bus.bench.machines import machines
from bus.cli.local import watching
from bus.cli.output import Json, err, out, show_json
from bus.errors import DataFolderInUse
from bus.local.stack import LocalStack
from bus.settings import Settings


class Part(StrEnum):
    """What can be measured."""

    CODEC = "codec"
    POLICY = "policy"
    PUBLISH = "publish"
    DELIVER = "deliver"
    POSTGRES = "postgres"
    LATENCY = "latency"
    LOAD = "load"
    PROVISIONS = "provisions"  # not among all: some minutes and gigabytes
    ALL = "all"


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
    outer = configured.settings()
    settings = Settings(home=outer.home / "bench", maven=outer.maven, schemas=outer.schemas)
    figures: dict[str, float] = {}
    if part in (Part.CODEC, Part.ALL):
        figures |= codec.measure(configured.catalog(settings), _step)
    if part in (Part.POLICY, Part.ALL):
        figures |= policy.measure(configured.catalog(settings), _step)
    if part is not Part.CODEC:
        stack = configured.local_stack(settings, engines=outer.home / "engines")
        if stack.endpoints() is not None:
            raise DataFolderInUse("a bench is running", home=settings.home)
        with watching() as progress:
            stack.fetch(progress)
        try:
            figures |= asyncio.run(_on_engines(part, stack, settings, is_family=is_family))
        finally:
            shutil.rmtree(settings.home, ignore_errors=True)
    if as_json:
        show_json({name: round(value, 3) for name, value in figures.items()})
    else:
        out().print(_table(figures))


async def _on_engines(
    part: Part, stack: LocalStack, settings: Settings, *, is_family: bool
) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    every = part is Part.ALL
    if every or part in (Part.PUBLISH, Part.DELIVER, Part.POSTGRES, Part.POLICY):
        async with machines(stack, settings, [store.SYSTEM]) as made:
            if every or part in (Part.PUBLISH, Part.DELIVER):
                figures |= await publish.measure(made.settings, _step)
            if every or part is Part.DELIVER:
                figures |= await deliver.measure(made.settings, _step)
            if every or part is Part.POLICY:
                figures |= await policy.measure_fence(made.settings, _step)
            if every or part is Part.POSTGRES:
                catalog = configured.catalog(made.settings)
                figures |= await store.measure(catalog, made.town, _step)
    if every or part is Part.LOAD:
        async with machines(stack, settings, load.SYSTEMS) as made:
            figures |= await load.measure(made, _step)
        if is_family:
            async with machines(stack, settings) as made:
                figures |= await family.measure(made, _step)
            ratio = figures["family_rows_per_s"] / figures["load_deliveries_per_s"]
            figures["family_over_load"] = ratio
    if part is Part.PROVISIONS:
        async with machines(stack, settings, [store.SYSTEM]) as made:
            catalog, home = configured.catalog(made.settings), made.settings.home
            figures |= await provisions.measure(catalog, made.town.ledger, home, _step)
    if every or part is Part.LATENCY:
        systems = latency.receiving(configured.catalog(settings))
        async with machines(stack, settings, systems) as made:
            figures |= await latency.measure(made, _step)
    return figures


def _step(what: str) -> None:
    err().print(f"  {what}", markup=False)


def _table(figures: Mapping[str, float]) -> Table:
    table = Table("Figure", "Measured", "Aim", "", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for name, value in figures.items():
        aim = AIMS.get(name)
        shown = f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
        mark = Text("")
        if aim is not None:
            mark = Text("ok", "green") if aim.holds(value) else Text("below aim", "yellow")
        table.add_row(name, shown, str(aim) if aim else "", mark)
    return table
