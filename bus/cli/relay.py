"""``renkei relay``: what core systems commit to their outboxes goes to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus.cli import names
from bus.cli.output import DryRun, Json, err, insist, out, show_json
from bus.cli.times import TO_THE_SECOND, shown
from bus.errors import BusError, ConfigurationError, UnknownName
from bus.observe import logs
from bus.publish.outbox import upkeep
from bus.publish.outbox.installing import OWNER, Plan, Speaker, script

System = Annotated[
    str,
    typer.Argument(parser=names.outbox, help="A publishing system of the settings (outboxes)."),
]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        parser=names.outbox,
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
    settings = composition.settings()
    logs.configure(settings.log_format)
    asyncio.run(composition.run_relays(settings, system or []))


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
    if (system is None) == (uri is None):
        raise ConfigurationError("name a system of the settings, or a database with --uri")
    settings, name = composition.settings(), system or "outbox"
    target = uri or _uris([name])[name]
    plan = Plan(
        owner=owner,
        core=tuple(map(Speaker.parse, core or ())),
        relay=tuple(relay or ()),
        change_bytes=settings.change_bytes,
    )
    text = script(plan)
    if not dry_run:
        asyncio.run(upkeep.install(name, target, plan))
    if as_json:
        show_json({"system": name, "is_installed": not dry_run, "script": text})
    elif dry_run:
        out().print(text, markup=False, soft_wrap=True)
    else:
        out().print(f"the outbox of {name} is installed: SELECT renkei.publish_change('{{…}}')")


def status(system: Systems = None, as_json: Json = False) -> None:
    """Show what waits in each outbox, for how long, and which relay sends it."""
    found: list[upkeep.Standing] = []
    failures: list[BusError] = []
    for name, uri in _uris(system or []).items():
        try:
            found.append(asyncio.run(upkeep.standing(name, uri)))
        except BusError as error:
            failures.append(error)
    keep = composition.settings().refused_keep
    if as_json:
        show_json([_as_json(standing, keep) for standing in found])
    elif found:
        out().print(_table(found))
        for standing in found:
            left = standing.backlog.refused_go_in(keep)
            if left is not None and left < upkeep.WARN_BEFORE:
                when = f"in {left.days} days" if left.days > 0 else "within a day"
                err().print(
                    f"warning: refused changes of {standing.system} go {when}:"
                    f" renkei relay refused list {standing.system}",
                    style="bold yellow",
                    markup=False,
                )
    if failures:
        for failure in failures[:-1]:
            err().print(f"error: {failure}", style="bold red", markup=False)
        raise failures[-1]


def list_refused(system: System, as_json: Json = False) -> None:
    """List what was set aside in SYSTEM's outbox, with reasons; contents stay in its database."""
    changes = asyncio.run(upkeep.refused(system, _uris([system])[system]))
    if as_json:
        show_json([asdict(change) for change in changes])
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
        for reason in change.reasons[:MOST_REASONS_SHOWN]:
            out().print(f"    {_reason(reason)}", markup=False)
        if len(change.reasons) > MOST_REASONS_SHOWN:
            out().print(f"    and {len(change.reasons) - MOST_REASONS_SHOWN} more: --json")


def retry_refused(
    system: System,
    numbers: Numbers = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every refused change.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put refused changes back in their old places, to be sent again by the relay."""
    if bool(numbers) == is_all:
        raise ConfigurationError("name sequence numbers, or say --all")
    uri = _uris([system])[system]
    chosen = None if is_all else numbers
    there = _refused(system, uri, numbers or ())
    if dry_run:
        seqs = [seq for seq in there if chosen is None or seq in chosen]
    else:
        seqs = asyncio.run(upkeep.retry(system, uri, chosen))
        insist(seqs, "nothing is refused", system=system)
    if as_json:
        show_json({"put_back": seqs, "is_dry": dry_run})
    else:
        out().print(f"{'would put' if dry_run else 'put'} back {_listed(seqs)}")


def drop_refused(
    system: System,
    numbers: Annotated[list[int], typer.Argument(help="Sequence numbers to delete.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Delete refused changes that another one has made good."""
    uri = _uris([system])[system]
    there = _refused(system, uri, numbers)
    if dry_run:
        seqs = [seq for seq in there if seq in numbers]
    else:
        seqs = asyncio.run(upkeep.drop(system, uri, numbers))
        insist(seqs, "nothing is refused", system=system)
    if as_json:
        show_json({"dropped": seqs, "is_dry": dry_run})
    else:
        out().print(f"{'would drop' if dry_run else 'dropped'} {_listed(seqs)}")


def _refused(system: str, uri: str, numbers: Sequence[int]) -> list[int]:
    """The numbers of what is refused, all of *numbers* among them.

    Raises:
        UnknownName: One of them is not.
    """
    there = [change.seq for change in asyncio.run(upkeep.refused(system, uri))]
    missing = sorted(set(numbers) - set(there))
    if missing:
        raise UnknownName(
            "no refused change has this number; see: renkei relay refused list",
            system=system, numbers=", ".join(map(str, missing)),
        )  # fmt: skip
    return there


def _uris(systems: Sequence[str]) -> dict[str, str]:
    """The chosen outboxes; all of the settings if none is named."""
    return composition.outboxes(composition.settings(), systems)


def _as_json(standing: upkeep.Standing, keep: timedelta | None) -> dict[str, Any]:
    left = standing.backlog.refused_go_in(keep)
    return {
        "system": standing.system,
        "pending": standing.backlog.pending,
        "oldest_s": round(standing.backlog.oldest_s, 3),
        "refused": standing.backlog.refused,
        "refused_go_in_s": None if left is None else max(round(left.total_seconds()), 0),
        "leader": standing.leader if standing.is_led else None,
    }


def _table(found: Sequence[upkeep.Standing]) -> Table:
    table = Table("System", box=None, pad_edge=False)
    for name in ("Pending", "Oldest", "Refused"):
        table.add_column(name, justify="right")
    table.add_column("Relay")
    for standing in found:
        waiting = standing.backlog
        more = "+" if waiting.pending >= upkeep.COUNT_MOST else ""
        table.add_row(
            standing.system,
            f"{waiting.pending}{more}",
            f"{waiting.oldest_s:.0f} s" if waiting.pending else "–",
            str(waiting.refused),
            (standing.leader or "").rpartition(":")[0] if standing.is_led else "none",
        )
    return table


def _reason(reason: dict[str, Any]) -> str:
    record = f"record {reason['record']}" if "record" in reason else ""
    item = f"({reason['item']})" if reason.get("item") else ""
    place = " ".join(part for part in (record, reason.get("field"), item) if part)
    return f"{place or 'the change'}: {reason['code']}: expected {reason['expected']}"


def _listed(seqs: Sequence[int]) -> str:
    return ", ".join(str(seq) for seq in seqs) if seqs else "nothing"
