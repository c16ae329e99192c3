"""Options and arguments that several commands share."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bus.cli import names
from bus.errors import ConfigurationError

if TYPE_CHECKING:
    from bus.operate.deeds import Order

System = Annotated[str, typer.Argument(parser=names.system, help="The receiving system.")]
Stream = Annotated[
    str | None,
    typer.Argument(parser=names.stream, help="Only this stream; else all that it receives."),
]
OnlySystem = Annotated[
    str | None,
    typer.Option(
        "--system", parser=names.system, metavar="SYSTEM", help="Only this receiving system."
    ),
]
Reason = Annotated[
    str,
    typer.Option(
        parser=names.words,
        metavar="TEXT",
        help="Why; kept for ever, so a ticket's number and no personal data.",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        parser=names.words,
        metavar="TEXT",
        help="Who wants it; by default the account's name.",
    ),
]
Person = Annotated[
    str,
    typer.Argument(
        parser=names.person, help="宛名番号, or <municipality>/<宛名番号> where several have it."
    ),
]
WhyDone = Annotated[
    str | None,
    typer.Option(
        "--reason",
        parser=names.words,
        metavar="TEXT",
        help="Why; recorded with who does it: a ticket's number, no personal data.",
    ),
]
WhyAsked = Annotated[
    str | None,
    typer.Option(
        "--reason",
        parser=names.words,
        metavar="TEXT",
        help="Why it is looked up; recorded with who looks: a ticket's number, no personal data.",
    ),
]
IsSure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
First = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="On this day (Japan) or later."),
]
Last = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], help="On this day (Japan) or earlier."),
]


def order_of(by: str | None, reason: str | None) -> Order:
    """The actor and the reason of a command.

    Raises:
        ConfigurationError: A name or a reason is blank, too long, or no single line of text.
    """
    from bus.operate.actor import Actor, checked_reason
    from bus.operate.deeds import Order

    return Order(Actor.of(by), None if reason is None else checked_reason(reason))


def insist_on_an_answer(*, as_json: bool, dry_run: bool, is_sure: bool) -> None:
    """Refuse to ask for confirmation where JSON is wanted: ``--yes`` must be given.

    Raises:
        ConfigurationError: Nobody said whether to do it.
    """
    if as_json and not (dry_run or is_sure):
        raise ConfigurationError("with --json say --yes or --dry-run")


def day_of(moment: datetime | None) -> date | None:
    """The day in an option's text."""
    return None if moment is None else moment.date()
