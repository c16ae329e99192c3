"""``renkei throughput``: what was applied in the last minutes, per system and stream."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.asking import ask
from bus.cli.output import Json, out, show_json
from bus.cli.times import site
from bus.cli.watching import watch as watch_it
from bus.operate import documents
from bus.operate import throughput as throughputs
from bus.operate.throughput import KEEP_MINUTES

BARS = "▁▂▃▄▅▆▇█"
WATCH_EVERY_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(throughput)


def throughput(
    last: Annotated[
        int, typer.Option(min=1, max=KEEP_MINUTES, help="How many minutes, up to the newest.")
    ] = 15,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show rows applied per minute, per system and stream, and the changes under way.

    Asks the monitor; where it does not run, reads the receipts in the log.
    """
    if not watch:
        said = ask(lambda session: throughputs.throughput(session, last))
        show_json(documents.throughput(said)) if as_json else out().print(drawn(said, last))
        return
    try:
        ask(
            lambda session: watch_it(
                lambda: throughputs.throughput(session, last),
                lambda said: _shown(said, last, as_json),
                every=WATCH_EVERY_S,
            )
        )
    except KeyboardInterrupt:
        sys.exit(130)


def _shown(said: Mapping[str, Any], last: int, as_json: bool) -> RenderableType:
    if as_json:
        return Text(json.dumps(documents.throughput(said), ensure_ascii=False))
    return drawn(said, last)


def drawn(said: Mapping[str, Any], last: int) -> RenderableType:
    """A line per system and stream: its minutes as bars, and the newest in figures."""
    found = throughputs.by_minute(said, last, site())
    if not found.minutes:
        return Text(f"nothing was applied lately {_source(said)}".rstrip())
    first, newest = found.minutes[0], found.minutes[-1]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("System", max_width=26, overflow="ellipsis", no_wrap=True)
    table.add_column("Stream", max_width=12, overflow="ellipsis", no_wrap=True)
    table.add_column(f"{first:%H:%M}–{newest:%H:%M} {newest.tzname()}", no_wrap=True)
    for name in ("Rows", "/min", "Behind"):
        table.add_column(name, justify="right", no_wrap=True)
    for lane in found.lanes:
        table.add_row(
            lane.system,
            lane.stream,
            bars(lane.rows),
            str(sum(lane.rows)),
            str(lane.rows[-1]),
            "–" if lane.behind is None else str(lane.behind),
        )
    return Group(table, Text(" ".join(filter(None, (_open(said), _source(said))))))


def bars(counts: Sequence[int]) -> str:
    """One character a minute, the highest full; a minute without rows is a dot."""
    most = max(counts, default=0)
    return "".join(
        "·" if not count else BARS[min((len(BARS) * count - 1) // most, len(BARS) - 1)]
        for count in counts
    )


def _open(said: Mapping[str, Any]) -> str:
    if said["open"] is None:
        return ""
    count = said["open"]["changes"]
    more = "at least " if said["open"]["is_at_least"] else ""
    return f"{more}{count} change{'' if count == 1 else 's'} under way"


def _source(said: Mapping[str, Any]) -> str:
    return "" if said["source"] == "monitor" else "(the monitor does not run; read from the log)"
