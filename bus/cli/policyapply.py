"""``renkei subscriptions apply``: put subscriptions in force while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bus import app as composition
from bus import operate
from bus.cli.lanes import By, who
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.cli.policydiff import plain, words
from bus.errors import ConfigurationError
from bus.model import Suppression
from bus.operate.applying import Plan, Planned, files_in, insist_on_topics, plan
from bus.policy import Difference, read_subscriptions
from bus.policy.diff import Kind

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files, or folders of them; by default the installation's own."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def apply(
    files: Files = None,
    yes: Yes = False,
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
    asyncio.run(_apply(files or [], yes or dry_run, who(by), dry=dry_run, as_json=as_json))


async def _apply(
    paths: Sequence[Path], sure: bool, applied_by: str, *, dry: bool, as_json: bool
) -> None:
    settings = composition.settings()
    catalog = composition.catalog(settings)
    installed = read_subscriptions(catalog, settings.schemas)
    chosen = files_in(paths, catalog.folder)
    async with operate.editions(settings) as editions:
        found = plan(chosen, installed, editions, catalog)
        async with composition.broker(settings) as cluster:
            await insist_on_topics(found, catalog, cluster)
        if not as_json:
            _print(found)
        if not sure and found.planned:
            await asyncio.to_thread(typer.confirm, "Put this in force?", abort=True, err=True)
        applied: list[Planned] = []
        try:
            for each in () if dry else found.planned:
                await editions.apply(each.edition(applied_by))
                applied.append(each)
        finally:
            _say(found, applied, as_json=as_json, dry=dry)


def consequences(difference: Difference) -> Iterator[str]:
    """What becomes of what the system holds, beyond what the difference itself says."""
    if difference.kind is Kind.LOST:
        yield "  everything that the system holds of the stream is taken away"
    elif begins_anew(difference):
        yield "  all rows are taken away, and delivered anew where they fit the conditions"
    elif difference.event_types_lost:
        yield "  rows that these events wrote are taken away"
    if difference.suppression == (Suppression.CAPABLE, Suppression.WITHHOLD):
        yield "  all locations are taken away, until a rebuild"


def begins_anew(difference: Difference) -> bool:
    """Whether the store empties the table by itself, and the lanes begin at the beginning."""
    return difference.kind is Kind.CHANGED and bool(difference.conditions_new)


def to_rebuild(found: Plan) -> list[tuple[str, str]]:
    """System and stream of what must be rebuilt by a person."""
    return [
        (each.system, each.stream)
        for each in found.differences
        if each.needs_rebuild and not begins_anew(each)
    ]


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
        show_json(document(found, applied, dry=dry))
        return
    if not found.planned:
        out().print("nothing changes")
    for each in applied:
        out().print(f"in force: {each.system}, edition {each.sequence}", markup=False)
    if dry and found.planned:
        out().print(f"would put in force: {', '.join(p.system for p in found.planned)}")
    for system, stream in to_rebuild(found) if applied else ():
        out().print(f"then: renkei rebuild {system} {stream}", markup=False)


def document(found: Plan, applied: Sequence[Planned], *, dry: bool) -> dict[str, Any]:
    """The same for machines."""
    return {
        "is_dry": dry,
        "changes": [
            {**plain(each), "begins_anew": begins_anew(each), "notes": list(consequences(each))}
            for each in found.differences
        ],
        "applied": [{"system": each.system, "edition": each.sequence} for each in applied],
        "unchanged": list(found.unchanged),
        "rebuild": [{"system": system, "stream": stream} for system, stream in to_rebuild(found)],
        "warnings": [str(fault) for fault in found.warnings],
    }
