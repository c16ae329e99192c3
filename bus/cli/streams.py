"""``renkei streams``: what is published, item by item, and who receives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus.catalog import Catalog
from bus.cli.output import Json, out, show_json
from bus.model import Stream
from bus.policy import Subscription, load_subscriptions

Name = Annotated[str, typer.Argument(help="A stream, as in `renkei streams list`.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What is published, and who receives it.")
    group.command("list")(list_all)
    group.command("show")(show)
    app.add_typer(group, name="streams")


def list_all(as_json: Json = False) -> None:
    """List the streams, with their versions and how many systems receive each."""
    catalog, subscriptions = _read()
    found = [describe(stream, subscriptions) for stream in catalog.streams.values()]
    if as_json:
        left_out = ("items", "event_types")
        show_json([{k: v for k, v in each.items() if k not in left_out} for each in found])
        return
    table = Table("Stream", "名称", "Version", "Items", "Received by", box=None, pad_edge=False)
    for each in found:
        receivers = "the bus itself" if each["internal"] else f"{len(each['receivers'])} systems"
        newest = f"v{each['versions'][-1]['version']}"
        table.add_row(each["stream"], each["ja"], newest, str(len(each["items"])), receivers)
    out().print(table)


def show(stream: Name, as_json: Json = False) -> None:
    """Show STREAM: its versions, event types and items, and who receives it."""
    catalog, subscriptions = _read()
    found = describe(catalog.stream(stream), subscriptions)
    if as_json:
        show_json(found)
    else:
        _print(found)


def describe(stream: Stream, subscriptions: Mapping[str, Subscription]) -> dict[str, Any]:
    """A stream in plain values: versions ascending, items in the order of the newest version."""
    return {
        "stream": stream.name,
        "ja": stream.ja,
        "topic": stream.topic,
        "internal": stream.is_internal,
        "versions": [
            {"version": each.version, "fingerprint": each.fingerprint} for each in stream.versions
        ],
        "event_types": list(stream.event_types),
        "items": [
            {
                "item": item.path,
                "ja": item.ja,
                "romaji": item.romaji,
                "item_id": item.item_id,
                "sensitivity": item.sensitivity.value,
                "codes": item.properties.get("x-codes"),
            }
            for item in stream.items
        ],
        "receivers": sorted(
            system for system, each in subscriptions.items() if stream.name in each.streams
        ),
    }


def _read() -> tuple[Catalog, Mapping[str, Subscription]]:
    catalog = composition.catalog(composition.settings())
    return catalog, load_subscriptions(catalog)


def _print(found: Mapping[str, Any]) -> None:
    versions = ", ".join(f"v{v['version']} {v['fingerprint'][:12]}" for v in found["versions"])
    out().print(f"{found['stream']}  {found['ja']}", markup=False)
    out().print(f"topic        {found['topic']}", markup=False)
    out().print(f"versions     {versions}", markup=False)
    if found["event_types"]:
        out().print(f"event types  {', '.join(found['event_types'])}", markup=False)
    if not found["internal"]:
        out().print(f"received by  {', '.join(found['receivers']) or 'nobody'}", markup=False)
    out().print()
    table = Table("Item", "項目", "Sensitivity", "データ項目ID", "Codes", box=None, pad_edge=False)
    for item in found["items"]:
        table.add_row(
            item["item"],
            item["ja"],
            item["sensitivity"],
            item["item_id"] or "–",
            item["codes"] or "–",
        )
    out().print(table)
