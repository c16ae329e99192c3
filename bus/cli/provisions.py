"""``renkei provisions``: what was given to whom, when, on what ground, and which items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, First, Last, Person, System, WhyAsked, day_of, order_of
from bus.cli.output import Json, err, out, show_json
from bus.cli.times import shown
from bus.errors import ConfigurationError
from bus.files import create_private
from bus.observe.moments import TO_THE_SECOND
from bus.operate import documents, provisions
from bus.operate.provisions import (
    CsvSheet,
    HtmlSheet,
    Provision,
    ProvisionsShown,
    RecordedView,
    SystemProvisions,
)

A_PAGE = 100
After = Annotated[
    str | None,
    typer.Option(
        parser=names.made,
        metavar="PLACE",
        help="Go on after this place: what the page before ended with.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What was given to whom, on what ground.")
    group.command("of")(of_subject)
    group.command("by")(by_system)
    app.add_typer(group, name="provisions")


def of_subject(
    subject: Person,
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
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=provisions.MOST_AT_ONCE,
            help="Provisions of one page.",
            show_default=str(A_PAGE),
        ),
    ] = None,
    after: After = None,
    reason: WhyAsked = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Show what was given of SUBJECT: to whom, when, on what ground, which items.

    As the receipts have it: what a view left out, or what was set aside, was not given. The ledger
    holds no value of any item, and so neither does the answer. Who looks is recorded. A page at a
    time is shown; a file has all of it.
    """
    when, order = provisions.period(day_of(first), day_of(last)), order_of(by, reason)
    if html is not None or csv is not None:
        if limit is not None or after is not None:
            raise ConfigurationError("a file has all of it: --limit and --after are of a page")
        period = f"{_shown(first)} – {_shown(last)}"
        with ExitStack() as stack:
            sheets: dict[Path, HtmlSheet | CsvSheet] = {}

            def take(page: ProvisionsShown) -> None:
                if html is not None and html not in sheets:
                    sheets[html] = stack.enter_context(closing(page.html(period)))
                if csv is not None and csv not in sheets:
                    sheets[csv] = stack.enter_context(closing(page.csv()))
                for sheet in sheets.values():
                    sheet.take(page.answer)

            found = ask(
                lambda session: provisions.all_provisions_of(
                    session, subject, stream, when, order, take
                )
            )
            _warn_of_protection(found)
            for file, sheet in sheets.items():
                _write(file, sheet.text())
            (count,) = {sheet.count for sheet in sheets.values()}
        show_json(documents.shown(found)) if as_json else out().print(
            f"{count:,} provisions written"
        )
        return
    found = ask(
        lambda session: provisions.provisions_of(
            session, subject, stream, when, order, after=after, most=limit or A_PAGE
        )
    )
    _warn_of_protection(found)
    if as_json:
        show_json(documents.shown(found))
        return
    out().print(draw(found))
    if found.after is not None:
        out().print(f"more: --after {found.after}", markup=False, soft_wrap=True)


def _warn_of_protection(found: ProvisionsShown) -> None:
    if found.answer.has_protection:
        err().print(
            "note: measures of protection (支援措置) were recorded for this number, and the answer"
            " shows it: make sure who asks before it is handed out",
            style="yellow",
        )


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
    limit: Annotated[
        int, typer.Option(min=1, max=provisions.MOST_AT_ONCE, help="Events of one page.")
    ] = A_PAGE,
    after: After = None,
    reason: WhyAsked = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Show what SYSTEM was given: events by day, stream and ground; or, one stream, each event.

    Who looks at single events is recorded.
    """
    if details is None and after is not None:
        raise ConfigurationError("--after goes on with a page of --details")
    when = provisions.period(day_of(first), day_of(last))
    if details is None:
        answer = ask(lambda session: provisions.provisions_by(session, system, when))
        show_json(documents.shown(answer)) if as_json else out().print(draw_days(answer))
        return
    order = order_of(by, reason)
    page = ask(
        lambda session: provisions.provisions_page(
            session, system, details, when, after, limit, order
        )
    )
    if as_json:
        show_json(documents.shown(page))
        return
    out().print(_events(page.events))
    if page.after is not None:
        out().print(f"more: --after {page.after}", markup=False)


def draw(found: ProvisionsShown) -> RenderableType:
    """The provisions of a subject for a terminal: who was given what how often, and each ground."""
    answer = found.answer
    if not answer.provisions:
        whole = "nothing was given, as far as the ledger knows"
        return whole if found.is_whole else "nothing more was given, as far as the ledger knows"
    marks = found.grounds
    table = Table("Given at", "To", "Stream", "Event", "", box=None, pad_edge=False)
    for provision in answer.provisions:
        kind = provision.event_type.rpartition(".")[2]
        at = shown(provision.given_at)
        version = f"{kind} v{provision.version}"
        mark = marks.get(provision.view, "?")
        table.add_row(at, provision.system, provision.stream, version, Text(mark))
    number = f"{answer.municipality_code}/{answer.subject_id}"
    total = f"{number}: {len(answer.provisions):,} provisions to {len(answer.systems)} systems"
    total += "" if found.is_whole else " on this page"
    notes = _wrapped([("", english) for _, english in found.notes])
    return Group(total, table, "", _grounds(marks, answer.views), "", notes)


def draw_days(answer: SystemProvisions) -> RenderableType:
    """The provisions to a system for a terminal, by day; and the grounds."""
    if not answer.days:
        return "nothing was given, as far as the ledger knows"
    marks = provisions.marks_of(answer)
    table = Table("Day", "Stream", "Events", "Deliveries", "", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    for day in answer.days:
        counts = (f"{day.events:,}", f"{day.deliveries:,}")
        table.add_row(day.day.isoformat(), day.stream, *counts, Text(marks[day.view]))
    total = f"{answer.system}: {answer.events:,} events"
    return Group(total, table, "", _grounds(marks, answer.views))


def _events(page: Sequence[Provision]) -> Table:
    table = Table("Given at", "Subject", "Version", "Event", "Place", box=None, pad_edge=False)
    for provision in page:
        at = shown(provision.given_at, TO_THE_SECOND)
        place = f"{provision.partition}/{provision.offset}"
        version = str(provision.version)
        table.add_row(at, provision.subject_id, version, provision.event_type, place)
    return table


def _grounds(marks: Mapping[str, str], views: Mapping[str, RecordedView]) -> Table:
    """Each ground's mark, with its ground and items."""
    return _wrapped([(mark, _view_text(views.get(view))) for view, mark in marks.items()])


def _view_text(view: RecordedView | None) -> str:
    if view is None:
        return "not recorded"
    ground = f"{view.legal_basis}; {view.purpose} (to {view.expires_on})"
    return f"{view.system} {view.stream}: {view.body_items} items. {ground}"


def _wrapped(lines: Sequence[tuple[str, str]]) -> Table:
    """Lines of marks and sentences, wrapped; text is shown as it is, not as markup."""
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    for mark, said in lines:
        table.add_row(Text(mark), Text(said))
    return table


def _write(file: Path, text: Iterable[str]) -> None:
    """Write a file that only its owner reads; an existing file is left alone."""
    try:
        with create_private(file, is_new=True) as target:
            target.writelines(text)
    except FileExistsError:
        raise ConfigurationError("the file is there already", file=str(file)) from None
    except OSError as error:
        raise ConfigurationError("cannot write the file", file=str(file)) from error


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"
