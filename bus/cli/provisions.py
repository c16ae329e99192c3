"""``renkei provisions``: what was given to whom, when, on what ground, and which items."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus import app as composition
from bus import operate
from bus.cli import names
from bus.cli.lanes import System
from bus.cli.output import Json, err, out, show_json
from bus.cli.times import TO_THE_SECOND, shown, site
from bus.errors import ConfigurationError
from bus.ledger import paper
from bus.ledger.provided import Mark
from bus.ledger.provisions import Provision, Provisions, RecordedView, SystemProvisions

Subject = Annotated[
    str,
    typer.Argument(
        parser=names.person, help="宛名番号, or <municipality>/<宛名番号> where several have it."
    ),
]
First = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="Given on this day (Japan) or later."),
]
Last = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], help="Given on this day (Japan) or earlier."),
]
MOST = 10_000  # events of one page


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What was given to whom, on what ground.")
    group.command("of")(of_subject)
    group.command("by")(by_system)
    app.add_typer(group, name="provisions")


def of_subject(
    subject: Subject,
    first: First = None,
    last: Last = None,
    stream: Annotated[
        str | None,
        typer.Option(
            parser=names.stream,
            metavar="STREAM",
            help="The number is one of this stream (a household's, a vehicle's).",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page to hand out: identifiers, no values.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table, for a spreadsheet.")] = None,
    as_json: Json = False,
) -> None:
    """Show what was given of SUBJECT: to whom, when, on what ground, which items.

    As the receipts have it: what a view left out, or what was set aside, was not given. The ledger
    holds no value of any item, and so neither does the answer.
    """
    answer = asyncio.run(_of_subject(subject, stream, _day(first), _day(last)))
    if answer.has_protection:
        err().print(
            "note: measures of protection (支援措置) were recorded for this number, and the answer"
            " shows it: make sure who asks before it is handed out",
            style="yellow",
        )
    if html is not None:
        when = f"{_shown(first)} – {_shown(last)}"
        page = paper.as_html(answer, site(), made_at=datetime.now(UTC), period=when)
        _write(html, page.encode())
    if csv is not None:
        _write(csv, paper.as_csv(answer, site()).encode("utf-8-sig"))
    if as_json:
        show_json(document_of(answer))
    elif html is None and csv is None:
        out().print(draw(answer))
    else:
        out().print(f"{len(answer.provisions):,} provisions written")


def by_system(
    system: System,
    first: First = None,
    last: Last = None,
    details: Annotated[
        str | None,
        typer.Option(
            "--details",
            parser=names.stream,
            metavar="STREAM",
            help="List the events of this stream, page by page.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="Events of one page.")] = 100,
    after: Annotated[
        str | None,
        typer.Option(
            parser=names.made,
            metavar="PLACE",
            help="Go on after this place: what the page before ended with.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what SYSTEM was given: events by day, stream and ground; or, one stream, each event."""
    if details is None and after is not None:
        raise ConfigurationError("--after goes on with a page of --details")
    when = (_day(first), _day(last))
    if details is None:
        answer = asyncio.run(_by_system(system, *when))
        show_json(document_by(answer)) if as_json else out().print(draw_days(answer))
        return
    mark = Mark() if after is None else Mark.of(after)
    page = asyncio.run(_page(system, details, *when, mark, limit))
    following = str(Mark.behind(page[-1])) if len(page) == limit else None
    if as_json:
        show_json({"provisions": [_provision(each) for each in page], "after": following})
        return
    out().print(_events(page))
    if following is not None:
        out().print(f"more: --after {following}", markup=False)


async def _of_subject(
    subject: str, stream: str | None, first: date | None, last: date | None
) -> Provisions:
    settings = composition.settings()
    period = operate.period(first, last)
    async with operate.provided(settings) as asked:
        return await operate.provisions_of(settings, asked, subject, stream, period)


async def _by_system(system: str, first: date | None, last: date | None) -> SystemProvisions:
    period = operate.period(first, last)
    async with operate.provided(composition.settings()) as asked:
        return await asked.by_system(system, period)


async def _page(
    system: str, stream: str, first: date | None, last: date | None, mark: Mark, most: int
) -> list[Provision]:
    settings = composition.settings()
    name = composition.catalog(settings).stream(stream).name
    period = operate.period(first, last)
    async with operate.provided(settings) as asked:
        return await asked.page(system, name, period, mark, most)


def draw(answer: Provisions) -> RenderableType:
    """The answer for a terminal: who was given what how often, then each ground with its items."""
    if not answer.provisions:
        return "nothing was given, as far as the ledger knows"
    marks = paper.grounds(answer)
    table = Table("Given at", "To", "Stream", "Event", "", box=None, pad_edge=False)
    for provision in answer.provisions:
        kind = provision.event_type.rpartition(".")[2]
        at = shown(provision.given_at)
        version = f"{kind} v{provision.version}"
        mark = marks.get(provision.view, "?")
        table.add_row(at, provision.system, provision.stream, version, Text(mark))
    number = f"{answer.municipality_code}/{answer.subject_id}"
    total = f"{number}: {len(answer.provisions):,} provisions to {len(answer.systems)} systems"
    notes = _wrapped([("", english) for _, english in paper.notes(answer, site())])
    return Group(total, table, "", _grounds(marks, answer.views), "", notes)


