"""``renkei subscriptions``: what each business system may receive, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from bus.app import configured
from bus.cli import names, policyapply, policydiff, policysimulate
from bus.cli.output import Json, err, out, show_json
from bus.errors import FilesRefused
from bus.model import Mode, Suppression
from bus.operate import documents, granted
from bus.operate.granted import GrantRefusal

_SUPPRESSION = {
    Suppression.WITHHOLD: "withhold: the fact of a protected person's change, no location",
    Suppression.CAPABLE: "capable: location and flag; the system itself suppresses",
}
_MODE = {
    Mode.AUTO_APPLY: "auto_apply: the table is what the system works with",
    Mode.WORK_LIST: "work_list: a clerk confirms each version",
    Mode.NOTIFY_ONLY: "notify_only: that something happened, and the flag",
}
System = Annotated[
    str,
    typer.Argument(
        parser=names.system, help="A business system, as in `renkei subscriptions list`."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What each system may receive, and why.")
    group.command("apply")(policyapply.apply)
    group.command("check")(check)
    group.command("diff")(policydiff.diff)
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("simulate")(policysimulate.simulate)
    app.add_typer(group, name="subscriptions")


def check(as_json: Json = False) -> None:
    """Read every subscription and report all faults at once; what ends soon is warned of.

    Also what the connector of a system in the settings could not keep: a location that it could
    not take back from somebody who is protected later.
    """
    found = granted.checked(configured.settings())
    if as_json:
        show_json(documents.subscriptions_checked(found))
    if found.errors:
        raise FilesRefused("the subscriptions have faults", found.faults, count=len(found.errors))
    if not as_json:
        out().print(f"{found.count} subscriptions, no fault")
        for fault in found.warnings:
            out().print(f"warning: {fault}", markup=False)


def list_all(as_json: Json = False) -> None:
    """List the systems and the streams that each receives."""
    found = granted.read(configured.settings())
    if as_json:
        show_json(documents.subscriptions(found))
    else:
        table = Table("System", "業務", "Streams", box=None, pad_edge=False)
        for each in found.report.subscriptions.values():
            table.add_row(each.system, each.ja, ", ".join(sorted(each.streams)) or "–")
        out().print(table)
    _warn(found.report.refusals)


def show(system: System, as_json: Json = False) -> None:
    """Show what SYSTEM may receive, item by item, on which ground, and what is withheld."""
    found = granted.described(configured.settings(), system)
    if found.grants is None:
        nobody = names.unknown("system", system, found.known, " with a subscription in the files")
        raise found.why_not or nobody
    said = documents.subscription(found)
    if as_json:
        show_json(said)
    else:
        _print(said)
    _warn(found.refusals)


def _warn(refusals: Sequence[GrantRefusal]) -> None:
    """Show on stderr what a file names and is not granted."""
    for refusal in refusals:
        err().print(f"not granted: {refusal.error}", style="bold red", markup=False)


def _print(shown: dict[str, Any]) -> None:
    console = out()
    head = Table(box=None, show_header=False, pad_edge=False)
    head.add_row("System", f"{shown['system']}  {shown['ja']}")
    head.add_row("業務ID", shown["business_id"] or "not set")
    head.add_row("Ministry", shown["ministry"])
    head.add_row("Organ", shown["separate_organ"] or "of the mayor's own")
    head.add_row("Zone", f"{shown['zone']}  {shown['zone_ja']}")
    console.print(head)
    if not shown["streams"]:
        console.print("\nReceives nothing.")
    for stream in shown["streams"]:
        console.print(f"\n{stream['stream']}  {stream['ja']}", style="bold")
        console.print(_terms(stream))
        console.print(_fields(stream))


def _terms(stream: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    state = "" if stream["is_in_force"] else "  NOT IN FORCE"
    if stream["not_delivered"]:
        table.add_row("  NOT DELIVERED", stream["not_delivered"])
    table.add_row("  Purpose", stream["purpose"])
    table.add_row("  Legal basis", stream["legal_basis"])
    table.add_row("  Approver", f"{stream['approver']}, {stream['approved_on']}")
    table.add_row("  Expires", f"{stream['expires_on']}{state}")
    if stream["number_use"]:
        table.add_row("  番号利用事務", stream["number_use"])
    table.add_row("  Mode", _MODE[Mode(stream["mode"])])
    table.add_row("  Suppression", _SUPPRESSION[Suppression(stream["suppression"])])
    if stream["suppression_reason"]:
        table.add_row("  Reason", stream["suppression_reason"])
    table.add_row("  Events", ", ".join(name.rpartition(".")[2] for name in stream["event_types"]))
    if stream["where"]:
        table.add_row("  Rows where", " and ".join(stream["where"]))
    table.add_row("  Not granted", ", ".join(i["ja"] for i in stream["not_granted"]) or "–")
    return table


def _fields(stream: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    has_masks = any(item["mask"] for item in stream["fields"])
    for heading in ("  Field", "項目", *(["mask"] if has_masks else []), "if protected"):
        table.add_column(heading, overflow="fold")
    for item in stream["fields"]:
        note = "withheld" if item["withheld_under_protection"] else ""
        mask = [item["mask"] or ""] if has_masks else []
        table.add_row(f"  {item['field']}", item["ja"], *mask, note)
    return table
