"""``renkei reach``: has a change arrived, where, and if not, why not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus import app as composition
from bus import operate
from bus.cli import names
from bus.cli.lanes import document, told
from bus.cli.output import Json, out, show_json
from bus.cli.watching import watch
from bus.errors import UnknownName
from bus.ledger import Reach, ReachState, SystemReach
from bus.policy import LEDGER

ChangeId = Annotated[
    str,
    typer.Argument(parser=names.change, help="The change's id, as `renkei publish` prints it."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Show it again until all have applied it.")]
LOOK_EVERY = 0.5
HOSTS_EVERY = 3.0  # seconds between two looks at who delivers
UNKNOWN_FOR = 60.0  # seconds that a change may be on its way before anybody knows of it
INCOMPLETE = 3  # exit status: somebody does not have it (yet)
Unrun = Mapping[str, operate.Duty]
Looked = tuple[Reach, Unrun]
_STYLES = {
    ReachState.APPLIED: "green",
    ReachState.SUPERSEDED: "green",
    ReachState.WAITING: "yellow",
    ReachState.PAUSED: "yellow",
    ReachState.STOPPED: "bold red",
    ReachState.GONE_BACK: "bold red",
    ReachState.NOT_ENTITLED: "dim",
}


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Where a change has arrived.")
    group.command("show")(show)
    group.callback()(_only_a_group)
    app.add_typer(group, name="reach")


def show(change_id: ChangeId, is_watching: Watch = False, as_json: Json = False) -> None:
    """Show which systems have applied a change, after how long, and who has not and why.

    The exit status is 0 if every entitled system has it, 3 if not, and 64 if nobody knows the
    change. With --watch it is waited for a minute until somebody does.
    """
    reach, unrun = asyncio.run(_show(change_id, is_watching=is_watching, is_drawn=not as_json))
    if as_json:
        show_json(as_document(reach, unrun))
    if reach.size is None:
        raise UnknownName(
            "the ledger has no event of this change: there is none, or it is not published yet",
            change_id=change_id,
        )
    if not reach.is_complete:
        raise typer.Exit(INCOMPLETE)


async def _show(change_id: str, *, is_watching: bool, is_drawn: bool) -> Looked:
    settings = composition.settings()
    async with composition.ledger(settings) as ledger:
        granted = await operate.entitled(settings, ledger)
        systems = operate.expected_systems(settings, await ledger.editions())
        times = operate.LogTimes(settings)
        unrun: Unrun = {}
        looked_at = -HOSTS_EVERY

        async def look() -> Looked:
            nonlocal unrun, looked_at
            reach, now = await ledger.reach(change_id, granted), monotonic()
            reach = await times.told(reach)
            if not reach.is_complete and now - looked_at >= HOSTS_EVERY:
                hosted = await operate.hosted(settings, systems)
                unrun = {name: duty for name, duty in hosted.items() if not duty.is_done}
                looked_at = now
            return reach, unrun

        until = monotonic() + UNKNOWN_FOR

        def is_done(reach: Reach) -> bool:
            return reach.is_complete or (reach.size is None and monotonic() > until)

        if is_watching and is_drawn:
            return await watch(
                look, lambda looked: draw(*looked), every=LOOK_EVERY,
                is_done=lambda looked: is_done(looked[0]),
            )  # fmt: skip
        looked = await look()
        while is_watching and not is_done(looked[0]):
            await asyncio.sleep(LOOK_EVERY)
            looked = await look()
    if is_drawn:
        out().print(draw(*looked))
    return looked


def draw(reach: Reach, unrun: Unrun = MappingProxyType({})) -> RenderableType:
    """A table of the systems under a line that sums it up; fits 80 columns.

    Args:
        unrun: Systems that nobody delivers to now, or of which nobody can say.
    """
    table = Table("System", "State", "Took", "Why", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for system in reach.systems:
        took = "" if system.took is None else duration(system.took)
        table.add_row(
            system.system,
            system.state.value,
            took,
            Text(_why(system, unrun.get(system.system))),  # somebody's own words: no markup
            style=_STYLES.get(system.state),
        )
    lines: list[RenderableType] = [summary(reach), table]
    if not reach.is_complete and (feeding := unrun.get(LEDGER)) is not None:
        lines.append(Text(f"what is said here may be old: {feeding}", style="bold red"))
    return Group(*lines)


def summary(reach: Reach) -> str:
    """``16 of 16 applied``, or what is known so far."""
    if reach.size is None:
        return "the ledger has no event of this change (yet)"
    events = "" if reach.is_whole else f"; {reach.events} of {reach.size} events in the ledger"
    return f"{reach.applied} of {reach.expected} applied{events}"


def duration(took: timedelta) -> str:
    """``84 ms``, ``2.1 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = took.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, size, limit in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 86_400)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if unit == "s" else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def as_document(reach: Reach, unrun: Unrun = MappingProxyType({})) -> dict[str, Any]:
    """The same for machines."""
    return {
        "change_id": reach.change_id,
        "events": reach.events,
        "size": reach.size,
        "expected": reach.expected,
        "applied": reach.applied,
        "complete": reach.is_complete,
        "systems": [
            {
                "system": system.system,
                "state": system.state.value,
                "applied_at": system.applied_at.isoformat() if system.applied_at else None,
                "took_ms": round(system.took.total_seconds() * 1000, 3) if system.took else None,
                "code": system.code,
                "events_behind": system.events_behind,
                "operation": None if system.operation is None else document(system.operation),
                "hosted": _is_hosted(unrun.get(system.system)),
            }
            for system in reach.systems
        ],
    }


def _is_hosted(unrun: operate.Duty | None) -> bool | None:
    """Whether somebody delivers to it; None: nobody can say."""
    return True if unrun is None else None if unrun.unseen is not None else False


def _why(system: SystemReach, unrun: operate.Duty | None) -> str:
    match system.state:
        case ReachState.WAITING if unrun is not None:
            return "nobody can say who delivers to it" if unrun.unseen else "nobody delivers to it"
        case ReachState.PARKED:
            return f"{system.code}; see: renkei parked list"
        case ReachState.PAUSED if (pause := system.operation) is not None:
            return told(pause)
        case ReachState.GONE_BACK if (word := system.operation) is not None:
            return told(word)
        case ReachState.STOPPED if system.operation is not None:
            return f"{system.code}; see: renkei lanes show"
        case ReachState.WAITING if system.events_behind is not None:
            return f"{system.events_behind:,} events before it"
        case ReachState.WAITING if system.code is not None:
            return "waits behind a parked event"
        case ReachState.DISMISSED:
            return f"{system.code}; closed by an operator"
        case ReachState.MISSED:
            return "its view left the event out"
        case ReachState.SUPERSEDED:
            return "it has a later version"
        case _:
            return ""


def _only_a_group() -> None:
    """Where a change has arrived."""
