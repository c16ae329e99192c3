"""``renkei relay``: what core systems commit to their outboxes goes to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, WhyAsked, WhyDone, order_of
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.cli.times import shown
from bus.observe import logs
from bus.observe.moments import TO_THE_SECOND
from bus.operate import deeds, documents
from bus.operate.deeds import Order
from bus.operate.outboxes import OWNER, Installation, SourceStatus, are_more, waiting
from bus.operate.refused import DropRefused, RetryRefused, refused

System = Annotated[
    str,
    typer.Argument(parser=names.outbox, help="A publishing system of the settings (outboxes)."),
]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        parser=names.source,
        metavar="SYSTEM",
        help="Only this publishing system; may be given several times.",
    ),
]
Numbers = Annotated[
    list[int] | None, typer.Argument(help="Sequence numbers, as `refused list` shows them.")
]
MOST_REASONS_SHOWN = 3


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Send what core systems put into outboxes.")
    for command in (run, install, status):
        group.command()(command)
    refused = typer.Typer(no_args_is_help=True, help="Changes that were set aside, and why.")
    refused.command("list")(list_refused)
    refused.command("retry")(retry_refused)
    refused.command("drop")(drop_refused)
    group.add_typer(refused, name="refused")
    app.add_typer(group, name="relay")


def run(system: Systems = None) -> None:
    """Send every outbox of the settings until told to stop (SIGTERM, Ctrl-C).

    Several may run: one sends from each outbox, the others stand by.
    """
    settings = composition.configured.settings()
    logs.configure(settings.log_format)
    asyncio.run(composition.publishing.run_relays(settings, system or []))


def install(
    system: Annotated[
        str | None,
        typer.Argument(parser=names.outbox, help="A publishing system of the settings (outboxes)."),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            parser=names.made,
            metavar="URI",
            help="The database instead; best without a password (use ~/.pgpass).",
        ),
    ] = None,
    core: Annotated[
        list[str] | None,
        typer.Option(
            parser=names.made,
            metavar="ROLE",
            help="Role of the core system: may publish, nothing else. ROLE, or ROLE=SOURCE,SOURCE"
            " where it speaks for some of the outbox's systems alone.",
        ),
    ] = None,
    relay: Annotated[
        list[str] | None,
        typer.Option(
            parser=names.made,
            metavar="ROLE",
            help="Role that the relay logs in as: reads and marks.",
        ),
    ] = None,
    owner: Annotated[
        str,
        typer.Option(
            parser=names.made,
            metavar="ROLE",
            help="Role that is to own it: may not log in; made if it is not there.",
        ),
    ] = OWNER,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make or bring up to date the outbox in a core system's database, and grant rights on it.

    What is there is looked at first; anything but an outbox of this program is refused.
    """
    made = Installation.of(
        composition.configured.settings(),
        system,
        uri,
        core=core or (),
        relay=relay or (),
        owner=owner,
    )
    name, text = made.name, made.script
    if not dry_run:
        asyncio.run(made.install())
    if as_json:
        show_json(documents.outbox_installed(name, text, is_installed=not dry_run))
    elif dry_run:
        out().print(text, markup=False, soft_wrap=True)
    else:
        out().print(f"the outbox of {name} is installed: SELECT renkei.publish_change('{{…}}')")


def status(system: Systems = None, as_json: Json = False) -> None:
    """Show what waits in each outbox, for how long, and which relay sends it."""
    seen = ask(lambda session: waiting(session, system or []))
    if as_json:
        show_json(documents.outboxes(seen.found, seen.keep))
    elif seen.found:
        out().print(_table(seen.found))
        for status in seen.found:
            left = seen.soon_gone(status)
            if left is not None:
                when = f"in {left.days} days" if left.days > 0 else "within a day"
                err().print(
                    f"warning: refused changes of {status.system} go {when}:"
                    f" renkei relay refused list {status.system}",
                    style="bold yellow",
                    markup=False,
                )
    for name in seen.unseen:
        err().print(f"what waits in the source of {name} cannot be seen from outside", markup=False)
    if seen.failures:
        for failure in seen.failures[:-1]:
            err().print(f"error: {failure}", style="bold red", markup=False)
        raise seen.failures[-1]


def list_refused(
    system: System, reason: WhyAsked = None, by: By = None, as_json: Json = False
) -> None:
    """List what was set aside in SYSTEM's outbox, with reasons; contents stay in its database.

    It names subjects: who looks is recorded.
    """
    order = order_of(by, reason)
    changes = ask(lambda session: refused(session, system, order))
    if as_json:
        show_json(documents.refused_changes(changes))
        return
    if not changes:
        out().print("nothing is refused")
        return
    for change in changes:
        behind = f", behind {change.behind}" if change.behind is not None else ""
        at = shown(change.refused_at, TO_THE_SECOND)
        out().print(
            f"{change.seq}  {', '.join(change.subjects)}{behind}  {at}",
            markup=False,
        )
        for why in change.reasons[:MOST_REASONS_SHOWN]:
            out().print(f"    {_reason(why)}", markup=False)
        if len(change.reasons) > MOST_REASONS_SHOWN:
            out().print(f"    and {len(change.reasons) - MOST_REASONS_SHOWN} more: --json")


def retry_refused(
    system: System,
    numbers: Numbers = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every refused change.")] = False,
    reason: WhyDone = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put refused changes back in their old places, to be sent again by the relay."""
    action = RetryRefused.of(system, numbers, is_all=is_all)
    seqs = _settled(action, order_of(by, reason), dry=dry_run)
    if as_json:
        show_json(documents.put_back(seqs, is_dry=dry_run))
    else:
        out().print(f"{'would put' if dry_run else 'put'} back {_listed(seqs)}")


def drop_refused(
    system: System,
    numbers: Annotated[list[int], typer.Argument(help="Sequence numbers to delete.")],
    reason: WhyDone = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Delete refused changes that another one has made good."""
    seqs = _settled(DropRefused(system, numbers), order_of(by, reason), dry=dry_run)
    if as_json:
        show_json(documents.dropped(seqs, is_dry=dry_run))
    else:
        out().print(f"{'would drop' if dry_run else 'dropped'} {_listed(seqs)}")


def _settled(action: RetryRefused | DropRefused, order: Order, *, dry: bool) -> Sequence[int]:
    return ask(lambda session: deeds.carry_out(session, action, order, is_dry=dry))


def _table(found: Sequence[SourceStatus]) -> Table:
    table = Table("System", box=None, pad_edge=False)
    for name in ("Pending", "Oldest", "Refused"):
        table.add_column(name, justify="right")
    table.add_column("Relay")
    for status in found:
        waiting = status.backlog
        more = "+" if are_more(status) else ""
        table.add_row(
            status.system,
            f"{waiting.pending}{more}",
            f"{waiting.oldest_s:.0f} s" if waiting.pending else "–",
            str(waiting.refused),
            (status.leader or "").rpartition(":")[0] if status.is_led else "none",
        )
    return table


def _reason(reason: dict[str, Any]) -> str:
    record = f"record {reason['record']}" if "record" in reason else ""
    item = f"({reason['item']})" if reason.get("item") else ""
    place = " ".join(part for part in (record, reason.get("field"), item) if part)
    return f"{place or 'the change'}: {reason['code']}: expected {reason['expected']}"


def _listed(seqs: Sequence[int]) -> str:
    return ", ".join(str(seq) for seq in seqs) if seqs else "nothing"
