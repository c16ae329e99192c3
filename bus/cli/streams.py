"""``renkei streams``: what is published, item by item, by whom, and who receives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from bus.app import configured
from bus.cli import names
from bus.cli.output import Json, out, show_json
from bus.operate import contracts, documents

Name = Annotated[
    str, typer.Argument(parser=names.stream, help="A stream, as in `renkei streams list`.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What is published, and who receives it.")
    group.command("list")(list_all)
    group.command("show")(show)
    app.add_typer(group, name="streams")


def list_all(as_json: Json = False) -> None:
    """List the streams: their versions, who provides each, and how many systems receive it."""
    sources = contracts.sources(configured.settings())
    if as_json:
        show_json(documents.streams(sources))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Stream", overflow="fold", no_wrap=True)
    for heading in ("名称", "Version", "Items", "Receivers"):
        table.add_column(heading, overflow="fold")
    for stream in sources.catalog.streams.values():
        each = documents.stream(stream, sources)
        receivers = "the bus" if each["internal"] else str(len(each["receivers"]))
        newest = f"v{each['versions'][-1]['version']}"
        table.add_row(each["stream"], each["ja"], newest, str(len(each["items"])), receivers)
    out().print(table)


def show(stream: Name, as_json: Json = False) -> None:
    """Show STREAM: its versions, event types and items, who provides it and who receives it."""
    sources = contracts.sources(configured.settings())
    found = documents.stream(sources.catalog.stream(stream), sources)
    if as_json:
        show_json(found)
    else:
        _print(found)


def _print(found: Mapping[str, Any]) -> None:
    versions = ", ".join(f"v{v['version']} {v['fingerprint'][:12]}" for v in found["versions"])
    out().print(f"{found['stream']}  {found['ja']}  {found['en']}", markup=False)
    out().print(f"topic        {found['topic']}", markup=False)
    out().print(f"versions     {versions}", markup=False)
    if found["event_types"]:
        out().print(f"event types  {', '.join(found['event_types'])}", markup=False)
    if not found["internal"]:
        receivers = ", ".join(f"{r['system']} ({r['items']})" for r in found["receivers"])
        out().print(f"provided by  {', '.join(found['providers'])}", markup=False)
        out().print(f"received by  {receivers or 'nobody'}", markup=False)
    out().print()
    out().print(_items(found["items"]))


def _items(items: Sequence[Mapping[str, Any]]) -> Table:
    """The items; a column for ids only where one is known."""
    has_ids = any(item["item_id"] for item in items)
    table = Table(box=None, pad_edge=False)
    table.add_column("Item", overflow="fold", no_wrap=True)
    for heading in ("項目", "English", "Sensitivity", "Codes", *(["データ項目ID"] * has_ids)):
        table.add_column(heading, overflow="fold")
    for item in items:
        row = (item["item"], item["ja"], item["en"], item["sensitivity"], item["codes"] or "–")
        table.add_row(*row, *([item["item_id"] or "–"] * has_ids))
    return table
