"""What spans items of a record, or records of a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bus.model import Change, Fault, Severity
from bus.publish.identity import event_id_of
from bus.publish.whole import check_whole
from tests.support.changes import body, change, record

Judge = Callable[..., list[Fault]]
EARLIER = "019d4be0-0000-7abc-8def-000000000001"
STREAMS = {"resident", "household", "protection"}


def said(faults: list[Fault]) -> set[tuple[str, str | None]]:
    """Code and field of each error."""
    return {(fault.code, fault.field) for fault in faults if fault.is_error}


RESIDENT_FIELDS: list[tuple[dict[str, Any], dict[str, Any], set[tuple[str, str]]]] = [
    ({"event_type": "resident.born", "nature": "RECORD"}, {}, set()),
    ({"event_type": "resident.born", "nature": "CHANGE"}, {}, {("nature", "header.nature")}),
    ({"event_type": "resident.address_changed", "nature": "RECORD"}, {}, set()),  # a first load
    ({"event_type": "resident.corrected", "nature": "CORRECTION", "cancels": EARLIER}, {}, set()),
    (
        {"event_type": "resident.corrected", "nature": "CORRECTION"},
        {},
        {("cancels", "header.cancels")},
    ),
    ({"event_type": "resident.corrected", "nature": "CHANGE"}, {}, set()),
    ({"nature": "CHANGE", "cancels": EARLIER}, {}, {("cancels", "header.cancels")}),
    ({"nature": "CESSATION"}, {}, {("nature", "header.nature")}),
    (
        {"event_type": "resident.change_cancelled", "nature": "CANCELLATION", "cancels": EARLIER},
        {},
        set(),
    ),
    (
        {"event_type": "resident.change_cancelled", "nature": "CHANGE"},
        {},
        {("nature", "header.nature")},
    ),
    (
        {"event_type": "resident.died", "nature": "CESSATION"},
        {"resident_state": "3", "address": None},
        set(),
    ),
    ({"event_type": "resident.died", "nature": "CESSATION"}, {}, {("state", "resident_state")}),
    (
        {"event_type": "resident.moved_out", "nature": "CESSATION"},
        {"resident_state": "3"},
        {("state", "resident_state")},
    ),
    ({}, {"resident_state": "2"}, {("state", "resident_state")}),
    (
        {"event_type": "resident.name_changed"},
        {"resident_state": "9", "address": None},
        set(),
    ),
    ({}, {"address": None}, {("missing", "address")}),
    (
        {"effective_date": {"date": "2026-04-03"}},
        {},
        {("effective-date", "header.effective_date.date")},
    ),
    (
        {"event_type": "resident.move_out_filed", "effective_date": {"date": "2026-05-01"}},
        {},
        set(),
    ),
    ({"effective_date": {}}, {}, set()),
    ({}, {"birth_date": {"date": "2026-04-02", "unknown": False}}, set()),
    (
        {},
        {"birth_date": {"date": "2026-04-03", "unknown": False}},
        {("birth-date", "birth_date.date")},
    ),
]


@pytest.mark.parametrize(("fields", "items", "expected"), RESIDENT_FIELDS)
def test_a_residents_event_and_state_agree(
    judge: Judge, fields: dict[str, Any], items: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """The register's own rules, as far as its specification states them."""
    faults = judge(change(record(body=body("resident", **items), **fields)))

    assert said(faults) == expected
    assert all(fault.item for fault in faults)


def test_an_event_does_not_cancel_itself(judge: Judge) -> None:
    """What is cancelled is an earlier event."""
    itself = event_id_of("019d4be0-0000-7abc-8def-0123456789ab", 0)
    fields = {"event_type": "resident.corrected", "nature": "CORRECTION", "cancels": itself}

    assert said(judge(change(record(**fields)))) == {("cancels", "header.cancels")}


def test_the_day_of_processing_is_japans(judge: Judge) -> None:
    """Just after midnight in Japan it is still yesterday in UTC; the day that counts is Japan's."""
    value = change(
        record(effective_date={"date": "2026-04-02"}), processed_at="2026-04-01T15:00:00Z"
    )

    assert judge(value) == []
    value["processed_at"] = "2026-04-01T14:59:59Z"
    assert said(judge(value)) == {("effective-date", "header.effective_date.date")}


def test_an_unknown_day_of_an_ordinary_change_is_a_warning(judge: Judge) -> None:
    """不詳日 is for 出生, 死亡 and 職権; elsewhere somebody should look."""
    unknown = {"date": None, "unknown": True, "text": "令和８年春"}

    faults = judge(change(record(effective_date=unknown)))
    born = record(event_type="resident.born", nature="RECORD", effective_date=unknown)

    assert [(f.code, f.severity) for f in faults] == [("effective-date", Severity.WARNING)]
    assert judge(change(born)) == []


