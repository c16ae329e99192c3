"""``renkei keys``: the keys that seal 個人番号, and those that prove receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bus.app import configured
from bus.cli import names
from bus.cli.asking import ask
from bus.cli.output import DryRun, Json, out, show_json
from bus.cli.times import shown
from bus.errors import SealBroken
from bus.operate import documents, keyrings, sealing
from bus.operate.keyrings import KeyKind
from bus.operate.sealing import SealKeyUse

File = Annotated[
    Path | None,
    typer.Option("--file", help="The file of keys; by default the one that the settings name."),
]


Of = Annotated[
    KeyKind,
    typer.Option("--of", help="Which keys: those of individual numbers, or those of receipts."),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        help="The keys that seal 個人番号, and those that prove receipts.",
    )
    group.command()(new)
    group.command("list")(list_all)
    group.command()(check)
    app.add_typer(group, name="keys")


def new(
    file: File = None,
    kind: Of = KeyKind.NUMBERS,
    key_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            parser=names.made,
            metavar="ID",
            help="Its id; by default the day and four digits.",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write a new key behind those of the file; from now on it is the one that is used.

    Processes notice by themselves. Where they have files of their own, give the new file to those
    that deliver first, and to those that publish last.
    """
    made = keyrings.made(configured.settings(), kind, file, key_id, is_dry=dry_run)
    key, path = made.key, made.file
    if as_json:
        show_json(documents.key_made(key, path, is_dry=dry_run))
    else:
        verb = "would be" if dry_run else "is"
        out().print(f"{key.id} {verb} {kind.does}, in {path}", markup=False)


def list_all(kind: Of = KeyKind.NUMBERS, as_json: Json = False) -> None:
    """List the keys by id, never themselves; the last one is the one that is used."""
    ring = asyncio.run(kind.keys(configured.settings()).ring())
    keys = ring.keys.values()
    if as_json:
        show_json(documents.keys(ring))
        return
    table = Table("Key", "Made", "", box=None, pad_edge=False)
    for key in keys:
        table.add_row(
            key.id, shown(key.made_at, "%Y-%m-%d"), "current" if key is ring.current else ""
        )
    out().print(table)


def check(as_json: Json = False) -> None:
    """Open everything sealed that the log holds, and count it by key.

    A key with no values, and not the current one, may be retired. Exit status 70 if something does
    not open.
    """
    found = ask(sealing.key_uses)
    if as_json:
        show_json(documents.listed(found.uses))
    else:
        _print(found.uses)
    if not found.all_open:
        raise typer.Exit(SealBroken.exit_status)


def _print(uses: Sequence[SealKeyUse]) -> None:
    table = Table("Stream", "Key", "Values", "Open", "", box=None, pad_edge=False)
    for use in uses:
        each = use.sealed
        if not use.opens:
            says = f"{each.code} first at {each.partition}/{each.offset}"
        elif use.is_current:
            says = "current"
        else:
            says = "may be retired" if use.may_be_retired else "needed"
        numbers = f"{each.values:,}", f"{each.opened:,}"
        table.add_row(each.stream, each.key or "(not sealed)", *numbers, says)
    out().print(table)
