"""Documents of provisions: what was given to whom, on what ground."""

from __future__ import annotations

from collections.abc import Mapping

from bus.ledger.provisions import Provision, RecordedView, SystemProvisions
from bus.operate.documents.shape import Document, of, shaped
from bus.operate.provisions import Page, ProvisionsShown


@shaped(ProvisionsShown, "provisions-of", 2)
def given_of(value: ProvisionsShown) -> Document:
    """A page of the provisions of a subject, and where the next one begins."""
    answer, erasure = value.answer, value.answer.erasure
    return {
        "municipality_code": answer.municipality_code,
        "subject_id": answer.subject_id,
        "protection_recorded": answer.has_protection,
        "provisions": [of(provision) for provision in answer.provisions],
        "after": value.after,
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
        "notes": [{"ja": ja, "en": en} for ja, en in value.notes],
    }


@shaped(SystemProvisions, "provisions-by")
def given_to(value: SystemProvisions) -> Document:
    """The provisions to a system, by day."""
    return {
        "system": value.system,
        "events": value.events,
        "days": [
            {
                "day": day.day.isoformat(),
                "stream": day.stream,
                "view": day.view,
                "events": day.events,
                "deliveries": day.deliveries,
            }
            for day in value.days
        ],
        "views": _views(value.views),
    }


@shaped(Page, "provisions-page")
def page(value: Page) -> Document:
    """A page of provisions, and where the next one begins."""
    return {"provisions": [of(each) for each in value.events], "after": value.after}


@shaped(Provision, "provision")
def provision(value: Provision) -> Document:
    """One event that one system was given."""
    return {
        "given_at": value.given_at.isoformat(),
        "system": value.system,
        "stream": value.stream,
        "subject_id": value.subject_id,
        "version": value.version,
        "event_type": value.event_type,
        "event_id": value.event_id,
        "change_id": value.change_id,
        "processed_at": value.processed_at.isoformat(),
        "partition": value.partition,
        "offset": value.offset,
        "view": value.view,
        "replay": value.is_replay,
        "receipt": value.receipt,
    }


@shaped(RecordedView, "recorded-view")
def view(value: RecordedView) -> Document:
    """A recorded view."""
    return {
        "system": value.system,
        "system_ja": value.system_ja,
        "stream": value.stream,
        "stream_ja": value.stream_ja,
        "schema_version": value.schema_version,
        "items": [
            {
                "name": item.name,
                "path": item.path,
                "ja": item.ja,
                "sensitivity": item.sensitivity,
                "mask": item.mask or None,
            }
            for item in value.items
        ],
        "event_types": list(value.event_types),
        "conditions": list(value.conditions),
        "suppression": value.suppression,
        "mode": value.mode,
        "legal_basis": value.legal_basis,
        "number_use": value.number_use or None,
        "purpose": value.purpose,
        "approver": value.approver,
        "approved_on": value.approved_on.isoformat(),
        "expires_on": value.expires_on.isoformat(),
    }


def _views(views: Mapping[str, RecordedView]) -> Document:
    return {fingerprint: of(view) for fingerprint, view in views.items()}
