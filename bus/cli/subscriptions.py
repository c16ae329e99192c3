"""``renkei subscriptions``: what each business system may receive, and why."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus.catalog import Catalog
from bus.cli.output import Json, out, show_json
from bus.errors import ConfigurationError, FilesRefused
from bus.model import Sensitivity, Stream, Suppression
from bus.policy import (
    Grant,
    Subscription,
    check_subscriptions,
    compile_view,
    load_subscriptions,
)
from bus.policy.leaves import covers

_SUPPRESSION = {
    Suppression.WITHHOLD: "withhold: the fact of a protected person's change, no location",
    Suppression.CAPABLE: "capable: location and flag; the system itself suppresses",
}
System = Annotated[
    str, typer.Argument(help="A business system, as in `renkei subscriptions list`.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What each system may receive, and why.")
    group.command("check")(check)
    group.command("list")(list_all)
    group.command("show")(show)
    app.add_typer(group, name="subscriptions")


def check(as_json: Json = False) -> None:
    """Read every subscription and report all faults at once."""
    catalog = composition.catalog(composition.settings())
    faults = check_subscriptions(catalog, today=composition.this_day())
    count = 0 if faults else len(load_subscriptions(catalog))
    if as_json:
        show_json({"subscriptions": count, "faults": [str(fault) for fault in faults]})
    if faults:
        raise FilesRefused("the subscriptions have faults", faults, count=len(faults))
    if not as_json:
        out().print(f"{count} subscriptions, no fault")


def list_all(as_json: Json = False) -> None:
    """List the systems and the streams that each receives."""
    subscriptions = load_subscriptions(composition.catalog(composition.settings()))
    if as_json:
        show_json(
            [
                {"system": each.system, "ja": each.ja, "streams": sorted(each.streams)}
                for each in subscriptions.values()
            ]
        )
        return
    table = Table("System", "業務", "Streams", box=None, pad_edge=False)
    for each in subscriptions.values():
        table.add_row(each.system, each.ja, ", ".join(sorted(each.streams)) or "–")
    out().print(table)


def show(system: System, as_json: Json = False) -> None:
    """Show what SYSTEM may receive, item by item, on which ground, and what is withheld."""
    catalog = composition.catalog(composition.settings())
    subscriptions = load_subscriptions(catalog)
    if system not in subscriptions:
        raise ConfigurationError(
            "there is no such system; see: renkei subscriptions list", system=system
        )
    shown = describe(subscriptions[system], catalog, composition.this_day())
    if as_json:
        show_json(shown)
    else:
        _print(shown)


def describe(subscription: Subscription, catalog: Catalog, today: date) -> dict[str, Any]:
    """What a subscription grants, in plain values, ready to print."""
    return {
        "system": subscription.system,
        "ja": subscription.ja,
        "business_id": subscription.business_id,
        "ministry": subscription.ministry,
        "separate_organ": subscription.separate_organ,
        "streams": [
            _described(subscription, catalog.stream(name), grant, today)
            for name, grant in sorted(subscription.streams.items())
        ],
    }


def _described(
    subscription: Subscription, stream: Stream, grant: Grant, today: date
) -> dict[str, Any]:
    is_in_force = grant.approved_on <= today <= grant.expires_on
    body = [item for item in stream.items if not item.path.startswith("header.")]
    granted = [i for i in body if any(covers(path, i.path) for path in grant.fields)]
    view = compile_view(subscription, stream, today) if is_in_force else None
    return {
        "stream": stream.name,
        "ja": stream.ja,
        "view": view.fingerprint if view else None,
        "columns": len(view.columns) if view else None,
        "event_types": list(grant.event_types),
        "fields": [
            {
                "field": item.path,
                "ja": item.ja,
                "sensitivity": item.sensitivity.value,
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
        "legal_basis": str(grant.legal_basis),
        "purpose": grant.purpose,
        "approver": grant.approver,
        "approved_on": grant.approved_on,
        "expires_on": grant.expires_on,
        "is_in_force": is_in_force,
    }


def _print(shown: dict[str, Any]) -> None:
    console = out()
    head = Table(box=None, show_header=False, pad_edge=False)
    head.add_row("System", f"{shown['system']}  {shown['ja']}")
    head.add_row("業務ID", shown["business_id"] or "not set")
    head.add_row("Ministry", shown["ministry"])
    head.add_row("Organ", shown["separate_organ"] or "of the mayor's own")
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
    table.add_row("  Purpose", stream["purpose"])
    table.add_row("  Legal basis", stream["legal_basis"])
    table.add_row("  Approver", f"{stream['approver']}, {stream['approved_on']}")
    table.add_row("  Expires", f"{stream['expires_on']}{state}")
    table.add_row("  Suppression", _SUPPRESSION[Suppression(stream["suppression"])])
    if stream["suppression_reason"]:
        table.add_row("  Reason", stream["suppression_reason"])
    table.add_row("  Events", ", ".join(name.partition(".")[2] for name in stream["event_types"]))
    table.add_row("  Not granted", ", ".join(i["ja"] for i in stream["not_granted"]) or "–")
    return table


def _fields(stream: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("  Field", "項目", "if protected"):
        table.add_column(heading, overflow="fold")
    for item in stream["fields"]:
        note = "withheld" if item["withheld_under_protection"] else ""
        table.add_row(f"  {item['field']}", item["ja"], note)
    return table
