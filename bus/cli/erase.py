"""``renkei erase``: a person leaves every store, and what cannot be reached is said by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import typer

from bus.cli.asking import ask, confirmed
from bus.cli.options import By, IsSure, Person, Reason, insist_on_an_answer, order_of
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.cli.times import duration, shown
from bus.model.erasure import Erasure
from bus.operate import deeds, documents
from bus.operate.deeds import Order
from bus.operate.erasing import Erase, ErasurePlan, insist_on_change, not_reached
from bus.operate.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)


def erase(
    subject: Person,
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    is_sure: IsSure = False,
    as_json: Json = False,
) -> None:
    """Erase SUBJECT: a null value in every stream of persons; each system's lane takes its row out.

    Nothing brings it back. That it was done stays known, without the number; what the bus cannot
    reach is said by name. A subject under protection is refused.
    """
    order = order_of(by, reason)
    insist_on_an_answer(as_json=as_json, dry_run=dry_run, is_sure=is_sure)
    consent = deeds.Consent(is_dry=dry_run, is_sure=is_sure, ask=partial(confirmed, "Erase it?"))
    plan, erased = ask(lambda session: _erase(session, subject, order, consent))
    if as_json:
        show_json(documents.erasure(plan, erased))
    elif plan.is_done and plan.before is not None:
        out().print(f"erased already, on {shown(plan.before.at)}")
    elif erased is not None:
        out().print(f"erased: a null value in {len(erased.streams)} streams")
    else:
        out().print("nothing was erased")
    if not dry_run:
        insist_on_change(plan, erased)


async def _erase(
    session: Session, subject: str, order: Order, consent: deeds.Consent
) -> tuple[ErasurePlan, Erasure | None]:
    preview = await deeds.plan(session, Erase(subject))

    def show() -> None:
        if not preview.plan.is_done:
            _say(preview.plan, duration(session.settings.compaction_lag), err().print)

    return preview.plan, await deeds.with_consent(session, preview, order, consent, show)


def _say(plan: ErasurePlan, lag: str, say: Callable[..., None]) -> None:
    names = sorted({stream.name for stream, _ in plan.keys})
    known = sum(plan.known.values())
    say(f"a null value goes into {len(names)} streams; the ledger knows {known:,} events of it")
    for (system, stream), count in plan.set_aside.items():
        say(f"  set aside, and settled by it: {count} in {system}/{stream}", markup=False)
    for operation in plan.standing:
        say(f"  stands, and erases when it goes on: {operation.name}", markup=False)
    say("not reached:")
    for what, whose in not_reached(plan):
        say(f"  {what}: {', '.join(whose)}", markup=False, soft_wrap=True)
    say(f"  (the log keeps what it has for {lag} at least)")
