"""``renkei lanes``: have lanes stand, and go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bus import app as composition
from bus import operate
from bus.cli import names
from bus.cli.output import DryRun, Json, insist, out, show_json
from bus.cli.times import shown
from bus.control.operations import Operations
from bus.errors import ConfigurationError, UnknownName
from bus.model import Operation, OperationState

LONGEST, LONGEST_NAME = 300, 100  # characters of a reason and a name, as the schemas say
System = Annotated[str, typer.Argument(parser=names.system, help="The receiving system.")]
Stream = Annotated[
    str | None,
    typer.Argument(parser=names.stream, help="Only this stream; else all that it receives."),
]
OnlySystem = Annotated[
    str | None,
    typer.Option(
        "--system", parser=names.system, metavar="SYSTEM", help="Only this receiving system."
    ),
]
Reason = Annotated[
    str,
    typer.Option(
        parser=names.words,
        metavar="TEXT",
        help="Why; kept for ever, so a ticket's number and no personal data.",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        parser=names.words,
        metavar="TEXT",
        help="Who wants it; by default the account's name.",
    ),
]


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
    found, unhosted = asyncio.run(_standing(system))
    if as_json:
        show_json([document(operation) for operation in found] + [unrun(duty) for duty in unhosted])
        return
    for operation in found:
        out().print(f"{name_of(operation)}  {told(operation)}", markup=False, soft_wrap=True)
    for duty in unhosted:
        out().print(str(duty), markup=False, soft_wrap=True)
    if not found and not unhosted:
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
    said = asyncio.run(_pause(system, stream, checked_reason(reason), who(by), dry=dry_run))
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
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Have paused streams go on, and lanes that had stopped try again, without a restart."""
    if (system is not None) == is_all:
        raise ConfigurationError("name a system, or say --all")
    said = asyncio.run(_resume(system, stream, who(by), dry=dry_run))
    _say("would go on" if dry_run else "told to go on", said, as_json=as_json)


def checked_reason(reason: str) -> str:
    """What an operator gave as a reason, if it can be kept.

    Raises:
        ConfigurationError: It is blank, too long, or no single line of text.
    """
    return _line("--reason", reason, LONGEST)


def name_of(operation: Operation) -> str:
    """``system/stream``, or the lane: ``system/stream/partition``."""
    lane = f"{operation.system}/{operation.stream}"
    return lane if operation.partition is None else f"{lane}/{operation.partition}"


def told(operation: Operation) -> str:
    """What stands, since when, and who wants it or where it cannot get on."""
    since = shown(operation.at, "%m-%d %H:%M")
    if operation.has_gone_back:
        return f"its store went back to offset {operation.offset} at {since}; it catches up"
    if operation.state is OperationState.STOPPED:
        return f"stopped {operation.code} at offset {operation.offset} since {since}"
    return f"paused since {since} by {operation.operator or 'nobody named'}: {operation.note}"


def brief(operation: Operation) -> str:
    """One line for an overview, without anybody's own words."""
    state = _state(operation)
    code = f" {operation.code}" if operation.code else ""
    return f"{name_of(operation)} {state}{code}; see: renkei lanes show"


def _state(operation: Operation) -> str:
    return "gone back" if operation.has_gone_back else operation.state.value.lower()


def document(operation: Operation) -> dict[str, Any]:
    """The same for machines."""
    return {
        "system": operation.system,
        "stream": operation.stream,
        "partition": operation.partition,
        "state": _state(operation),
        "at": operation.at.isoformat(),
        "operator": operation.operator,
        "code": operation.code,
        "offset": operation.offset,
        "reason": operation.note,
    }


def who(by: str | None) -> str:
    """Who gives a command.

    Raises:
        ConfigurationError: The name is blank, too long, or no single line of text.
    """
    return _line("--by", operate.operator() if by is None else by, LONGEST_NAME)


def _line(option: str, text: str, longest: int) -> str:
    said = text.strip()
    if not said or len(said) > longest or not said.isprintable():
        raise ConfigurationError(f"{option} is one line of 1 to {longest} characters")
    return said


async def received_by(system: str) -> list[str]:
    """The streams that a system receives today.

    Raises:
        ConfigurationError: There is no such system.
    """
    settings = composition.settings()
    async with operate.editions(settings) as applied:
        return operate.received(settings, system, applied.newest)


def unrun(duty: operate.Duty) -> dict[str, Any]:
    """A system whose lanes nobody runs, for machines: in the place of all its streams."""
    nothing = dict.fromkeys(("stream", "partition", "at", "operator", "code", "offset"))
    state = "unhosted" if duty.unseen is None else "unseen"
    return {"system": duty.system, **nothing, "state": state, "reason": str(duty)}


async def _standing(system: str | None) -> tuple[list[Operation], list[operate.Duty]]:
    settings = composition.settings()
    async with operate.operations(settings) as operated:
        found = operated.standing(system)
    async with operate.editions(settings) as applied:
        if system is not None and not found:
            operate.received(settings, system, applied.newest)  # a slip of the pen is no answer
        expected = operate.expected_systems(settings, applied.newest)
    duties = await operate.hosted(settings, [s for s in expected if system in (None, s)])
    return found, [duty for duty in duties.values() if not duty.is_done]


async def _pause(
    system: str, stream: str | None, note: str, operator: str, *, dry: bool
) -> list[Operation]:
    settings = composition.settings()
    async with operate.operations(settings) as operated:
        wanted = [
            _word(system, name, OperationState.PAUSED, operator, note)
            for name in _streams(await received_by(system), system, stream)
            if operated.pause_of(system, name) is None
        ]
        if not dry:
            insist(wanted, "all of it is paused already", system=system, stream=stream)
            await operated.instruct(wanted)
    return wanted


async def _resume(
    system: str | None, stream: str | None, operator: str, *, dry: bool
) -> list[Operation]:
    settings = composition.settings()
    async with operate.operations(settings) as operated:
        if system is None:
            chosen = sorted({(o.system, o.stream) for o in operated.standing()})
        else:
            known = await _standing_or_received(operated, system)
            chosen = [(system, name) for name in _streams(known, system, stream)]
        wanted = [_word(*each, OperationState.RUNNING, operator) for each in chosen]
        if not dry:
            insist(wanted, "nothing is paused, and no lane has stopped")
            await operated.instruct(wanted)
    return wanted


async def _standing_or_received(operated: Operations, system: str) -> list[str]:
    """Also a stream whose grant has ended meanwhile can be taken off its pause."""
    standing = {operation.stream for operation in operated.standing(system)}
    try:
        return sorted(standing | {*await received_by(system)})
    except ConfigurationError:
        if not standing:
            raise
        return sorted(standing)


def _streams(known: Sequence[str], system: str, chosen: str | None) -> Sequence[str]:
    if chosen is None:
        return known
    if chosen not in known:
        raise UnknownName("the system does not receive this stream", system=system, stream=chosen)
    return [chosen]


def _word(
    system: str, stream: str, state: OperationState, operator: str, note: str | None = None
) -> Operation:
    return Operation(
        system=system,
        stream=stream,
        state=state,
        at=datetime.now(UTC),
        operator=operator,
        note=note,
    )


def _say(what: str, operations: Sequence[Operation], *, as_json: bool) -> None:
    if as_json:
        show_json([document(operation) for operation in operations])
        return
    streams = f"{len(operations)} stream{'' if len(operations) == 1 else 's'}"
    out().print(f"{what}: {streams}")
    for operation in operations:
        out().print(f"  {name_of(operation)}", markup=False)
