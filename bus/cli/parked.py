"""``renkei parked``: events that were set aside, and what to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from bus.app import configured
from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, OnlySystem, Reason, System, WhyAsked, WhyDone, order_of
from bus.cli.output import DryRun, Json, out, show_json
from bus.cli.times import duration, shown
from bus.model import LaneName, ParkedEvent
from bus.operate import deeds, documents, parked
from bus.operate.deeds import Order
from bus.operate.parked import PriorState, Skipping

Subject = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        parser=names.subject,
        metavar="SUBJECT",
        help="<municipality>/<宛名番号> as the list shows it; may be given several times.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every parked event of the system.")]
AllSystems = Annotated[
    bool, typer.Option("--all-systems", help="In every system, in the place of SYSTEM.")
]
OneOrAll = Annotated[str | None, typer.Argument(parser=names.system, help="The receiving system.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Events that could not be applied.")
    group.command("list")(list_open)
    group.command()(add)
    group.command()(skip)
    group.command()(retry)
    group.command()(dismiss)
    app.add_typer(group, name="parked")


def list_open(
    system: OnlySystem = None,
    reason: WhyAsked = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """List what is set aside: parked events, and what waits behind them.

    It names subjects: who looks is recorded, also by a dry run of the commands beside it.
    """
    order = order_of(by, reason)
    found = ask(lambda session: parked.parked(session, system, order))
    if as_json:
        show_json(documents.listed(found))
    elif not found:
        out().print("nothing is set aside")
    else:
        _show(found)
        if any(each.is_overdue for each in found):
            limit = duration(parked.limit(configured.settings()))
            out().print(f"! set aside for more than {limit}: settle it", markup=False)


def add(
    system: System,
    stream: Annotated[
        str, typer.Argument(parser=names.stream, help="The stream that the lane carries.")
    ],
    partition: Annotated[int, typer.Argument(min=0, help="The lane's partition.")],
    offset: Annotated[int, typer.Argument(min=0, help="The event, as `lanes show` names it.")],
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Set one event aside unread, so that one lane that stopped at it can pass it.

    For an event whose schema id means another schema (RK-205). The same subject's later events
    wait behind it, like behind any parked event. Then: renkei lanes resume SYSTEM STREAM.
    For all systems at once: renkei parked skip.
    """
    order = order_of(by, reason)
    action = parked.Add(LaneName(system, stream, partition), offset)
    event = ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry_run))
    if as_json:
        show_json(documents.listed([event]))
    else:
        _say("would set aside" if dry_run else "set aside", [event])


def skip(
    stream: Annotated[
        str, typer.Argument(parser=names.stream, help="The stream that the lanes carry.")
    ],
    partition: Annotated[int, typer.Argument(min=0, help="The lanes' partition.")],
    offset: Annotated[int, typer.Argument(min=0, help="The event, as `lanes show` names it.")],
    reason: Reason,
    hold: Annotated[
        bool,
        typer.Option("--hold", help="Have later events of the same subject wait, until dismissed."),
    ] = False,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Have every system pass one event that nobody can read: set aside, resumed, and closed.

    For an event whose schema id means another schema (RK-205), at which the lanes of all systems
    and of the ledger stop. What is paused stays paused. With --hold the event is not closed:
    renkei parked dismiss --all-systems --subject SUBJECT does that, once the subject's true state
    has been published.
    """
    order = order_of(by, reason)
    action = parked.Skip(stream=stream, partition=partition, offset=offset, is_held=hold)
    said = ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry_run))
    place = f"{stream}/{partition}/{offset}"
    if as_json:
        show_json(documents.skipped(said, place, order, is_held=hold, is_dry=dry_run))
    else:
        _show_skipping(said, place, is_dry=dry_run)


def retry(
    system: OneOrAll = None,
    is_everywhere: AllSystems = False,
    subject: Subject = None,
    is_all: All = False,
    reason: WhyDone = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try parked events again; what waits behind each comes along, in order.

    The process that owns the lane does it within about a second, or when one starts.
    """
    chosen = parked.ParkedChoice.of(system, subject, is_everywhere=is_everywhere, is_all=is_all)
    asked = _settled(parked.Retry(chosen), order_of(by, reason), dry=dry_run)
    if as_json:
        show_json(documents.asked_to_try(asked, is_dry=dry_run))
    else:
        _say("would try" if dry_run else "asked to try", asked)


def dismiss(
    reason: Reason,
    system: OneOrAll = None,
    is_everywhere: AllSystems = False,
    subject: Subject = None,
    is_all: All = False,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Close parked events for good; what waits behind each is applied."""
    chosen = parked.ParkedChoice.of(system, subject, is_everywhere=is_everywhere, is_all=is_all)
    closed = _settled(parked.Dismiss(chosen), order_of(by, reason), dry=dry_run)
    if as_json:
        show_json(documents.dismissed(closed, is_dry=dry_run))
    else:
        _say("would dismiss" if dry_run else "dismissed", closed)


def _settled(
    action: parked.Retry | parked.Dismiss, order: Order, *, dry: bool
) -> Sequence[ParkedEvent]:
    return ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry))


def _show_skipping(planned: Skipping, place: str, *, is_dry: bool) -> None:
    counts = [
        (planned.set_aside, "set aside"),
        (len(planned.operations), "resumed"),
        (planned.closed, "closed"),
    ]
    said = ", ".join(f"{what} for {count}" for count, what in counts)
    head = "would be " if is_dry else ""
    out().print(f"{place} of {planned.subject}: {head}{said}", markup=False, soft_wrap=True)
    width = max(len(skipped.system) for skipped in planned.systems)
    for skipped in planned.systems:
        paused = ", and stays paused" if skipped.is_paused else ""
        out().print(f"  {skipped.system:<{width}}  was {_WAS[skipped.was]}{paused}", markup=False)


_WAS = {
    PriorState.STOPPED: "stopped at it",
    PriorState.COMING: "yet to come to it",
    PriorState.ASIDE: "set aside",
    PriorState.CLOSED: "closed already",
    PriorState.PASSED: "past it already",
}


def _say(what: str, events: Sequence[ParkedEvent]) -> None:
    out().print(f"{what} {len(events)} parked event{'' if len(events) == 1 else 's'}")
    systems = {event.system for event in events}
    for event in events:
        place = f"{event.stream}/{event.partition}/{event.offset}"
        shown = f"{event.system}/{place}" if len(systems) > 1 else place
        out().print(f"  {shown}  {event.subject}", markup=False)


def _show(found: Sequence[parked.ParkedListed]) -> None:
    """A block for each system; identifiers stand whole, so that they can be copied."""
    places = [f"{e.event.stream}/{e.event.partition}/{e.event.offset}" for e in found]
    width = max(len(place) for place in places)
    before = None
    for each, place in zip(found, places, strict=True):
        event = each.event
        if event.system != before:
            out().print(event.system)
            before = event.system
        tries = f"{event.attempts} {'try' if event.attempts == 1 else 'tries'}"
        mark = "!" if each.is_overdue else " "
        out().print(
            f"{mark} {place:<{width}}  {event.subject}  {event.state:<7}  {event.code}  {tries}"
            f" {shown(event.set_aside_at, '%m-%d %H:%M')}",
            markup=False,
            soft_wrap=True,
        )
