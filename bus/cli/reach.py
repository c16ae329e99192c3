"""``renkei reach``: has a change arrived, where, and if not, why not."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.lanes import sentence
from bus.cli.output import Json, out, show_json
from bus.cli.times import duration, shown
from bus.cli.watching import watch
from bus.operate import documents
from bus.operate.reach import Reach, ReachAnswer, ReachPoll, ReachState, SystemReach
from bus.operate.running import Duty
from bus.operate.session import ANSWER_WITHIN, Session

ChangeId = Annotated[
    str,
    typer.Argument(parser=names.change, help="The change's id, as `renkei publish` prints it."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Show it again until all have applied it.")]
LOOK_EVERY = 0.5
INCOMPLETE = 3  # exit status: somebody does not have it (yet)
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

    The exit status is 0 if every entitled system has it, 3 if not, or if nobody looks at the store
    of one that had it, and 64 if nobody knows the change. With --watch it is waited for a minute
    until somebody does.
    """
    looked = ask(
        lambda session: _show(session, change_id, is_watching=is_watching, is_drawn=not as_json),
        ANSWER_WITHIN,
    )
    if as_json:
        show_json(documents.shown(looked))
    looked.insist_on_known(change_id)
    if not looked.is_all_clear:
        raise typer.Exit(INCOMPLETE)


async def _show(
    session: Session, change_id: str, *, is_watching: bool, is_drawn: bool
) -> ReachAnswer:
    looking = ReachPoll(session, change_id)
    if is_watching and is_drawn:
        return await watch(looking.look, draw, every=LOOK_EVERY, is_done=looking.is_done)
    looked = await looking.look()
    while is_watching and not looking.is_done(looked):
        await asyncio.sleep(LOOK_EVERY)
        looked = await looking.look()
    if is_drawn:
        out().print(draw(looked))
    return looked


def draw(looked: ReachAnswer) -> RenderableType:
    """A table of the systems under a line that sums it up; fits 80 columns."""
    reach, unrun = looked.reach, looked.unrun
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
    if looked.starved is not None:
        lines.append(Text(f"what is said here may be old: {looked.starved}", style="bold red"))
    return Group(*lines)


def summary(reach: Reach) -> str:
    """``16 of 16 applied``, or what is known so far."""
    if reach.size is None:
        return "the ledger has no event of this change (yet)"
    events = "" if reach.is_whole else f"; {reach.events} of {reach.size} events in the ledger"
    return f"{reach.applied} of {reach.expected} applied{events}"


def _why(system: SystemReach, unrun: Duty | None) -> str:
    match system.state:
        case state if state.has_it and unrun is not None:
            who = (
                "nobody can say who delivers to it" if unrun.unseen else "nobody delivers to it now"
            )
            return f"{who}; last heard of {_since(system)}"
        case state if state.has_it and system.stands is not None:
            return f"not looked at: {sentence(system.stands)}"
        case ReachState.WAITING if unrun is not None:
            return "nobody can say who delivers to it" if unrun.unseen else "nobody delivers to it"
        case ReachState.PARKED:
            return f"{system.code}; see: renkei parked list"
        case ReachState.PAUSED if (pause := system.operation) is not None:
            return sentence(pause)
        case ReachState.GONE_BACK if (word := system.operation) is not None:
            return sentence(word)
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


def _since(system: SystemReach) -> str:
    return "some time ago" if system.applied_at is None else f"at {shown(system.applied_at)}"


def _only_a_group() -> None:
    """Where a change has arrived."""
