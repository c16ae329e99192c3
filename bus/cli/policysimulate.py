"""``renkei subscriptions simulate``: whom a change of policy touches, counted on the real log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bus import app as composition
from bus import operate
from bus.cli.output import Json, err, out, show_json
from bus.cli.policyapply import Files, consequences
from bus.cli.policydiff import plain, words
from bus.operate.applying import files_in, plan
from bus.operate.simulating import Simulated
from bus.policy import read_subscriptions


def simulate(files: Files = None, as_json: Json = False) -> None:
    """Say what putting subscriptions in force would change, and how many subjects it touches.

    Reads the topics of the streams concerned, whole, and changes nothing. A subject is counted as
    a store would hold it in the end: by its newest event that a view shows.
    """
    found = asyncio.run(_simulate(files or []))
    if as_json:
        show_json([document(each) for each in found])
        return
    if not found:
        out().print("no view changes")
    for line in (line for each in found for line in told(each)):
        out().print(line, markup=False)


async def _simulate(paths: list[Path]) -> list[Simulated]:
    settings = composition.settings()
    catalog = composition.catalog(settings)
    installed = read_subscriptions(catalog, settings.schemas)
    chosen = files_in(paths, catalog.folder)
    async with operate.editions(settings) as editions:
        found = plan(chosen, installed, editions, catalog)
    tasks: dict[str, Any] = {}
    with Progress(console=err(), transient=True) as shown:

        def progress(stream: str, read: int, total: int) -> None:
            if stream not in tasks:
                tasks[stream] = shown.add_task(stream, total=total)
            shown.update(tasks[stream], completed=read, total=total)

        async with composition.broker(settings) as cluster:
            return await operate.simulate(settings, cluster, found, progress)


def told(simulated: Simulated) -> Iterator[str]:
    """In words and numbers."""
    difference, touched = simulated.difference, simulated.touched
    yield from words(difference)
    yield from consequences(difference)
    yield f"  holds    {touched.rows:,} rows now"
    yield f"  rows     {touched.rows_gained:,} more, {touched.rows_lost:,} fewer"
    for name, items in touched.columns.items():
        yield f"  column   {name}: {items.gained:,} gain a value, {items.lost:,} lose theirs"
    yield f"  touched  {touched.subjects:,} subjects"
    if simulated.unreadable:
        yield f"  {simulated.unreadable:,} events could not be read, and are not counted"


def document(simulated: Simulated) -> dict[str, Any]:
    """The same for machines."""
    touched = simulated.touched
    return {
        **plain(simulated.difference),
        "rows": touched.rows,
        "rows_gained": touched.rows_gained,
        "rows_lost": touched.rows_lost,
        "columns": {
            name: {"gained": items.gained, "lost": items.lost}
            for name, items in touched.columns.items()
        },
        "touched": touched.subjects,
        "unreadable": simulated.unreadable,
    }
