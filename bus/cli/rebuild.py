"""``renkei rebuild``: fill what a system holds anew, from the log's beginning."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.progress import Progress

from bus import app as composition
from bus import operate
from bus.cli import names
from bus.cli.lanes import System
from bus.cli.output import DryRun, Json, err, insist, out, show_json
from bus.cli.times import shown
from bus.connect import Left
from bus.deliver.fleet import Feed
from bus.rebuild.rebuild import Rebuilt

Stream = Annotated[
    str | None,
    typer.Argument(
        parser=names.stream, help="Only this stream; else all that it receives, one by one."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(rebuild)


def rebuild(
    system: System,
    stream: Stream = None,
    is_discarded: Annotated[
        bool,
        typer.Option("--discard", help="Only take away what an earlier rebuild left half filled."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fill a system's table anew from the log, beside the one in use, and put it in its place.

    The table in use goes on being read and delivered to; it changes at one moment. One that was
    cut off is taken up where it was. Needed where a view has gained columns or rows, or a mask has
    changed; and for a lane that was away too long (RK-503), which then wants `renkei lanes resume`.
    """
    if is_discarded:
        _discard(system, stream, dry=dry_run, as_json=as_json)
        return
    done = asyncio.run(_rebuild(system, stream, dry=dry_run))
    if as_json:
        show_json(done)
        return
    for each in done:
        out().print(_line(each, dry=dry_run), markup=False)


async def _rebuild(system: str, stream: str | None, *, dry: bool) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    async with operate.rebuilding(composition.settings(), system, stream) as found:
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


def _discard(system: str, stream: str | None, *, dry: bool, as_json: bool) -> None:
    left = asyncio.run(_left(system, stream, dry=dry))
    if not dry:
        insist(left, "no rebuild has left anything half filled", system=system, stream=stream)
    if as_json:
        show_json([{**_named(feed), **_described(found), "is_dry": dry} for feed, found in left])
    for feed, found in () if as_json else left:
        name = f"{feed.view.system}/{feed.view.stream}"
        since = "" if found.since is None else f" since {shown(found.since, '%m-%d %H:%M')}"
        out().print(
            f"{'would discard' if dry else 'discarded'} what was filled of {name}{since}:"
            f" {found.rows:,} rows, from {found.events:,} events; the table in use is as it was",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if not left and not as_json:
        out().print("no rebuild has left anything half filled")


async def _left(system: str, stream: str | None, *, dry: bool) -> list[tuple[Feed, Left]]:
    async with operate.rebuilding(composition.settings(), system, stream) as found:
        act = found.left if dry else found.discard
        each = [(feed, await act(feed)) for feed in found.feeds]
    return [(feed, left) for feed, left in each if left is not None]


def _described(left: Left) -> dict[str, Any]:
    since = None if left.since is None else left.since.isoformat()
    return {"rows": left.rows, "events": left.events, "since": since}


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
