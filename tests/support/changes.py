"""Well-formed changes for tests: one resident, household or protection, any item replaced.

The person is made up; every number passes its check digit.
"""

from __future__ import annotations

import copy
from typing import Any

MUNICIPALITY = "131016"

_ADDRESS = {
    "municipality_code": "131016",
    "town_code": "0002002",
    "prefecture": "東京都",
    "municipality": "千代田区",
    "town": "霞が関二丁目",
    "lot": "１番２号",
    "building": None,
    "building_kana": None,
    "postal_code": "1000013",
}
_RESIDENT = {
    "household_number": "000000012345674",
    "name": {
        "full": "辻\U000e0100　花子",
        "family": "辻\U000e0100",
        "given": "花子",
        "kana": "ツジ　ハナコ",
    },
    "sex": "2",
    "birth_date": {"date": "1980-02-29", "unknown": False, "text": None},
    "resident_kind": "1",
    "resident_state": "1",
    "relationship": "02",
    "address": _ADDRESS,
    "protected": False,
}
_HOUSEHOLD = {
    "head_subject_id": "000000012345674",
    "members": [
        {"subject_id": "000000012345674", "relationship": "02"},
        {"subject_id": "123456789012340", "relationship": "20"},
    ],
    "member_count": 2,
}
_PROTECTION = {
    "status": "ACTIVE",
    "kind": "STALKING",
    "started_on": "2026-04-01",
    "ends_on": "2027-03-31",
    "suppresses": ["CURRENT_ADDRESS"],
    "from_other_municipality": False,
    "household_number": None,
    "shared_with": [],
}
_INDIVIDUAL_NUMBER = {"number": "123456789018", "assigned_on": "2026-04-01"}
_BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "individual_number": (_INDIVIDUAL_NUMBER, "individual_number.assigned"),
    "resident": (_RESIDENT, "resident.address_changed"),
    "household": (_HOUSEHOLD, "household.changed"),
    "protection": (_PROTECTION, "protection.started"),
}


def body(stream: str, /, **items: Any) -> dict[str, Any]:
    """A whole body; ``birth_date__text="…"`` replaces an item inside a record."""
    made: dict[str, Any] = copy.deepcopy(_BODIES[stream][0])
    for name, value in items.items():
        *above, last = name.split("__")
        place = made
        for part in above:
            place = place[part]
        place[last] = value
    return made


def living(*members: str) -> dict[str, Any]:
    """What a household's record says of who is a member of it now."""
    listed = [{"subject_id": each, "relationship": None} for each in members]
    return {"head_subject_id": None, "members": listed, "member_count": len(listed)}


def record(stream: str = "resident", /, **fields: Any) -> dict[str, Any]:
    """One record of a change as JSON has it; *fields* replace its own, not its body's."""
    return {
        "stream": stream,
        "event_type": _BODIES[stream][1],
        "nature": "CHANGE",
        "subject_id": "000000012345674",
        "version": 1,
        "effective_date": {"date": "2026-04-01"},
        "body": body(stream),
        **fields,
    }


def case(began: str, /, **items: Any) -> dict[str, Any]:
    """One case of a protection, with those whom it names as ``shared_with``."""
    return {
        "started_on": began,
        "status": "ACTIVE",
        "kind": "STALKING",
        "ends_on": None,
        "current_address": True,
        "previous_address": False,
        "registered_domicile": False,
        "from_other_municipality": False,
        "shared_with": [],
        **items,
    }


def by_cases(named: str, /, *cases: dict[str, Any], **items: Any) -> dict[str, Any]:
    """The body of a protection that is about the case *named*, and has *cases*."""
    listed = [{k: v for k, v in each.items() if k != "shared_with"} for each in cases]
    sharers = [
        {"started_on": each["started_on"], "subject_id": number}
        for each in cases
        for number in each["shared_with"]
    ]
    opened = [each for each in cases if each["status"] != "ENDED"]
    states = {each["status"] for each in opened}
    flags = {
        "current_address": "CURRENT_ADDRESS",
        "previous_address": "PREVIOUS_ADDRESS",
        "registered_domicile": "REGISTERED_DOMICILE",
    }
    return body(
        "protection",
        status="ACTIVE" if "ACTIVE" in states else "PROVISIONAL" if states else "ENDED",
        started_on=named,
        ends_on=None,
        suppresses=[word for flag, word in flags.items() if any(c[flag] for c in opened)],
        shared_with=sorted({number for each in opened for number in each["shared_with"]}),
        cases=listed,
        sharers=sharers,
        **items,
    )


def change(*records: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A change as JSON has it, by default of one resident."""
    return {
        "municipality_code": MUNICIPALITY,
        "source": "resident_registry",
        "reason": "MOVED_WITHIN",
        "notified_on": "2026-04-02",
        "processed_at": "2026-04-02T09:30:00+09:00",
        "records": list(records) or [record()],
        **fields,
    }
