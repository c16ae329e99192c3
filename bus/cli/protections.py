"""``renkei protections``: who is under protection (支援措置) by which cases, and lists of ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus import operate
from bus.cli import names
from bus.cli.lanes import By, Reason, checked_reason, who
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.errors import ChangeRefused, ConfigurationError
from bus.model import Case
from bus.operate.protecting import Plan
from bus.policy.cases import Standing
from bus.publish.publisher import Outcome

MOST_BYTES = 16 * 1024 * 1024
"""A longer list is refused: no municipality ends so many."""
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
    note, operator = checked_reason(reason), who(by)
    standings = asyncio.run(_everybody(note, operator))
    shown = {key: each for key, each in standings.items() if is_all or each.open}
    if as_json:
        show_json([document(key, each) for key, each in shown.items()])
        return
    table = Table("Subject", "Began", "State", "Names", box=None, pad_edge=False)
    for key, each in shown.items():
        for case in sorted(each.cases.values(), key=lambda case: case.started_on):
            if is_all or case.is_open:
                named = str(len(case.shared_with))
                table.add_row(key, str(case.started_on), case.status.lower(), named)
    out().print(table if shown else "nobody is under protection, as far as the log says")


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
    note, operator = checked_reason(reason), who(by)
    key, standing, reasons, others = asyncio.run(_of(subject, note, operator))
    covered = {
        person: [{"relation": each.relation.value, "via": each.via} for each in why]
        for person, why in reasons.items()
    }
    if as_json:
        found = {"covers": covered, "same_address_not_covered": others}
        show_json(document(key, standing) | found)
        return
    out().print(f"{key}: {len(standing.open)} open of {len(standing.cases)} cases", markup=False)
    for case in sorted(standing.cases.values(), key=lambda case: case.started_on):
        ends = f", to {case.ends_on} (a day that lifts nothing)" if case.ends_on else ""
        out().print(f"  {case.started_on}  {case.status.lower()}{ends}", markup=False)
    for person, why in covered.items():
        said = "; ".join(f"{each['relation']} of {each['via']}" for each in why)
        out().print(f"  covers {person}: {said}", markup=False, soft_wrap=True)
    for person in others:
        out().print(f"  the same address, not covered: {person}", markup=False, soft_wrap=True)


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
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End the cases that FILE lists; what would lift another, or nothing, is refused.

    First it is said how many persons stay under protection by another case, and asked. A refused
    entry does not stop the others. Exit status: 0 all ended, 65 some refused.
    """
    note, operator = checked_reason(reason), who(by)
    if as_json and not (dry_run or is_sure):
        raise ConfigurationError("with --json say --yes or --dry-run")
    plan, outcomes = asyncio.run(_end(file, note, operator, dry=dry_run, sure=is_sure))
    refused = [each for each in outcomes or () if not each.is_published]
    if as_json:
        show_json(_summary(plan, outcomes))
    elif outcomes is None:
        out().print("nothing was ended")
    else:
        out().print(f"ended {len(outcomes) - len(refused):,} cases")
        for outcome in refused[:SHOWN]:
            for fault in outcome.faults:
                out().print(f"  {fault}", markup=False, soft_wrap=True)
    if plan.faults or refused or len(plan.taken) < len(plan.entries):
        raise typer.Exit(ChangeRefused.exit_status)


def document(key: str, standing: Standing) -> dict[str, Any]:
    """A person's cases, for machines."""
    return {
        "subject": key,
        "open": len(standing.open),
        "cases": [_case(case) for _, case in sorted(standing.cases.items())],
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "started_on": str(case.started_on),
        "status": case.status,
        "kind": case.kind,
        "ends_on": None if case.ends_on is None else str(case.ends_on),
        "suppresses": sorted(case.suppresses),
        "shared_with": sorted(case.shared_with),
    }


async def _everybody(note: str, operator: str) -> dict[str, Standing]:
    settings = composition.settings()
    async with operate.protections(settings, operator=operator, reason=note) as known:
        return known.everybody()


async def _of(subject: str, note: str, operator: str) -> Any:
    settings = composition.settings()
    async with operate.protections(settings, operator=operator, reason=note) as known:
        key, standing, reasons = known.of(subject)
        return key, standing, reasons, await known.neighbours(key)


async def _end(
    file: str, note: str, operator: str, *, dry: bool, sure: bool
) -> tuple[Plan, list[Outcome] | None]:
    data = _read(file)
    settings = composition.settings()
    async with operate.protections(settings, operator=operator, reason=note) as known:
        plan = known.plan(data, is_csv=file.lower().endswith(".csv"))
        _say(plan)
        if dry or not plan.taken:
            return plan, None
        if not (sure or await asyncio.to_thread(typer.confirm, "End them?", err=True)):
            return plan, None
        return plan, await known.end(plan, operator=operator, reason=note)


def _read(file: str) -> bytes:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as source:
            data = source.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError("cannot read the file", file=file) from error
    if len(data) > MOST_BYTES:
        raise ConfigurationError("the list is too long", file=file, bytes=MOST_BYTES)
    return data


def _say(plan: Plan) -> None:
    persons = {one.end.key for one in plan.taken}
    say = err().print
    say(f"{len(plan.taken):,} cases of {len(persons):,} persons would end")
    say(f"  {len(plan.staying):,} persons stay under protection by another case")
    refused = [one for one in plan.entries if one.refused]
    say(f"  {len(refused) + len(plan.faults):,} entries are refused")
    for one in refused[:SHOWN]:
        for why in one.refused:
            said = f"    line {one.end.line} {why.field} ({why.item}): {why.code}: expected "
            say(said + why.expected, markup=False, soft_wrap=True)
    for fault in plan.faults[:SHOWN]:
        where = "" if fault.field is None else f" {fault.field}"
        said = f"    line {fault.line}{where}: {fault.code}: expected {fault.expected}"
        say(said, markup=False, soft_wrap=True)


def _summary(plan: Plan, outcomes: list[Outcome] | None) -> dict[str, Any]:
    done = None if outcomes is None else [each.is_published for each in outcomes]
    return {
        "ended": sum(done or ()),
        "would_end": len(plan.taken),
        "persons": len({one.end.key for one in plan.taken}),
        "stay_by_another_case": sorted(plan.staying),
        "refused": [
            *(
                {"line": one.end.line, "subject": one.end.key, "code": why.code, "field": why.field}
                for one in plan.entries
                for why in one.refused
            ),
            *(
                {"line": fault.line, "code": fault.code, "field": fault.field}
                for fault in plan.faults
            ),
            *(
                {"change_id": outcome.change_id, "code": fault.code, "field": fault.field}
                for outcome in outcomes or ()
                for fault in outcome.faults
                if fault.is_error
            ),
        ],
    }
