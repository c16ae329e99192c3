"""``renkei parked``: events that were set aside, and what to do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bus import app as composition
from bus import operate
from bus.cli import names
from bus.cli.lanes import By, OnlySystem, Reason, System, checked_reason, received_by, who
from bus.cli.output import DryRun, Json, insist, out, show_json
from bus.cli.reach import duration
from bus.cli.times import shown
from bus.control.parked import ParkedIndex
from bus.deliver.overdue import overdue_after
from bus.errors import ConfigurationError, UnknownName
from bus.model import ExceptionState, LaneName, ParkedEvent
from bus.model.number import comparable_key
from bus.operate.skipping import Skipper, Skipping, Was, Word

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
    as_json: Json = False,
) -> None:
    """List what is set aside: parked events, and what waits behind them."""
    limit = overdue_after(composition.settings())
    events = asyncio.run(_open(system))
    overdue = datetime.now(UTC) - limit
    if as_json:
        show_json([_as_json(event) | {"overdue": _is_by(event, overdue)} for event in events])
    elif not events:
        out().print("nothing is set aside")
    else:
        _show(events, overdue)
        if any(_is_by(event, overdue) for event in events):
            out().print(f"! set aside for more than {duration(limit)}: settle it", markup=False)


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
    note, operator = checked_reason(reason), who(by)
    lane = LaneName(system, stream, partition)
    event = asyncio.run(_add(lane, offset, note, operator, dry_run=dry_run))
    if as_json:
        show_json([_as_json(event)])
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
    note, operator = checked_reason(reason), who(by)
    word = Word(operator, note, datetime.now(UTC), is_held=hold)
    planned = asyncio.run(_skip(stream, partition, offset, word, dry_run=dry_run))
    place = f"{stream}/{partition}/{offset}"
    if as_json:
        show_json(_skipping(planned, place, word, is_dry=dry_run))
    else:
        _show_skipping(planned, place, is_dry=dry_run)


def retry(
    system: OneOrAll = None,
    is_everywhere: AllSystems = False,
    subject: Subject = None,
    is_all: All = False,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try parked events again; what waits behind each comes along, in order.

    The process that owns the lane does it within about a second, or when one starts.
    """
    _one_or_all(system, is_everywhere)
    _chosen_one_way(subject, is_all)
    asked = asyncio.run(_retry(system, subject, who(by), dry_run=dry_run))
    if as_json:
        _show_json(asked, "asked_to_try", is_dry=dry_run)
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
    _one_or_all(system, is_everywhere)
    _chosen_one_way(subject, is_all)
    note, operator = checked_reason(reason), who(by)
    closed = asyncio.run(_dismiss(system, subject, note, operator, dry_run=dry_run))
    if as_json:
        _show_json(closed, "dismissed", is_dry=dry_run)
    else:
        _say("would dismiss" if dry_run else "dismissed", closed)


async def _open(system: str | None) -> list[ParkedEvent]:
    async with operate.parked_events(composition.settings()) as index:
        return await _of(index, system)


async def _add(
    lane: LaneName, offset: int, note: str, operator: str, *, dry_run: bool
) -> ParkedEvent:
    settings = composition.settings()
    topic = composition.catalog(settings).stream(lane.stream).topic
    async with operate.desk(settings) as desk:
        applied = await desk.editions()
        if lane.stream not in operate.received(settings, lane.system, applied.newest):
            raise UnknownName("the system does not receive this stream", **lane._asdict())
        standing = (await desk.operations()).standing(lane.system)
        stops = {(o.system, o.stream, o.partition, o.offset) for o in standing}
        index = await desk.parked()
        event = await index.refer_to(
            lane,
            topic,
            offset,
            note,
            operator,
            is_stuck=(*lane, offset) in stops,
            reader=desk.reader(lane.stream),
        )
        if not dry_run:
            await index.record([event])
    return event


async def _skip(stream: str, partition: int, offset: int, word: Word, *, dry_run: bool) -> Skipping:
    settings = composition.settings()
    topic = composition.catalog(settings).stream(stream).topic
    async with operate.desk(settings) as desk:
        applied = await desk.editions()
        systems = operate.receivers(settings, stream, applied.newest)
        index, operated = await desk.parked(), await desk.operations()
        skipper = Skipper(desk.broker, index, operated)
        unread = await skipper.look(topic, partition, offset)
        if await unread.can_be_read(desk.reader(stream)):
            raise ConfigurationError(
                "the event is one of its stream and can be read; no lane has to pass it unread",
                stream=stream, partition=partition, offset=offset,
            )  # fmt: skip
        planned = await skipper.plan(stream, topic, partition, unread, systems, word)
        if not dry_run:
            said = [*planned.exceptions, *planned.operations]
            insist(said, "every system has passed the event, or closed it")
            await index.record(planned.exceptions)
            await operated.instruct(planned.operations)
    return planned


async def _retry(
    system: str | None, subjects: Sequence[str] | None, operator: str, *, dry_run: bool
) -> Sequence[ParkedEvent]:
    async with operate.parked_events(composition.settings()) as index:
        events = _parked(await _of(index, system), subjects)
        if dry_run:
            return events
        insist(events, "nothing is parked", system=system)
        return await index.ask_retry(events, operator)


