"""What subscriptions grant: checked, listed and described, from the files of these settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from bus.app.configured import catalog, this_day
from bus.app.masking import mask_keys
from bus.app.systems import unfit
from bus.errors import BusError, FilesRefused, PolicyError
from bus.model import Fault, MaskKey, Sensitivity, Stream, Suppression
from bus.policy import (
    Grant,
    GrantRefusal,
    Subscription,
    SubscriptionReport,
    columns_of,
    compile_view,
    read_subscriptions,
)
from bus.settings import Settings

__all__ = ["GrantRefusal"]


@dataclass(frozen=True, slots=True)
class SubscriptionFiles:
    """The subscriptions of the files, and their faults."""

    report: SubscriptionReport
    unfit: Sequence[Fault] = ()  # what a connector of the settings could not keep

    @property
    def errors(self) -> list[Fault]:
        """The faults for which something is refused."""
        return [*self.report.errors, *self.unfit]

    @property
    def warnings(self) -> list[Fault]:
        """The faults that refuse nothing, such as a grant that ends soon."""
        return [fault for fault in self.report.faults if not fault.is_error]

    @property
    def faults(self) -> list[Fault]:
        """Errors and warnings."""
        return [*self.report.faults, *self.unfit]

    @property
    def count(self) -> int:
        """How many subscriptions hold; 0 if any file has an error."""
        return 0 if self.errors else len(self.report.subscriptions)

    @property
    def refused(self) -> dict[str, set[str]]:
        """System -> the streams that its file names and that are refused for faults."""
        found: dict[str, set[str]] = {}
        for refusal in self.report.refusals:
            if refusal.stream is not None:
                found.setdefault(refusal.system, set()).add(refusal.stream)
        return found


def read(settings: Settings, today: date | None = None) -> SubscriptionFiles:
    """The shipped files, or those of the settings; none at all is an error.

    Raises:
        FilesRefused: There is no file.
    """
    report = read_subscriptions(catalog(settings), today=today)
    if not report.subscriptions and not report.refusals:
        raise FilesRefused("there are no subscriptions", report.faults)
    return SubscriptionFiles(report)


def checked(settings: Settings) -> SubscriptionFiles:
    """As :func:`read`, with warnings of grants that end soon, and errors of locations that a
    connector could not take back.

    Raises:
        FilesRefused: There is no file.
    """
    today = this_day()
    report = read(settings, today).report
    streams = catalog(settings)
    return SubscriptionFiles(report, unfit(settings.systems, report.subscriptions, streams, today))


@dataclass(frozen=True, slots=True)
class SystemGrants:
    """What the files say of one system."""

    grants: Mapping[str, Any] | None  # what it is granted, in plain values; None: nothing
    refusals: Sequence[GrantRefusal]  # what is in its file and not granted
    known: Sequence[str]  # the systems that the files are of

    @property
    def why_not(self) -> BusError | None:
        """Why it is granted nothing, where a file of it says something."""
        return self.refusals[0].error if self.refusals else None


def described(settings: Settings, system: str) -> SystemGrants:
    """What *system* may receive, item by item, on which ground, and what is withheld."""
    streams = catalog(settings)
    report = read_subscriptions(streams)
    refusals = [refusal for refusal in report.refusals if refusal.system == system]
    known = list(report.subscriptions)
    if system not in report.subscriptions:
        return SystemGrants(None, refusals, known)
    subscription = report.subscriptions[system]
    today, keys = this_day(), mask_keys(settings)
    grants = {
        "system": subscription.system,
        "ja": subscription.ja,
        "business_id": subscription.business_id,
        "ministry": subscription.ministry,
        "separate_organ": subscription.separate_organ,
        "zone": subscription.zone.value,
        "zone_ja": subscription.zone.ja,
        "streams": [
            _described(subscription, streams.stream(name), grant, today, keys)
            for name, grant in sorted(subscription.streams.items())
        ],
    }
    return SystemGrants(grants, refusals, known)


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
