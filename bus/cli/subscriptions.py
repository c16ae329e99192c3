"""``renkei subscriptions``: what each business system may receive, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus.catalog import Catalog
from bus.cli import names, policyapply, policydiff, policysimulate
from bus.cli.output import Json, err, out, show_json
from bus.errors import FilesRefused, PolicyError
from bus.model import MaskKey, Mode, Sensitivity, Stream, Suppression
from bus.policy import (
    Grant,
    Refusal,
    Subscription,
    SubscriptionReport,
    columns_of,
    compile_view,
    read_subscriptions,
)

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
    today, settings = composition.this_day(), composition.settings()
    report = _read(today)
    warnings = [fault for fault in report.faults if not fault.is_error]
    catalog = composition.catalog(settings)
    unfit = composition.unfit(settings.systems, report.subscriptions, catalog, today)
    errors = [*report.errors, *unfit]
    count = 0 if errors else len(report.subscriptions)
    if as_json:
        show_json(
            {
                "subscriptions": count,
                "faults": [str(fault) for fault in errors],
                "warnings": [str(fault) for fault in warnings],
            }
        )
    if errors:
        raise FilesRefused(
            "the subscriptions have faults", [*report.faults, *unfit], count=len(errors)
        )
    if not as_json:
        out().print(f"{count} subscriptions, no fault")
        for fault in warnings:
            out().print(f"warning: {fault}", markup=False)


def list_all(as_json: Json = False) -> None:
    """List the systems and the streams that each receives."""
    report = _read()
    refused = _refused(report)
    if as_json:
        show_json(
            [
                {
                    "system": each.system,
                    "ja": each.ja,
                    "streams": sorted(each.streams),
                    "refused": sorted(refused.get(each.system, {})),
                }
                for each in report.subscriptions.values()
            ]
        )
    else:
        table = Table("System", "業務", "Streams", box=None, pad_edge=False)
        for each in report.subscriptions.values():
            table.add_row(each.system, each.ja, ", ".join(sorted(each.streams)) or "–")
        out().print(table)
    _warn(report.refusals)


def show(system: System, as_json: Json = False) -> None:
    """Show what SYSTEM may receive, item by item, on which ground, and what is withheld."""
    settings = composition.settings()
    catalog = composition.catalog(settings)
    report = read_subscriptions(catalog)
    refusals = [refusal for refusal in report.refusals if refusal.system == system]
    if system not in report.subscriptions:
        if refusals:
            raise refusals[0].error
        raise names.unknown(
            "system", system, report.subscriptions, " with a subscription in the files"
        )
    today, keys = composition.this_day(), composition.mask_keys(settings)
    shown = describe(report.subscriptions[system], catalog, today, keys)
    if as_json:
        show_json(shown)
    else:
        _print(shown)
    _warn(refusals)


def _read(today: date | None = None) -> SubscriptionReport:
    """The shipped files, or those of the settings; none at all is an error.

    Raises:
        FilesRefused: There is no file.
    """
    report = read_subscriptions(composition.catalog(composition.settings()), today=today)
    if not report.subscriptions and not report.refusals:
        raise FilesRefused("there are no subscriptions", report.faults)
    return report


def _refused(report: SubscriptionReport) -> dict[str, set[str]]:
    """System -> the streams of its file that are not granted because of faults."""
    found: dict[str, set[str]] = {}
    for refusal in report.refusals:
        if refusal.stream is not None:
            found.setdefault(refusal.system, set()).add(refusal.stream)
    return found


def _warn(refusals: Sequence[Refusal]) -> None:
    """What is in a file and not granted, on stderr."""
    for refusal in refusals:
        err().print(f"not granted: {refusal.error}", style="bold red", markup=False)


def describe(
    subscription: Subscription, catalog: Catalog, today: date, keys: Mapping[str, MaskKey]
) -> dict[str, Any]:
    """What a subscription grants, in plain values, ready to print."""
    return {
        "system": subscription.system,
        "ja": subscription.ja,
        "business_id": subscription.business_id,
        "ministry": subscription.ministry,
        "separate_organ": subscription.separate_organ,
        "zone": subscription.zone.value,
        "zone_ja": subscription.zone.ja,
        "streams": [
            _described(subscription, catalog.stream(name), grant, today, keys)
            for name, grant in sorted(subscription.streams.items())
        ],
    }


def _described(
    subscription: Subscription,
    stream: Stream,
    grant: Grant,
    today: date,
    keys: Mapping[str, MaskKey],
) -> dict[str, Any]:
    body = [item for item in stream.items if not item.is_header]
    granted = [item for item in body if grant.grants(item.path)]
    masks = {c.path: str(c.mask.kind) for c in columns_of(grant, stream) if c.mask is not None}
    view, refused = None, None
    try:
        view = compile_view(subscription, stream, today, keys)
    except PolicyError as error:
        refused = str(error)
    return {
        "stream": stream.name,
        "ja": stream.ja,
        "view": view.fingerprint if view else None,
        "not_delivered": refused,
        "columns": len(view.columns) if view else None,
        "event_types": list(grant.event_types),
        "where": [str(condition) for condition in grant.conditions],
        "fields": [
            {
                "field": item.path,
                "ja": item.ja,
                "sensitivity": item.sensitivity.value,
                "mask": masks.get(item.path),
                "withheld_under_protection": item.sensitivity is Sensitivity.LOCATION
                and grant.suppression is Suppression.WITHHOLD,
            }
            for item in granted
        ],
        "not_granted": [
            {"field": item.path, "ja": item.ja} for item in body if item not in granted
        ],
        "suppression": grant.suppression.value,
        "suppression_reason": grant.suppression_reason,
        "mode": grant.mode.value,
        "number_use": str(grant.number_use) if grant.number_use else None,
        "legal_basis": str(grant.legal_basis),
        "purpose": grant.purpose,
        "approver": grant.approver,
        "approved_on": grant.approved_on,
        "expires_on": grant.expires_on,
        "is_in_force": grant.is_in_force(today),
    }


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