async def _dismiss(
    system: str | None, subjects: Sequence[str] | None, note: str, operator: str, *, dry_run: bool
) -> Sequence[ParkedEvent]:
    async with operate.parked_events(composition.settings()) as index:
        events = _parked(await _of(index, system), subjects)
        if dry_run:
            return events
        insist(events, "nothing is parked", system=system)
        return await index.dismiss(events, note, operator)


async def _of(index: ParkedIndex, system: str | None) -> list[ParkedEvent]:
    """What is set aside in *system*, which must be one that receives, or has received."""
    events = index.open_events(system)
    if system is not None and not events:
        await received_by(system)  # a slip of the pen is no empty list
    return events


def _parked(events: Sequence[ParkedEvent], subjects: Sequence[str] | None) -> list[ParkedEvent]:
    """The parked among *events*: what waits follows them by itself. Subjects are compared by what
    no spelling of a number changes.

    Raises:
        UnknownName: Of one of the subjects nothing is set aside.
    """
    named = None if subjects is None else {comparable_key(subject) for subject in subjects}
    missing = (named or set()) - {comparable_key(event.subject) for event in events}
    if missing:  # whose numbers they are is not said again
        raise UnknownName("of this subject nothing is set aside", subjects=len(missing))
    return [
        event
        for event in events
        if event.state is not ExceptionState.WAITING
        and (named is None or comparable_key(event.subject) in named)
    ]


def _chosen_one_way(subjects: Sequence[str] | None, is_all: bool) -> None:
    if bool(subjects) == is_all:
        raise ConfigurationError("name subjects with --subject, or say --all")


def _one_or_all(system: str | None, is_everywhere: bool) -> None:
    if (system is not None) == is_everywhere:
        raise ConfigurationError("name a system, or say --all-systems")


def _skipping(planned: Skipping, place: str, word: Word, *, is_dry: bool) -> dict[str, Any]:
    return {
        "event": place,
        "subject": planned.subject,
        "operator": word.operator,
        "reason": word.note,
        "is_held": word.is_held,
        "is_dry": is_dry,
        "systems": [
            {
                "system": skipped.system,
                "was": skipped.was.value,
                "exceptions": [event.state.value for event in skipped.exceptions],
                "resumed": skipped.resumed is not None,
                "paused": skipped.is_paused,
            }
            for skipped in planned.systems
        ],
    }


def _show_skipping(planned: Skipping, place: str, *, is_dry: bool) -> None:
    counts = [
        (sum(s.is_set_aside for s in planned.systems), "set aside"),
        (len(planned.operations), "resumed"),
        (sum(e.state is ExceptionState.DISMISSED for e in planned.exceptions), "closed"),
    ]
    said = ", ".join(f"{what} for {count}" for count, what in counts)
    head = "would be " if is_dry else ""
    out().print(f"{place} of {planned.subject}: {head}{said}", markup=False, soft_wrap=True)
    width = max(len(skipped.system) for skipped in planned.systems)
    for skipped in planned.systems:
        paused = ", and stays paused" if skipped.is_paused else ""
        out().print(f"  {skipped.system:<{width}}  was {_WAS[skipped.was]}{paused}", markup=False)


_WAS = {
    Was.STOPPED: "stopped at it",
    Was.COMING: "yet to come to it",
    Was.ASIDE: "set aside",
    Was.CLOSED: "closed already",
    Was.PASSED: "past it already",
}


def _say(what: str, events: Sequence[ParkedEvent]) -> None:
    out().print(f"{what} {len(events)} parked event{'' if len(events) == 1 else 's'}")
    systems = {event.system for event in events}
    for event in events:
        place = f"{event.stream}/{event.partition}/{event.offset}"
        shown = f"{event.system}/{place}" if len(systems) > 1 else place
        out().print(f"  {shown}  {event.subject}", markup=False)


def _show_json(events: Sequence[ParkedEvent], what: str, *, is_dry: bool) -> None:
    show_json({what: [_as_json(event) for event in events], "is_dry": is_dry})


def _as_json(event: ParkedEvent) -> dict[str, Any]:
    return {
        "system": event.system,
        "stream": event.stream,
        "partition": event.partition,
        "offset": event.offset,
        "subject": event.subject,
        "event_id": event.event_id,
        "state": event.state.value,
        "code": event.code,
        "attempts": event.attempts,
        "at": event.at.isoformat(),
        "since": event.set_aside_at.isoformat(),
        "reason": event.note,
        "operator": event.operator,
    }


def _is_by(event: ParkedEvent, moment: datetime) -> bool:
    return event.set_aside_at <= moment


def _show(events: Sequence[ParkedEvent], overdue: datetime) -> None:
    """A block for each system; identifiers stand whole, so that they can be copied."""
    places = [f"{event.stream}/{event.partition}/{event.offset}" for event in events]
    width = max(len(place) for place in places)
    before = None
    for event, place in zip(events, places, strict=True):
        if event.system != before:
            out().print(event.system)
            before = event.system
        tries = f"{event.attempts} {'try' if event.attempts == 1 else 'tries'}"
        mark = "!" if _is_by(event, overdue) else " "
        out().print(
            f"{mark} {place:<{width}}  {event.subject}  {event.state:<7}  {event.code}  {tries}"
            f" {shown(event.set_aside_at, '%m-%d %H:%M')}",
            markup=False,
            soft_wrap=True,
        )
