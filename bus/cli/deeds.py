"""``renkei deeds``: what operators did, and whom they looked up."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import First, Last, OnlySystem, day_of
from bus.cli.output import Json, err, out, show_json
from bus.cli.times import shown
from bus.model.deed import CUT_OFF, Act, Deed
from bus.observe.moments import TO_THE_SECOND
from bus.operate import documents
from bus.operate.provisions import period
from bus.operate.recorded import DeedPage, DeedsWanted, recorded

MOST = 10_000  # deeds of one page


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What operators did, and whom they looked up.")
    group.callback()(_group)
    group.command("list")(list_all)
    app.add_typer(group, name="deeds")


def _group() -> None:
    """What operators did, and whom they looked up."""  # keeps `list` a word of its own


def list_all(
    act: Annotated[
        str | None,
        typer.Option(
            "--act",
            parser=names.one_of("act", [act.value for act in Act]),
            metavar="ACT",
            help="Only this act: parked-retry, rebuild, prune, provisions-of, …",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            parser=names.words,
            metavar="TEXT",
            help="Only what this person wanted, or this account gave the command for.",
        ),
    ] = None,
    system: OnlySystem = None,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            parser=names.subject,
            metavar="SUBJECT",
            help="Only what was about <municipality>/<宛名番号>: who looked this person up.",
        ),
    ] = None,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="Deeds of one page.")] = 100,
    after: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**63 - 1, help="Go on after this place: what the page before ended with."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what was done and looked up, the newest first: when, by whom, why, how many.

    As the ledger has it. What has no proof of the bus's is marked: somebody else may have written
    it, or a process that has no keys. That rows were changed, `renkei ledger verify` finds.
    """
    wanted = DeedsWanted(
        when=period(day_of(first), day_of(last)),
        act=act,
        actor=by,
        system=system,
        subject=subject,
        after=after,
        most=limit,
    )
    page = ask(lambda session: recorded(session, wanted))
    if as_json:
        show_json(documents.deeds(page))
        return
    out().print(_table(page) if page.deeds else "nothing is recorded")
    if page.after is not None:
        out().print(f"more: --after {page.after}", markup=False)
    if not page.is_proved:
        err().print("? has no proof: it may not be the bus's own word", style="yellow")


def _table(page: DeedPage) -> Table:
    table = Table("", "At", "Act", "By", "About", "Count", "Why", box=None, pad_edge=False)
    table.columns[5].justify = "right"
    for each in page.deeds:
        deed = each.deed
        who = deed.actor if deed.actor == deed.account else f"{deed.actor} ({deed.account})"
        about = "/".join(filter(None, (deed.system, deed.stream)))
        if deed.subject_digest is not None:
            about = f"{about} person {deed.subject_digest[:8]}".strip()
        table.add_row(
            "" if each.is_proved else "?",
            shown(deed.at, TO_THE_SECOND),
            deed.act,
            Text(who),  # somebody's own words are no markup
            about,
            _count(deed),
            Text(deed.reason or ""),
        )
    return table


def _count(deed: Deed) -> str:
    """Of how many, as far as is known."""
    if deed.is_begun:
        return f"begun, {deed.count:,}" if deed.count else "begun"
    least = "at least " if deed.act in CUT_OFF.values() else ""
    return f"{least}{deed.count:,}"
