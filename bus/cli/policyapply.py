"""``renkei subscriptions apply``: put subscriptions in force while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.asking import ask
from bus.cli.options import By, IsSure
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.cli.policydiff import words
from bus.errors import ConfigurationError
from bus.operate import deeds, documents
from bus.operate.actor import Actor
from bus.operate.applying import Apply, Plan, Planned, consequences, to_rebuild
from bus.operate.session import Session

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files, or folders of them; by default the installation's own."),
]


def apply(
    files: Files = None,
    yes: IsSure = False,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put subscriptions in force: every delivering process takes them up within about a second.

    Says first what each system gains and loses, what will be taken from what it holds, and what
    needs a rebuild. From then on what was applied holds, whatever the installation's files say.
    """
    if as_json and not (yes or dry_run):
        raise ConfigurationError("with --json nobody can be asked: add --yes or --dry-run")
    actor = Actor.of(by)
    ask(lambda session: _apply(session, files or [], yes or dry_run, actor, dry_run, as_json))


async def _apply(
    session: Session, paths: Sequence[Path], sure: bool, actor: Actor, dry: bool, as_json: bool
) -> None:
    action = Apply(paths)
    preview = await (action.plan(session) if dry else deeds.plan(session, action))
    found = preview.plan
    if not as_json:
        _print(found)
    if not sure and found.planned:
        await asyncio.to_thread(typer.confirm, "Put this in force?", abort=True, err=True)
    try:
        if not dry and found.planned:
            await deeds.perform(session, preview, actor, None)
    finally:
        _say(found, preview.applied, as_json=as_json, dry=dry)


def _print(found: Plan) -> None:
    for fault in found.warnings:
        err().print(f"warning: {fault}", markup=False)
    for difference in found.differences:
        for line in (*words(difference), *consequences(difference)):
            out().print(line, markup=False)
    for planned in found.planned:
        if not planned.differences:
            out().print(f"{planned.system} had no subscription; it grants nothing", markup=False)


def _say(found: Plan, applied: Sequence[Planned], *, as_json: bool, dry: bool) -> None:
    if as_json:
        show_json(documents.applied(found, applied, is_dry=dry))
        return
    if not found.planned:
        out().print("nothing changes")
    for each in applied:
        out().print(f"in force: {each.system}, edition {each.sequence}", markup=False)
    if dry and found.planned:
        out().print(f"would put in force: {', '.join(p.system for p in found.planned)}")
    for system, stream in to_rebuild(found) if applied else ():
        out().print(f"then: renkei rebuild {system} {stream}", markup=False)