MEMBERS = [
    {"subject_id": "000000012345674", "relationship": "02"},
    {"subject_id": "123456789012340", "relationship": "20"},
]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({"head_subject_id": None, "members": [MEMBERS[1]], "member_count": 1}, set()),
        ({"head_subject_id": None, "members": [], "member_count": 0}, set()),
        ({"member_count": 3}, {("member-count", "member_count")}),
        (
            {"head_subject_id": "000000000000060"},
            {("head", "head_subject_id"), ("head", "members.relationship")},
        ),
        ({"head_subject_id": "123456789012340"}, {("head", "members.relationship")}),
        ({"head_subject_id": None}, {("head", "members.relationship")}),
        ({"members": [MEMBERS[0], MEMBERS[0]]}, {("repeated", "members.subject_id")}),
        ({"members": [{"subject_id": "000000012345674"}], "member_count": 1}, set()),
    ],
)
def test_a_household_holds_together(
    judge: Judge, items: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """The head is a member or absent, each member comes once, and they are counted."""
    other = record("household", subject_id="000000000000010")

    faults = judge(change(other, record("household", body=body("household", **items)), other))

    assert said(faults) == expected
    assert {fault.record for fault in faults if fault.is_error} <= {1}


def test_members_of_different_households_do_not_meet(judge: Judge) -> None:
    """The same person in two records of a batch is no repetition."""
    assert (
        said(judge(change(record("household"), record("household", subject_id="000000000000010"))))
        == set()
    )


@pytest.mark.parametrize(
    ("fields", "items", "expected"),
    [
        ({}, {"ends_on": None}, set()),
        ({}, {"ends_on": "2026-03-31"}, {("date-order", "ends_on")}),
        ({}, {"status": "PROVISIONAL"}, set()),
        ({}, {"status": "ENDED"}, {("state", "status")}),
        ({}, {"status": "OVER"}, {("code-list", "status")}),
        ({}, {"suppresses": []}, {("missing", "suppresses")}),
        ({}, {"suppresses": ["EVERYTHING"]}, {("code-list", "suppresses")}),
        (
            {"event_type": "protection.ended", "nature": "CESSATION"},
            {"status": "ENDED", "suppresses": []},
            set(),
        ),
        ({"event_type": "protection.ended"}, {}, {("state", "status")}),
        ({"nature": "CESSATION"}, {}, {("nature", "header.nature")}),
    ],
)
def test_a_protection_is_coherent(
    judge: Judge, fields: dict[str, Any], items: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """It lasts until somebody ends it, and while it lasts it suppresses something."""
    value = change(record("protection", body=body("protection", **items), **fields))

    assert said(judge(value)) == expected


def whole(*records: dict[str, Any], **fields: Any) -> set[tuple[str, str | None]]:
    """What is said of a change as a whole."""
    parsed = Change.model_validate(change(*records, **fields))
    return said(check_whole(parsed, STREAMS))


def test_a_change_has_as_many_records_as_it_says() -> None:
    """A part that is missing is missed (二分の一 of a file was never imported once)."""
    assert whole(record(), change_size=1) == set()
    assert whole(record(), change_size=2) == {("change-size", "change_size")}


def test_a_change_id_is_a_uuid7() -> None:
    """Another id would not carry its time, nor sort."""
    assert whole(change_id=EARLIER) == set()
    assert whole(change_id="1") == {("uuid", "change_id")}


def test_a_subject_comes_once_unless_its_versions_ascend() -> None:
    """Two records of one subject in one stream are two versions, in order."""
    assert whole(record(), record(version=2)) == set()
    assert whole(record(), record("household")) == set()
    assert whole(record(), record()) == {("version-order", "version")}
    assert whole(record(version=2), record()) == {("version-order", "version")}


def test_a_stream_must_exist() -> None:
    """What nobody knows is not published, nor what only the bus may say."""
    unknown = {**record(), "stream": "residents"}

    assert whole(unknown, {**record(), "stream": "receipt"}) == {("unknown-stream", "stream")}


@pytest.mark.parametrize("event_type", ["protection.started", "protection.extended"])
def test_a_snapshot_says_what_the_protection_beside_it_says(event_type: str) -> None:
    """A person whose protection starts is not at once published as unprotected."""
    protection = record("protection", event_type=event_type)
    flagged = record(body=body("resident", protected=True))
    other = record(subject_id="000000000000010")

    assert whole(protection, flagged, other) == set()
    assert whole(protection, record()) == {("protection-flag", "protected")}
    assert whole(record("protection", event_type="protection.ended"), record()) == set()


def test_whoever_shares_the_address_is_flagged_too() -> None:
    """Of those whom a protection names beside its subject, if the change has their records."""
    protection = record("protection", body=body("protection", shared_with=["000000000000010"]))
    flagged = record(body=body("resident", protected=True))
    shares = record(subject_id="000000000000010", body=body("resident", protected=True))

    assert whole(protection, flagged, shares) == set()
    assert whole(protection, flagged, record(subject_id="000000000000010")) == {
        ("protection-flag", "protected")
    }
    assert whole(protection, flagged, record(subject_id="000000000000020")) == set()


def test_a_protection_comes_with_the_persons_snapshot() -> None:
    """A start, an extension and an end; a start alone is a first load, somebody from elsewhere
    has no snapshot here."""
    alone = {("protection-alone", "subject_id")}
    other = record(subject_id="000000000000010")
    for event_type in ("protection.started", "protection.extended", "protection.ended"):
        word = record("protection", event_type=event_type)
        assert whole(word, other) == alone
        assert whole(word) == (set() if event_type == "protection.started" else alone)
        assert whole(word, record(body=body("resident", protected=True))) == set()
        elsewhere = {**word, "body": body("protection", from_other_municipality=True)}
        assert whole(elsewhere) == whole(elsewhere, other) == set()
        assert whole({**word, "nature": "CANCELLATION"}, other) == set()
    nonresident = {**record(), "stream": "nonresident", "body": {"protected": True}}
    extended = record("protection", event_type="protection.extended")
    assert whole(extended, nonresident) == {("unknown-stream", "stream")}  # not in this test's
