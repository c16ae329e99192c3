"""Draw the demo's screens with rich, from plain values; nothing here reads a store.

Everything fits 80 columns; meaning never hangs on colour alone (``●`` applied, ``○`` not yet).
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus.demo.result import Arrival, ChangeShown, DemoResult, FirstLoad, SideBySide

WIDTH = 80


def lights(arrivals: Sequence[Arrival]) -> Table:
    """The systems in two columns, each with a light and its time."""
    table = Table.grid(padding=(0, 1))
    for _ in range(2):
        table.add_column(width=1)
        table.add_column(width=26, no_wrap=True)
        table.add_column(width=9, justify="right", no_wrap=True)
    half = (len(arrivals) + 1) // 2
    for row in range(half):
        cells: list[RenderableType] = []
        for arrival in (arrivals[row : row + 1], arrivals[row + half : row + half + 1]):
            cells += _light(arrival[0]) if arrival else ["", "", ""]
        table.add_row(*cells)
    return table


def _light(arrival: Arrival) -> list[RenderableType]:
    mark = Text("●", style="green") if arrival.applied else Text("○", style="dim")
    took = "" if arrival.after_ms is None else f"{arrival.after_ms:,.0f} ms"
    return [mark, arrival.system, took]


def change_title(number: int, count: int, ja: str, what: str, source: str, events: int) -> Text:
    """``12/28 出生 a child is born``, and below it ``2 events from resident_registry``."""
    plural = "event" if events == 1 else "events"
    text = Text()
    text.append(f"{number}/{count} ", style="bold")
    text.append(f"{ja} ", style="bold cyan")
    text.append(f"{what}\n")
    text.append(f"{events} {plural} from {source}", style="dim")
    return text


def change_end(change: ChangeShown) -> Text:
    """``17 of 17 applied, the last after 84 ms; the ledger says 17``."""
    whole = change.applied == change.expected
    text = Text()
    text.append(
        f"{change.applied} of {change.expected} applied",
        style="bold green" if whole else "bold red",
    )
    if change.slowest_ms is not None:
        text.append(f", the last after {change.slowest_ms:,.0f} ms")
    text.append(f"; the ledger says {change.ledger_applied}")
    return text


def side_by_side(compared: SideBySide) -> Table:
    """The same subject's row in two systems, side by side."""
    table = Table(width=WIDTH, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("item", width=16, no_wrap=True)
    table.add_column(compared.left, ratio=1)
    table.add_column(compared.right, ratio=1)
    for row in compared.rows:
        table.add_row(f"{row.ja}", _shown(row.left), _shown(row.right))
    return table


def _shown(value: str | None) -> Text:
    return Text("— withheld", style="yellow") if value is None else Text(value)


def load_line(load: FirstLoad, population: int) -> Text:
    """The first load, in two lines."""
    text = Text()
    text.append(f"{population:,} residents", style="bold")
    text.append(
        f": {load.events:,} events in, {load.deliveries:,} rows in {load.databases} databases\n"
    )
    rate = load.deliveries / max(load.seconds, 1e-9)
    text.append(f"first load in {load.seconds:,.1f} s, {rate:,.0f} rows/s")
    return text


def summary(result: DemoResult) -> Group:
    """The last screen: the load, each change in one line, and where to look next."""
    head = Text("Renkei 連携\n", style="bold cyan")
    table = Table(width=WIDTH, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("change", ratio=1, no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("applied", justify="right", no_wrap=True)
    table.add_column("ledger", justify="right", no_wrap=True)
    table.add_column("slowest", justify="right", no_wrap=True)
    for change in result.changes:
        whole = change.applied == change.expected
        table.add_row(
            change.ja,
            change.source,
            Text(f"{change.applied} of {change.expected}", style="green" if whole else "red"),
            str(change.ledger_applied),
            "—" if change.slowest_ms is None else f"{change.slowest_ms:,.0f} ms",
        )
    steps = Text("\nWhere to look next\n", style="bold")
    for what, command in result.next_steps.items():
        steps.append(f"  {what}\n", style="not bold dim")
        steps.append(f"    {command}\n", style="not bold")
    return Group(
        head,
        load_line(result.first_load, result.population),
        Text(),
        table,
        Text(),
        both_ways(result),
        steps,
    )


def both_ways(result: DemoResult) -> Text:
    """How many systems received and how many published, by their own databases."""
    received = [each.is_neighbour for each in result.received if each.rows]
    provided = [each.is_neighbour for each in result.provided if each.is_proved]
    lines = []
    for neighbours, what in (
        (received, "received rows into their own databases"),
        (provided, "published from their own outboxes, and it arrived"),
    ):
        count = len(neighbours) - sum(neighbours)
        line = Text(f"{count} systems", style="bold")
        line.append(f" and {sum(neighbours)} neighbours {what}", style="not bold")
        lines.append(line)
    return Text("\n").join(lines)
