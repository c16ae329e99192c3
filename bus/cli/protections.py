"""``renkei protections``: who is under protection (支援措置) by which cases, and lists of ends."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from bus.cli import names
from bus.cli.asking import ask, confirmed
from bus.cli.options import By, IsSure, Reason, insist_on_an_answer, order_of
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.errors import BusError, ChangeRefused
from bus.operate import deeds, documents, protections
from bus.operate.deeds import Order
from bus.operate.protections import CasesEnded, EndsPlan
from bus.operate.session import Session

SHOWN = 20
"""Refused entries that are shown; the JSON document has all."""


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Who is under protection, case by case.")
    group.command("list")(list_open)
    group.command()(show)
    group.command()(end)
    app.add_typer(group, name="protections")


def list_open(
    reason: Reason,
    by: By = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Also those whose last case has ended.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List everybody who has an open case: the day it began and its state."""
    order = order_of(by, reason)
    found = ask(lambda session: protections.everybody(session, order, is_all=is_all))
    if as_json:
        show_json(documents.listed(found))
        return
    table = Table("Subject", "Began", "State", "Names", box=None, pad_edge=False)
    for each in found:
        for case in protections.by_day(each.standing, is_all=is_all):
            named = str(len(case.shared_with))
            table.add_row(each.key, str(case.started_on), case.status.lower(), named)
    out().print(table if found else "nobody is under protection, as far as the log says")


def show(
    subject: Annotated[
        str, typer.Argument(parser=names.subject, help="<municipality>/<宛名番号>.")
    ],
    reason: Reason,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Show the cases of SUBJECT, whom they cover, each with why, and who else has the address.

    Whoever has the same address in a record of their own and is not covered is listed for the
    privacy officer to decide: who belongs to the person is named in the protection.
    """
    order = order_of(by, reason)
    found = ask(lambda session: protections.cases_of(session, subject, order))
    if as_json:
        show_json(documents.shown(found))
        return
    key, standing = found.key, found.standing
    out().print(f"{key}: {len(standing.open)} open of {len(standing.cases)} cases", markup=False)
    for case in protections.by_day(standing):
        ends = f", to {case.ends_on} (a day that lifts nothing)" if case.ends_on else ""
        out().print(f"  {case.started_on}  {case.status.lower()}{ends}", markup=False)
    for person, why in found.covers.items():
        said = "; ".join(f"{each.relation.value} of {each.via}" for each in why)
        out().print(f"  covers {person}: {said}", markup=False, soft_wrap=True)
    for person in found.same_address:
        out().print(f"  the same address, not covered: {person}", markup=False, soft_wrap=True)
    for topic, partition, offset in found.unread:
        said = f"whom {topic}/{partition} covers at offset {offset}: it cannot be read (RK-412)"
        out().print(f"  not known: {said}", markup=False, soft_wrap=True)


def end(
    file: Annotated[
        str,
        typer.Argument(
            parser=names.made,
            help="CSV (.csv: municipality_code, subject_id, started_on, decided_on) or JSON"
            " lines with the same names; - reads lines from stdin.",
        ),
    ],
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    is_sure: IsSure = False,
    as_json: Json = False,
) -> None:
    """End the cases that FILE lists; what would lift another, or nothing, is refused.

    First it is said how many persons stay under protection by another case, and asked. A refused
    entry does not stop the others. Exit status: 0 all ended, 65 some refused.
    """
    order = order_of(by, reason)
    insist_on_an_answer(as_json=as_json, dry_run=dry_run, is_sure=is_sure)
    action = protections.End.of(file)
    consent = deeds.Consent(is_dry=dry_run, is_sure=is_sure, ask=partial(confirmed, "End them?"))
    ended = ask(lambda session: _end(session, action, order, consent, as_json=as_json))
    _say_ended(ended, as_json=as_json)
    if not ended.is_whole:
        raise typer.Exit(ChangeRefused.exit_status)


async def _end(
    session: Session,
    action: protections.End,
    order: Order,
    consent: deeds.Consent,
    *,
    as_json: bool,
) -> CasesEnded:
    preview = await deeds.plan(session, action)
    show = partial(_say, preview.plan)
    try:
        outcomes = await deeds.with_consent(session, preview, order, consent, show)
    except (BusError, asyncio.CancelledError):
        if preview.outcomes:  # some have ended by now
            _say_ended(CasesEnded(preview.plan, preview.outcomes), as_json=as_json)
        raise
    return CasesEnded(preview.plan, outcomes)


def _say_ended(ended: CasesEnded, *, as_json: bool) -> None:
    if as_json:
        show_json(documents.ended(ended.plan, ended.outcomes))
    elif ended.outcomes is None:
        out().print("nothing was ended")
    else:
        out().print(f"ended {ended.count:,} cases")
        for outcome in ended.refused[:SHOWN]:
            for fault in outcome.faults:
                out().print(f"  {fault}", markup=False, soft_wrap=True)


def _say(plan: EndsPlan) -> None:
    say = err().print
    say(f"{len(plan.taken):,} cases of {len(plan.persons):,} persons would end")
    say(f"  {len(plan.staying):,} persons stay under protection by another case")
    refused = plan.refused
    say(f"  {len(refused) + len(plan.faults):,} entries are refused")
    for one in refused[:SHOWN]:
        for why in one.refused:
            said = f"    line {one.end.line} {why.field} ({why.item}): {why.code}: expected "
            say(said + why.expected, markup=False, soft_wrap=True)
    for fault in plan.faults[:SHOWN]:
        where = "" if fault.field is None else f" {fault.field}"
        said = f"    line {fault.line}{where}: {fault.code}: expected {fault.expected}"
        say(said, markup=False, soft_wrap=True)
