"""Reading what a core system wrote, without repeating any of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.connect.source import Refusal, Taken
from bus.model import Fault
from bus.publish.admission import Bounds, read

GOOD: dict[str, Any] = {
    "municipality_code": "131130",
    "source": "resident_registry",
    "processed_at": "2026-11-02T09:00:00+09:00",
    "records": [
        {
            "stream": "resident",
            "event_type": "resident.born",
            "subject_id": "1",
            "version": 1,
            "body": {"name": {"full": "𠮷野 花子"}, "count": 12345678901234567890},
        }
    ],
}


def row(place: int, text: str) -> Taken:
    """A row of an outbox."""
    return Taken(place, text.encode(), is_from_json=True)


def test_reads_a_change() -> None:
    """Rows keep their numbers and their order, and bodies come through unchanged."""
    text = json.dumps(GOOD)

    changes, refusals = read([row(7, text), row(9, text)])

    assert [seq for seq, _ in changes] == [7, 9]
    assert changes[0][1].records[0].body == GOOD["records"][0]["body"]
    assert refusals == []


@pytest.mark.parametrize(
    ("spoilt", "code", "record", "field"),
    [
        ({"processed_at": "秘密"}, "type", None, "processed_at"),
        ({"processed_at": "2026-11-02T09:00:00"}, "type", None, "processed_at"),
        ({"秘密": 1}, "unknown-field", None, "…"),
        ({"source": None}, "type", None, "source"),
        ({"records": [{**GOOD["records"][0], "version": "1"}]}, "type", 0, "version"),
        ({"records": []}, "missing", None, "records"),
        ({"records": "秘密"}, "type", None, "records"),
        ({"records": [GOOD["records"][0], 7]}, "type", 1, None),
        ({"records": [{**GOOD["records"][0], "version": "秘密"}]}, "type", 0, "version"),
        ({"records": [{**GOOD["records"][0], "nature": "秘密"}]}, "type", 0, "nature"),
        ({"records": [{**GOOD["records"][0], "effective_date": {"秘密": 1}}]}, "unknown-field", 0,
         "effective_date.…"),
    ],
)  # fmt: skip
def test_refuses_another_shape_without_its_values(
    spoilt: dict[str, Any], code: str, record: int | None, field: str | None
) -> None:
    """A fault says where and what was expected, and nothing that was there."""
    _, (refusal,) = read([row(1, json.dumps({**GOOD, **spoilt}, ensure_ascii=False))])

    assert "秘密" not in repr(refusal) + refusal.as_json
    (fault,) = refusal.reasons
    assert (fault.code, fault.record, fault.field) == (code, record, field)
    assert fault.expected


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1e999", '{"records": ' + "9" * 5_000 + "}"]
)
def test_refuses_what_is_no_object(text: str) -> None:
    """Whatever the text, it is a refusal and no defect."""
    changes, (refusal,) = read([row(1, text)])

    assert changes == []
    assert refusal.reasons


def test_reasons_are_kept_as_json() -> None:
    """Only what is known of a fault is written, in words for an operator."""
    fault = Fault(code="code-list", expected="a code", record=0, field="sex", item="性別")

    assert json.loads(Refusal(1, [fault]).as_json) == [
        {"code": "code-list", "record": 0, "field": "sex", "item": "性別", "expected": "a code"}
    ]


@pytest.mark.parametrize(
    ("bounds", "faults"),
    [
        (Bounds(frozenset({"resident_registry"})), []),
        (Bounds(frozenset({"resident_registry"}), frozenset({"131130"})), []),
        (Bounds(frozenset({"individual_resident_tax"})), [("source", "source")]),
        (
            Bounds(frozenset({"resident_registry"}), frozenset({"131016", "011002"})),
            [("municipality", "municipality_code")],
        ),
        (
            Bounds(frozenset({"nobody"}), frozenset()),
            [("source", "source"), ("municipality", "municipality_code")],
        ),
    ],
)
def test_an_outbox_is_held_to_its_source_and_municipality(
    bounds: Bounds, faults: list[tuple[str, str]]
) -> None:
    """A core system cannot speak for another; what is another's is refused, in its own words."""
    changes, refusals = read([row(1, json.dumps(GOOD)), row(2, "[]")], bounds)

    assert [seq for seq, _ in changes] == ([] if faults else [1])
    found = [fault for refusal in refusals if refusal.place == 1 for fault in refusal.reasons]
    assert [(fault.code, fault.field) for fault in found] == faults
    assert all(fault.item and "131130" not in fault.expected for fault in found)
    assert [refusal.place for refusal in refusals][-1] == 2