def draw_days(answer: SystemProvisions) -> RenderableType:
    """What a system was given, by day; and the grounds."""
    if not answer.days:
        return "nothing was given, as far as the ledger knows"
    first = dict.fromkeys(day.view for day in answer.days)
    marks = {view: f"[{number}]" for number, view in enumerate(first, start=1)}
    table = Table("Day", "Stream", "Events", "Deliveries", "", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    for day in answer.days:
        counts = (f"{day.events:,}", f"{day.deliveries:,}")
        table.add_row(day.day.isoformat(), day.stream, *counts, Text(marks[day.view]))
    total = f"{answer.system}: {answer.events:,} events"
    return Group(total, table, "", _grounds(marks, answer.views))


def document_of(answer: Provisions) -> dict[str, Any]:
    """The same for machines."""
    erasure = answer.erasure
    return {
        "municipality_code": answer.municipality_code,
        "subject_id": answer.subject_id,
        "protection_recorded": answer.has_protection,
        "provisions": [_provision(provision) for provision in answer.provisions],
        "views": _views(answer.views),
        "may_be_named_in": list(answer.naming),
        "erasure": None
        if erasure is None
        else {
            "at": erasure.at.isoformat(),
            "done": erasure.is_done,
            "streams": list(erasure.streams),
            "reason": erasure.reason,
        },
        "notes": [{"ja": ja, "en": en} for ja, en in paper.notes(answer, site())],
    }


def document_by(answer: SystemProvisions) -> dict[str, Any]:
    """The same for machines."""
    return {
        "system": answer.system,
        "events": answer.events,
        "days": [
            {
                "day": day.day.isoformat(),
                "stream": day.stream,
                "view": day.view,
                "events": day.events,
                "deliveries": day.deliveries,
            }
            for day in answer.days
        ],
        "views": _views(answer.views),
    }


def _views(views: Mapping[str, RecordedView]) -> dict[str, Any]:
    return {
        fingerprint: {
            "system": view.system,
            "system_ja": view.system_ja,
            "stream": view.stream,
            "stream_ja": view.stream_ja,
            "schema_version": view.schema_version,
            "items": [
                {
                    "name": item.name,
                    "path": item.path,
                    "ja": item.ja,
                    "sensitivity": item.sensitivity,
                    "mask": item.mask or None,
                }
                for item in view.items
            ],
            "event_types": list(view.event_types),
            "conditions": list(view.conditions),
            "suppression": view.suppression,
            "mode": view.mode,
            "legal_basis": view.legal_basis,
            "number_use": view.number_use or None,
            "purpose": view.purpose,
            "approver": view.approver,
            "approved_on": view.approved_on.isoformat(),
            "expires_on": view.expires_on.isoformat(),
        }
        for fingerprint, view in views.items()
    }


def _provision(provision: Provision) -> dict[str, Any]:
    return {
        "given_at": provision.given_at.isoformat(),
        "system": provision.system,
        "stream": provision.stream,
        "subject_id": provision.subject_id,
        "version": provision.version,
        "event_type": provision.event_type,
        "event_id": provision.event_id,
        "change_id": provision.change_id,
        "processed_at": provision.processed_at.isoformat(),
        "partition": provision.partition,
        "offset": provision.offset,
        "view": provision.view,
        "replay": provision.is_replay,
        "receipt": provision.receipt,
    }


def _events(page: list[Provision]) -> Table:
    table = Table("Given at", "Subject", "Version", "Event", "Place", box=None, pad_edge=False)
    for provision in page:
        at = shown(provision.given_at, TO_THE_SECOND)
        place = f"{provision.partition}/{provision.offset}"
        version = str(provision.version)
        table.add_row(at, provision.subject_id, version, provision.event_type, place)
    return table


def _grounds(marks: Mapping[str, str], views: Mapping[str, RecordedView]) -> Table:
    """What each mark stands for."""
    return _wrapped([(mark, _told(views.get(view))) for view, mark in marks.items()])


def _told(view: RecordedView | None) -> str:
    if view is None:
        return "not recorded"
    items = sum(not item.is_header for item in view.items)
    ground = f"{view.legal_basis}; {view.purpose} (to {view.expires_on})"
    return f"{view.system} {view.stream}: {items} items. {ground}"


def _wrapped(lines: Sequence[tuple[str, str]]) -> Table:
    """Marks and sentences; somebody's own words are no markup."""
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    for mark, said in lines:
        table.add_row(Text(mark), Text(said))
    return table


def _write(file: Path, content: bytes) -> None:
    """For its owner's eyes; what is there already is left alone."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError("the file is there already", file=str(file)) from None
    except OSError as error:
        raise ConfigurationError("cannot write the file", file=str(file)) from error
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"
