"""``renkei erase``: a person leaves every store, and what cannot be reached is said by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer

from bus import app as composition
from bus import operate
from bus.cli.lanes import By, Reason, checked_reason, name_of, who
from bus.cli.output import DryRun, Json, err, insist, out, show_json
from bus.cli.provisions import Subject
from bus.cli.reach import duration
from bus.cli.times import shown
from bus.errors import ConfigurationError
from bus.model.erasure import Erasure
from bus.operate.erasing import ErasurePlan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)


def erase(
    subject: Subject,
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase SUBJECT: a null value in every stream of persons; each system's lane takes its row out.

    Nothing brings it back. That it was done stays known, without the number; what the bus cannot
    reach is said by name. A subject under protection is refused.
    """
    note, operator = checked_reason(reason), who(by)
    if as_json and not (dry_run or is_sure):
        raise ConfigurationError("with --json say --yes or --dry-run")
    plan, erased = asyncio.run(_erase(subject, note, operator, dry=dry_run, sure=is_sure))
    if as_json:
        show_json(document(plan, erased))
    elif plan.is_done and plan.before is not None:
        out().print(f"erased already, on {shown(plan.before.at)}")
    elif erased is not None:
        out().print(f"erased: a null value in {len(erased.streams)} streams")
    else:
        out().print("nothing was erased")
    if erased is None and not dry_run:
        insist((), "erased already" if plan.is_done else "you said no")


async def _erase(
    subject: str, note: str, operator: str, *, dry: bool, sure: bool
) -> tuple[ErasurePlan, Erasure | None]:
    async with AsyncExitStack() as stack:
        erasing = await operate.open_erasing(stack, composition.settings())
        plan = await erasing.plan(subject)
        if plan.is_done:
            return plan, None
        _say(plan, err().print)
        if dry or not (sure or await asyncio.to_thread(typer.confirm, "Erase it?", err=True)):
            return plan, None
        return plan, await erasing.erase(plan, operator=operator, reason=note)


def document(plan: ErasurePlan, erased: Erasure | None) -> dict[str, Any]:
    """The same for machines; without the subject's number."""
    done = erased or (plan.before if plan.is_done else None)
    places = () if done is None else zip(done.streams, done.partitions, done.offsets, strict=True)
    return {
        "state": "erased" if erased else "erased already" if plan.is_done else "not erased",
        "at": None if done is None else done.at.isoformat(),
        "streams": sorted({stream.name for stream, _ in plan.keys}),
        "null_values": [
            {"stream": stream, "partition": partition, "offset": offset}
            for stream, partition, offset in places
        ],
        "known_events": dict(plan.known),
        "set_aside": [
            {"system": system, "stream": stream, "events": count}
            for (system, stream), count in plan.set_aside.items()
        ],
        "waits_for": [name_of(operation) for operation in plan.standing],
        "copies": [
            {
                "system": copies.system,
                "stream": copies.stream,
                "events": copies.events,
                "removed_by_its_lane": copies.has_lane,
            }
            for copies in plan.copies
        ],
        "not_reached": [{"what": what, "who": who} for what, who in not_reached(plan)],
    }


def not_reached(plan: ErasurePlan) -> list[tuple[str, list[str]]]:
    """What stays although the subject is erased, and with whom."""
    stays = [
        (
            "rows in a system whose grant or lane has ended: it must delete them itself",
            sorted({f"{c.system}/{c.stream}" for c in plan.copies if not c.has_lane}),
        ),
        (
            "files, printouts and copies that a system made of what it was given",
            sorted({copies.system for copies in plan.copies}),
        ),
        (
            "records under another number that name the person: their owners must publish them",
            [f"{s.name} ({', '.join(s.providers)})" for s in plan.naming],
        ),
        ("a core system's own tables, and changes in its outbox", list(plan.outboxes)),
        (
            "the record of what was given: number and receipts, until retention takes them",
            ["ledger"],
        ),
        ("the log, until it is compacted; and backups of databases and of the log", ["kafka"]),
    ]
    return [(what, who) for what, who in stays if who]


def _say(plan: ErasurePlan, say: Callable[..., None]) -> None:
    names = sorted({stream.name for stream, _ in plan.keys})
    known = sum(plan.known.values())
    say(f"a null value goes into {len(names)} streams; the ledger knows {known:,} events of it")
    for (system, stream), count in plan.set_aside.items():
        say(f"  set aside, and settled by it: {count} in {system}/{stream}", markup=False)
    for operation in plan.standing:
        say(f"  stands, and erases when it goes on: {name_of(operation)}", markup=False)
    say("not reached:")
    for what, whose in not_reached(plan):
        say(f"  {what}: {', '.join(whose)}", markup=False, soft_wrap=True)
    lag = duration(composition.settings().compaction_lag)
    say(f"  (the log keeps what it has for {lag} at least)")
