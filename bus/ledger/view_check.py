"""Check that a recorded view fits its fingerprint. Pure."""

from __future__ import annotations

import hashlib
import json

from bus.ledger.provisions import RecordedView


def disagreement(view: RecordedView) -> str | None:
    """Which part of a recorded view does not fit its fingerprint; None if all fits.

    Japanese names are labels and are not in the fingerprint.
    """
    if hashlib.sha256(view.statement.encode()).hexdigest() != view.fingerprint:
        return "its statement is not what the fingerprint is the digest of"
    try:
        said = json.loads(view.statement)
        stated = {
            "system": said["system"],
            "stream": said["stream"],
            "columns": [(column[0], column[1], column[3], column[5]) for column in said["columns"]],
            "event_types": tuple(said["event_types"]),
            "suppression": said["suppression"],
            "mode": said["mode"],
            "ground": said["ground"],
        }
    except (ValueError, LookupError, TypeError):
        return "its statement is of another form"
    recorded = {
        "system": view.system,
        "stream": view.stream,
        "columns": [
            (item.name, item.path, item.sensitivity, item.mask or None) for item in view.items
        ],
        "event_types": view.event_types,
        "suppression": view.suppression,
        "mode": view.mode,
        "ground": {
            "legal_basis": view.legal_basis,
            "number_use": view.number_use,
            "purpose": view.purpose,
            "approver": view.approver,
            "approved_on": view.approved_on.isoformat(),
            "expires_on": view.expires_on.isoformat(),
        },
    }
    wrong = [name for name in stated if stated[name] != recorded[name]]
    return f"not as its statement has it: {', '.join(wrong)}" if wrong else None
