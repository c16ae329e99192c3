"""``renkei owed``: what has to be taken out of stores by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.cli.asking import ask
from bus.cli.options import By, OnlySystem, Reason, order_of
from bus.cli.output import DryRun, Json, out, show_json
from bus.cli.times import shown
from bus.observe.moments import TO_THE_SECOND
from bus.operate import deeds, documents
from bus.operate import owed as owing


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        no_args_is_help=True, help="What has to be taken out of stores by hand, until it is done."
    )
    group.command("list")(list_all)
    group.command()(settle)
    app.add_typer(group, name="owed")


def list_all(system: OnlySystem = None, as_json: Json = False) -> None:
    """List what a system lost that its store cannot give up by itself, until it is settled.

    Nothing more of it is delivered; what is there somebody has to take out.
    """
    found = ask(lambda session: owing.owed(session, system))
    if as_json:
        show_json(documents.listed(found))
        return
    if not found:
        out().print("nothing is owed")
    for each in found:
        since = shown(each.since, TO_THE_SECOND)
        out().print(
            f"{each.number}  {each.system}/{each.stream}  since {since}: {_what(each.lost)}",
            markup=False,
            soft_wrap=True,
        )


def settle(
    number: Annotated[
        int, typer.Argument(min=1, max=2**63 - 1, help="Its number, as `owed list` shows it.")
    ],
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Say that it was taken out of the store."""
    order = order_of(by, reason)

    action = owing.Settle(number)
    found = ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry_run))
    if as_json:
        show_json(documents.settled(found, is_dry=dry_run))
        return
    verb = "would settle" if dry_run else "settled"
    out().print(
        f"{verb} {found.number}: {found.system}/{found.stream}, {_what(found.lost)}",
        markup=False,
        soft_wrap=True,
    )


def _what(lost: Any) -> str:
    """What has to be removed, in words."""
    if lost.everything:
        return "everything that is there"
    parts = []
    if lost.columns:
        parts.append(f"items {', '.join(lost.columns)}")
    if lost.event_types:
        parts.append(f"rows of {', '.join(sorted(lost.event_types))}")
    return "; ".join(parts)
