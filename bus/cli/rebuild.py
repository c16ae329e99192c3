"""``renkei rebuild``: fill what a system holds anew, from the log's beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, System, WhyDone, order_of
from bus.cli.output import DryRun, Json, bars, out, show_json
from bus.cli.times import shown
from bus.operate import deeds, documents, jobs
from bus.operate.deeds import Order
from bus.operate.rebuilding import Discard, HalfFilled, Rebuild, RebuildDone, ToRebuild
from bus.operate.session import Session

Stream = Annotated[
    str | None,
    typer.Argument(
        parser=names.stream, help="Only this stream; else all that it receives, one by one."
    ),
]

Filled = Sequence[ToRebuild | RebuildDone]


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
    reason: WhyDone = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fill a system's table anew from the log, beside the one in use, and put it in its place.

    The table in use goes on being read and delivered to; it changes at one moment. One that was
    cut off is taken up where it was. Needed where a view has gained columns or rows, or a mask has
    changed; and for a lane that was away too long (RK-503), which then wants `renkei lanes resume`.
    """
    order = order_of(by, reason)
    if is_discarded:
        action = Discard(system, stream)
        left = ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry_run))
        _show_left(left, as_json=as_json)
        return
    found = ask(lambda session: _rebuild(session, Rebuild(system, stream), order, dry=dry_run))
    if as_json:
        show_json(documents.listed(found))
        return
    for each in found:
        out().print(_line(each), markup=False)


async def _rebuild(session: Session, action: Rebuild, order: Order, *, dry: bool) -> Filled:
    async def work(on_progress: jobs.OnProgress) -> Filled:
        return await deeds.carry_out(
            session, replace(action, on_progress=on_progress), order, is_dry=dry
        )

    with bars() as show:
        return await jobs.start(work, show).result()


def _show_left(left: Sequence[HalfFilled], *, as_json: bool) -> None:
    if as_json:
        show_json(documents.listed(left))
        return
    for each in left:
        view, found = each.feed.view, each.left
        since = "" if found.since is None else f" since {shown(found.since, '%m-%d %H:%M')}"
        out().print(
            f"{'would discard' if each.is_dry else 'discarded'} what was filled of"
            f" {view.system}/{view.stream}{since}:"
            f" {found.rows:,} rows, from {found.events:,} events; the table in use is as it was",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if not left:
        out().print("no rebuild has left anything half filled")


def _line(each: ToRebuild | RebuildDone) -> str:
    name = f"{each.feed.view.system}/{each.feed.view.stream}"
    if isinstance(each, ToRebuild):
        return f"would rebuild {name} from {each.events:,} events"
    rows, merged = "rows in place", each.rebuilt.merged
    if merged is not None:
        rows = f"{merged.changed:,} changed, {merged.added:,} added, {merged.removed:,} removed"
        if merged.kept:
            rows += f", {merged.kept:,} kept that are newer than what was filled"
    return f"rebuilt {name} from {each.rebuilt.events:,} events: {rows}"
