"""``renkei systems``: who receives what, and who provides it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from bus.app import configured
from bus.cli import names
from bus.cli.output import Json, err, out, show_json
from bus.model import SystemKind
from bus.operate import contracts, documents
from bus.operate.contracts import StoreShown

Name = Annotated[
    str, typer.Argument(parser=names.system, help="A system, as in `renkei systems list`.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Who receives what, and who provides it.")
    group.command("list")(list_all)
    group.command("show")(show)
    app.add_typer(group, name="systems")


def list_all(as_json: Json = False) -> None:
    """List the systems, and how many streams each receives and provides."""
    sources = contracts.sources(configured.settings())
    found = documents.systems(sources)
    if as_json:
        show_json(found)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("System", overflow="fold", no_wrap=True)
    for heading in ("業務", "Kind", "Receives", "Provides"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(
            each["system"],
            each["ja"],
            each["kind"].partition("_")[0],
            str(len(each["receives"]) or "–"),
            str(len(each["provides"]) or "–"),
        )
    out().print(table)
    err().print(f"{contracts.counted(sources)}; the ledger, which receives all, is none of them")


def show(system: Name, as_json: Json = False) -> None:
    """Show SYSTEM: whose it is, what it provides, what it receives for which purpose, and what its
    store can do, on which promises hang (docs/delivery.md)."""
    settings = configured.settings()
    sources = contracts.sources(settings)
    if system not in sources.systems:
        raise names.unknown("system", system, sources.systems)
    store = contracts.store(settings, system)
    found = documents.system(sources.systems[system], sources, store)
    if as_json:
        show_json(found)
    else:
        _print(found, store)


def _promises(store: StoreShown) -> str:
    if store.can is None:
        return "cannot be used as it is configured"
    lacks = store.lacks
    return f"lacks {', '.join(lacks)}: see docs/delivery.md" if lacks else "keeps every promise"


def _print(found: dict[str, Any], store: StoreShown | None) -> None:
    console = out()
    head = Table(box=None, show_header=False, pad_edge=False)
    head.add_row("System", f"{found['system']}  {found['ja']}  {found['en']}")
    head.add_row("Kind", str(contracts.KINDS[SystemKind(found["kind"])]))
    head.add_row("Ministry", found["ministry"] or "–")
    head.add_row("Organ", found["separate_organ"] or "of the mayor's own")
    head.add_row("Provides", ", ".join(found["provides"]) or "nothing")
    if store is not None:
        head.add_row("Store", f"{store.connector}: {_promises(store)}")
    if not found["receives"]:
        head.add_row("Receives", "nothing")
    console.print(head)
    if not found["receives"]:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("Receives", "Items", "If protected", "Until"):
        table.add_column(heading, overflow="fold")
    table.add_column("目的", overflow="fold")
    for each in found["receives"]:
        items = f"{each['items']} of {each['of']}"
        until = str(each["expires_on"])
        table.add_row(each["stream"], items, each["suppression"], until, each["purpose"])
    console.print()
    console.print(table)
