"""``renkei status``: how each system stands with each stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus import app as composition
from bus import operate
from bus.cli.lanes import brief, document
from bus.cli.output import Json, out, show_json
from bus.cli.reach import duration
from bus.cli.watching import watch
from bus.deliver.overdue import overdue_after
from bus.ledger.standing import Standing

Watch = Annotated[bool, typer.Option("--watch", help="Show it again every two seconds.")]
LOOK_EVERY = 2.0
Looked = tuple[list[Standing], list[operate.Duty]]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(is_watching: Watch = False, as_json: Json = False) -> None:
    """Show systems x streams: lag in events and time, rate, what is set aside, last applied.

    Lag counts from where the system's consumer group is to the end of the log; the age is that
    of the oldest event not yet applied. Under it: who should run, and does not.
    """
    asyncio.run(_status(is_watching=is_watching, as_json=as_json))


async def _status(*, is_watching: bool, as_json: bool) -> None:
    settings = composition.settings()
    async with composition.broker(settings) as broker, composition.ledger(settings) as ledger:

        async def look() -> Looked:
            found = await operate.standings(settings, broker, ledger)
            systems = operate.expected_systems(settings, await ledger.editions())
            return found, await operate.duties(settings, systems, broker)

        if is_watching and not as_json:
            await watch(look, partial(_draw, limit=overdue_after(settings)), every=LOOK_EVERY)
            return
        found, duties = await look()
    if as_json:
        unhosted = {d.system for d in duties if d.command == operate.DELIVER and not d.is_done}
        show_json(
            [
                as_document(one, overdue_after(settings)) | {"hosted": one.system not in unhosted}
                for one in found
            ]
        )
    else:
        out().print(_draw((found, duties), limit=overdue_after(settings)))


def _draw(looked: Looked, *, limit: timedelta) -> RenderableType:
    """How everybody stands, and under it who should run and does not."""
    found, duties = looked
    wrong = [Text(str(duty), style="bold red") for duty in duties if not duty.is_done]
    return Group(draw(found, limit=limit), *wrong)


def draw(found: list[Standing], *, limit: timedelta) -> RenderableType:
    """One line for each system and stream, and one for each word about it; fits 80 columns."""
    table = Table(
        "System", "Stream", "Lag", "Age", "Rows/s", "Parked", "Applied", box=None, pad_edge=False
    )
    for column in table.columns[2:]:
        column.justify = "right"
    now = datetime.now(UTC)
    shown = None
    for one in found:
        is_well = not one.lag_events and not one.parked and not one.operations
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
            style=None if is_well else "yellow",
        )
        shown = one.system
    words = [Text(word) for one in found for word in _words(one, limit)]
    return Group(table, *words) if words else table


def _words(one: Standing, limit: timedelta) -> Iterator[str]:
    """What stands, and what has been set aside for too long."""
    for operation in one.operations:
        yield brief(operation)
    if _is_overdue(one, limit) and one.parked_for is not None:
        yield (
            f"{one.system}/{one.stream} set aside for {duration(one.parked_for)}, which is too"
            " long; see: renkei parked list"
        )


def _is_overdue(one: Standing, limit: timedelta) -> bool:
    return one.parked_for is not None and one.parked_for >= limit


def as_document(standing: Standing, limit: timedelta) -> dict[str, Any]:
    """The same for machines."""
    last = standing.last_applied_at
    return {
        "system": standing.system,
        "stream": standing.stream,
        "lag_events": standing.lag_events,
        "lag_seconds": standing.lag.total_seconds() if standing.lag is not None else None,
        "rows_per_s": standing.rows_per_s,
        "parked": standing.parked,
        "parked_seconds": standing.parked_for.total_seconds() if standing.parked_for else None,
        "overdue": _is_overdue(standing, limit),
        "last_applied_at": last.isoformat() if last is not None else None,
        "operations": [document(operation) for operation in standing.operations],
    }
