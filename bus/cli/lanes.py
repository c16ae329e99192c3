"""``renkei lanes``: have lanes stand, and go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, OnlySystem, Reason, Stream, System, WhyDone, order_of
from bus.cli.output import DryRun, Json, out, show_json
from bus.cli.times import shown
from bus.model import Operation, OperationState
from bus.operate import deeds, documents, lanes
from bus.operate.deeds import Order


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Have delivery to a system stand, and go on.")
    group.command()(show)
    group.command()(pause)
    group.command()(resume)
    app.add_typer(group, name="lanes")


def show(
    system: OnlySystem = None,
    as_json: Json = False,
) -> None:
    """Show what stands: streams that are paused, lanes that have stopped or that nobody runs."""
    found = ask(lambda session: lanes.lanes(session, system))
    if as_json:
        show_json(documents.lanes_shown(found))
        return
    for operation in found.operations:
        out().print(f"{operation.name}  {sentence(operation)}", markup=False, soft_wrap=True)
    for duty in found.unhosted:
        out().print(str(duty), markup=False, soft_wrap=True)
    if not found.operations and not found.unhosted:
        out().print("nothing is paused, and no lane has stopped")


def pause(
    system: System,
    reason: Reason,
    stream: Stream = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pause delivery to a system: every process finishes the batch in hand and applies no more.

    It is heard within about a second, holds over restarts, and ends only with `renkei lanes
    resume`. Nothing is lost meanwhile: events wait in the log. What is paused already stays as it
    is.
    """
    order = order_of(by, reason)
    said = _said(lanes.Pause(system, stream), order, dry=dry_run)
    _say("would pause" if dry_run else "paused", said, as_json=as_json)


def resume(
    system: Annotated[
        str | None, typer.Argument(parser=names.system, help="The receiving system.")
    ] = None,
    stream: Stream = None,
    is_all: Annotated[
        bool,
        typer.Option("--all", help="All that stands, in every system, in the place of SYSTEM."),
    ] = False,
    reason: WhyDone = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Have paused streams go on, and lanes that had stopped try again, without a restart."""
    action = lanes.Resume.of(system, stream, is_all=is_all)
    said = _said(action, order_of(by, reason), dry=dry_run)
    _say("would go on" if dry_run else "told to go on", said, as_json=as_json)


def _said(action: lanes.Pause | lanes.Resume, order: Order, *, dry: bool) -> Sequence[Operation]:
    return ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry))


def sentence(operation: Operation) -> str:
    """One pause or stop as a sentence: since when, by whom or by which error."""
    since = shown(operation.at, "%m-%d %H:%M")
    if operation.has_gone_back:
        return f"its store went back to offset {operation.offset} at {since}; it catches up"
    if operation.state is OperationState.STOPPED:
        return f"stopped {operation.code} at offset {operation.offset} since {since}"
    return f"paused since {since} by {operation.operator or 'nobody named'}: {operation.note}"


def brief(operation: Operation) -> str:
    """One pause or stop in a few words, without what anybody wrote."""
    state = operation.state.value.lower()
    state = "gone back" if operation.has_gone_back else state
    code = f" {operation.code}" if operation.code else ""
    return f"{operation.name} {state}{code}; see: renkei lanes show"


def _say(what: str, operations: Sequence[Operation], *, as_json: bool) -> None:
    if as_json:
        show_json(documents.listed(operations))
        return
    streams = f"{len(operations)} stream{'' if len(operations) == 1 else 's'}"
    out().print(f"{what}: {streams}")
    for operation in operations:
        out().print(f"  {operation.name}", markup=False)
