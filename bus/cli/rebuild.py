"""``renkei rebuild``: fill what a system holds anew, from the log's beginning."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.progress import Progress

from bus import app as composition
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.deliver.fleet import Feed
from bus.deliver.rebuild import Rebuilt

System = Annotated[str, typer.Argument(help="The receiving system.")]
Stream = Annotated[
    str | None, typer.Argument(help="Only this stream; else all that it receives, one by one.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(rebuild)


def rebuild(
    system: System, stream: Stream = None, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Fill a system's table anew from the log, beside the one in use, and put it in its place.

    The table in use goes on being read and delivered to; it changes at one moment. One that was
    cut off is taken up where it was. Needed where a view has gained columns or rows, or a mask has
    changed; and for a lane that was away too long (RK-503), which then wants `renkei lanes resume`.
    """
    done = asyncio.run(_rebuild(system, stream, dry=dry_run))
    if as_json:
        show_json(done)
        return
    for each in done:
        out().print(_line(each, dry=dry_run), markup=False)


async def _rebuild(system: str, stream: str | None, *, dry: bool) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    async with composition.rebuilding(composition.settings(), system, stream) as found:
        with Progress(console=err(), transient=True) as shown:
            for feed in found.feeds:
                if dry:
                    done.append({**_named(feed), "events": await found.events(feed)})
                    continue
                task = shown.add_task(feed.view.stream, total=None)

                def progress(events: int, total: int, task: Any = task) -> None:
                    shown.update(task, completed=events, total=total)

                done.append(_done(feed, await found.rebuild(feed, progress)))
    return done


def _named(feed: Feed) -> dict[str, Any]:
    return {
        "system": feed.view.system,
        "stream": feed.view.stream,
        "view": feed.view.fingerprint,
        "edition": feed.view.edition,
    }


def _done(feed: Feed, rebuilt: Rebuilt) -> dict[str, Any]:
    swapped = rebuilt.swapped
    return {
        **_named(feed),
        "events": rebuilt.events,
        "changed": None if swapped is None else swapped.changed,
        "added": None if swapped is None else swapped.added,
        "removed": None if swapped is None else swapped.removed,
        "kept": None if swapped is None else swapped.kept,
    }


def _line(done: dict[str, Any], *, dry: bool) -> str:
    name = f"{done['system']}/{done['stream']}"
    if dry:
        return f"would rebuild {name} from {done['events']:,} events"
    rows = "rows in place"
    if done["changed"] is not None:
        rows = f"{done['changed']:,} changed, {done['added']:,} added, {done['removed']:,} removed"
        if done["kept"]:
            rows += f", {done['kept']:,} kept that are newer than what was filled"
    return f"rebuilt {name} from {done['events']:,} events: {rows}"
