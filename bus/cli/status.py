"""``renkei status``: how each system stands with each stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.asking import ask
from bus.cli.lanes import brief
from bus.cli.output import Json, out, show_json
from bus.cli.times import duration
from bus.cli.watching import watch
from bus.operate import documents, questions
from bus.operate.questions import Overview, StreamStatus
from bus.operate.session import Session

Watch = Annotated[bool, typer.Option("--watch", help="Show it again every two seconds.")]
LOOK_EVERY = 2.0


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(is_watching: Watch = False, as_json: Json = False) -> None:
    """Show systems x streams: lag in events and time, rate, what is set aside, last applied.

    Lag counts from where the system's consumer group is to the end of the log; the age is that
    of the oldest event not yet applied. Under it: who should run, and does not.
    """
    ask(lambda session: _status(session, is_watching=is_watching, as_json=as_json))


async def _status(session: Session, *, is_watching: bool, as_json: bool) -> None:
    if is_watching and not as_json:
        await watch(partial(questions.status, session), _draw, every=LOOK_EVERY)
        return
    found = await questions.status(session)
    if as_json:
        show_json(documents.status(found))
    else:
        out().print(_draw(found))


def _draw(looked: Overview) -> RenderableType:
    """The table of systems and streams, and below it the processes that are missing."""
    wrong = [Text(str(duty), style="bold red") for duty in looked.undone]
    return Group(draw(looked.standings, limit=looked.limit), *wrong)


def draw(found: Sequence[StreamStatus], *, limit: timedelta) -> RenderableType:
    """One line for each system and stream, and one for each word about it; fits 80 columns."""
    table = Table(
        "System", "Stream", "Lag", "Age", "Rows/s", "Parked", "Applied", box=None, pad_edge=False
    )
    for column in table.columns[2:]:
        column.justify = "right"
    now = datetime.now(UTC)
    shown = None
    for one in found:
        table.add_row(
            "" if one.system == shown else one.system,
            one.stream,
            f"{one.lag_events:,}",
            "" if one.lag is None else duration(one.lag),
            f"{one.rows_per_s:,.1f}" if one.rows_per_s else "",
            str(one.parked or ""),
            "never"
            if one.last_applied_at is None
            else f"{duration(now - one.last_applied_at)} ago",
            style=None if questions.is_well(one) else "yellow",
        )
        shown = one.system
    words = [Text(word) for one in found for word in _words(one, limit)]
    return Group(table, *words) if words else table


def _words(one: StreamStatus, limit: timedelta) -> Iterator[str]:
    """Pauses, stops and overdue events, in words."""
    for operation in one.operations:
        yield brief(operation)
    if one.parked_for is not None and questions.is_overdue(one, limit):
        yield (
            f"{one.system}/{one.stream} set aside for {duration(one.parked_for)}, which is too"
            " long; see: renkei parked list"
        )
