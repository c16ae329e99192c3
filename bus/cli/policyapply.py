"""``renkei subscriptions apply``: put subscriptions in force while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.asking import ask, confirmed
from bus.cli.options import By, IsSure, WhyDone, insist_on_an_answer, order_of
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.cli.policydiff import words
from bus.errors import BusError
from bus.operate import deeds, documents
from bus.operate.applying import Apply, ApplyPlan, ApplyPreview, consequences, to_rebuild
from bus.operate.deeds import Order
from bus.operate.session import Session

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files, or folders of them; by default the installation's own."),
]


def apply(
    files: Files = None,
    yes: IsSure = False,
    reason: WhyDone = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put subscriptions in force: every delivering process takes them up within about a second.

    Says first what each system gains and loses, what will be taken from what it holds, and what
    needs a rebuild. From then on what was applied holds, whatever the installation's files say.
    """
    insist_on_an_answer(as_json=as_json, dry_run=dry_run, is_sure=yes)
    order = order_of(by, reason)
    wanted = partial(confirmed, "Put this in force?", abort=True)
    consent = deeds.Consent(is_dry=dry_run, is_sure=yes, ask=wanted)
    ask(lambda session: _apply(session, files or [], order, consent, as_json=as_json))


async def _apply(
    session: Session, paths: Sequence[Path], order: Order, consent: deeds.Consent, *, as_json: bool
) -> None:
    preview = await deeds.plan(session, Apply(paths), is_dry=consent.is_dry)

    def show() -> None:
        if not as_json:
            _print(preview.plan)

    try:
        await deeds.with_consent(session, preview, order, consent, show)
    except (BusError, asyncio.CancelledError):
        _say(preview, is_dry=consent.is_dry, as_json=as_json)  # some may be in force by now
        raise
    _say(preview, is_dry=consent.is_dry, as_json=as_json)


def _print(found: ApplyPlan) -> None:
    for fault in found.warnings:
        err().print(f"warning: {fault}", markup=False)
    for difference in found.differences:
        for line in (*words(difference), *consequences(difference)):
            out().print(line, markup=False)
    for planned in found.planned:
        if not planned.differences:
            out().print(f"{planned.system} had no subscription; it grants nothing", markup=False)


def _say(preview: ApplyPreview, *, is_dry: bool, as_json: bool) -> None:
    found, applied = preview.plan, preview.applied
    if as_json:
        show_json(documents.applied(found, applied, is_dry=is_dry))
        return
    if not found.planned:
        out().print("nothing changes")
    for each in applied:
        out().print(f"in force: {each.system}, edition {each.sequence}", markup=False)
    if is_dry and found.planned:
        out().print(f"would put in force: {', '.join(p.system for p in found.planned)}")
    for system, stream in to_rebuild(found) if applied else ():
        out().print(f"then: renkei rebuild {system} {stream}", markup=False)
