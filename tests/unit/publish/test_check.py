"""Every item is what its schema says, all faults at once, and none repeats a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.catalog import Catalog
from bus.errors import EventInvalid
from bus.model import Change, Fault, Severity
from bus.publish.body import Fitter
from bus.publish.check import Checker, check_columns
from bus.publish.finding import faults_of
from bus.publish.rows import StreamRows, add_rows
from tests.support.changes import body, change, record

NOW = datetime(2026, 4, 2, 1, 0, tzinfo=UTC)
Judge = Callable[..., list[Fault]]


def resident(**items: Any) -> dict[str, Any]:
    """A change of one resident with items replaced."""
    return change(record(body=body("resident", **items)))


def said(faults: list[Fault]) -> set[tuple[str, str | None]]:
    """Code and field of each fault."""
    return {(fault.code, fault.field) for fault in faults}


@pytest.mark.parametrize("stream", ["resident", "household", "protection"])
def test_a_well_formed_record_has_no_fault(judge: Judge, stream: str) -> None:
    """What is right is not even warned of."""
    assert judge(change(record(stream))) == []


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"address__municipality_code": "131017"}, "check-digit", "address.municipality_code"),
    ({"address__municipality_code": "13101"}, "check-digit", "address.municipality_code"),
    ({"address__municipality_code": "999999"}, "check-digit", "address.municipality_code"),
    ({"address__town_code": "123456"}, "digits", "address.town_code"),
    ({"address__town_code": "００００００１"}, "digits", "address.town_code"),
    ({"address__postal_code": "100-0013"}, "digits", "address.postal_code"),
    ({"address__postal_code": ""}, "digits", "address.postal_code"),
    ({"address__prefecture": "東京都東京都"}, "too-long", "address.prefecture"),
    ({"address__lot": "１\x00番"}, "control-character", "address.lot"),
    ({"name__full": "山田\n太郎"}, "control-character", "name.full"),
    ({"name__full": "山\x80田"}, "control-character", "name.full"),
    ({"name__full": "\ue000田"}, "private-use", "name.full"),
    ({"name__full": "田" * 1_000_000}, "too-long", "name.full"),
    ({"name__family": "山" * 51}, "too-long", "name.family"),
    ({"sex": "3"}, "code-list", "sex"),
    ({"sex": ""}, "code-list", "sex"),
    ({"resident_kind": "０"}, "code-list", "resident_kind"),
    ({"relationship": "03"}, "code-list", "relationship"),
    ({"relationship": "2020202020"}, "code-list", "relationship"),
    ({"relationship": "020"}, "code-list", "relationship"),
    ({"relationship": ""}, "code-list", "relationship"),
    ({"household_number": "1" * 16}, "too-long", "household_number"),
    ({"household_number": "12345674"}, "number-form", "household_number"),
    ({"household_number": "000000012345674 "}, "number-form", "household_number"),
    ({"household_number": " 00000012345674"}, "number-form", "household_number"),
    ({"household_number": "9999-99-99"}, "number-form", "household_number"),
    ({"name__kana": "0000-00-00"}, "kana", "name.kana"),
    ({"name__full": "20261129"}, "name", "name.full"),
    ({"address__municipality": "20261129"}, "name", "address.municipality"),
    ({"nationality": "392 "}, "blank", "nationality"),
    ({"residence_status": "\u3000永住"}, "blank", "residence_status"),
    ({"household_number": "１２３"}, "half-width", "household_number"),
    ({"household_number": ""}, "empty", "household_number"),
    ({"birth_date": {"unknown": True}}, "missing", "birth_date.text"),
    ({"birth_date": {"unknown": False}}, "missing", "birth_date.date"),
    ({"birth_date": {"unknown": False, "date": "9999-12-31"}}, "open-date", "birth_date.date"),
    ({"birth_date": {"unknown": True, "text": "年" * 73}}, "too-long", "birth_date.text"),
    ({"residence_expires_on": "2026-02-30"}, "date", "residence_expires_on"),
    ({"residence_expires_on": "0000-01-01"}, "date", "residence_expires_on"),
    ({"residence_expires_on": "2026-4-1"}, "date", "residence_expires_on"),
]


@pytest.mark.parametrize(("items", "code", "field"), WRONG)
def test_a_wrong_item_is_an_error(
    judge: Judge, items: dict[str, Any], code: str, field: str
) -> None:
    """Each is found under its code and its item's Japanese name, and its value is not told."""
    faults = judge(resident(**items))

    errors = [fault for fault in faults if fault.is_error]
    assert (code, field) in said(errors)
    assert all(fault.item and fault.record == 0 for fault in errors)
    for value in items.values():
        if isinstance(value, str) and len(value) > 3:
            assert value not in " ".join(map(str, faults))


RIGHT: list[dict[str, Any]] = [
    *(
        {"address__municipality_code": code}
        for code in ("131016", "011002", "141003", "231002", "271004", "131041", "131130", "011011",
                     "012025", "131032")
    ),
    {"address__town_code": "0000000"},  # no 町字
    {"address__town_code": "9999999"},  # not in the registry
    {"address__postal_code": None},
    {"address__prefecture": "東京都\U000e0100東"},  # four characters, five code points
    {"name__family": "辻\U000e0100" * 50},
    {"name__full": "Ａ　Ｂ", "name__roman": "ＡＢＣ"},
    {"name__full": None, "name__family": None},
    {"relationship": "20202020"},
    {"relationship": None},
    {"birth_date": {"date": "2020-02-29", "unknown": False, "text": None}},
    {"birth_date": {"date": None, "unknown": True, "text": "令和３年頃"}},
    {"birth_date": {"date": "1912-07-30", "unknown": False}},  # 明治45.7.30
    {"birth_date": {"date": "1926-12-25", "unknown": False}},  # 大正15.12.25
    {"household_number": "123456789012340"},
    {"name__kana": "ﾔﾏﾀﾞ ﾀﾛｳ", "name__full": "山田　太郎　"},
    {"name__kana": "", "name__full": "―"},
    {"address__municipality": "千代田区２"},
    {"previous_address": {"municipality_code": "999999", "town_code": "9999999"}},
    {"bulk": True},
]  # fmt: skip


@pytest.mark.parametrize("items", RIGHT)
def test_a_right_item_passes(judge: Judge, items: dict[str, Any]) -> None:
    """Also where it is rare."""
    assert judge(resident(**items)) == []


def test_a_wrong_atena_number_is_a_warning(judge: Judge) -> None:
    """Old numbers were kept: the check digit advises, and rejects nothing."""
    value = change(
        record(
            subject_id="000000012345675", body=body("resident", household_number="000000000000012")
        )
    )

    faults = judge(value)

    assert said(faults) == {
        ("check-digit", "header.subject_id"),
        ("check-digit", "household_number"),
    }
    assert {fault.severity for fault in faults} == {Severity.WARNING}
    assert {fault.item for fault in faults} == {"宛名番号", "世帯番号"}


def test_a_date_of_no_calendar_is_carried(judge: Judge) -> None:
    """29 February of a common year travels as text, with a warning (1.1.8)."""
    faults = judge(resident(birth_date={"date": "2023-02-29", "unknown": False, "text": None}))

    assert [(f.code, f.field, f.severity) for f in faults] == [
        ("no-calendar-date", "birth_date.date", Severity.WARNING)
    ]


@pytest.mark.parametrize("day", ["1849-12-31", "2150-01-01"])
def test_an_implausible_date_is_a_warning(judge: Judge, day: str) -> None:
    """It may be right, and somebody should look."""
    faults = judge(resident(became_resident_on={"date": day, "unknown": False}))

    assert [(f.code, f.severity) for f in faults] == [("implausible-date", Severity.WARNING)]


def test_faults_inside_lists_name_their_record(judge: Judge) -> None:
    """An entry of a list is looked at as an item is."""
    members = [{"subject_id": "x" * 16}, {"subject_id": "000000012345674", "relationship": "zz"}]
    spoilt = body("household", members=members, head_subject_id=None)
    wrong = record("household", subject_id="000000000000002", body=spoilt)

    faults = [f for f in judge(change(record("household"), wrong)) if f.is_error]

    assert said(faults) == {
        ("too-long", "members.subject_id"),
        ("number-form", "members.subject_id"),
        ("code-list", "members.relationship"),
    }
    assert {fault.record for fault in faults} == {1}
    assert {fault.item for fault in faults} == {"世帯員_宛名番号", "世帯員_続柄"}


def test_all_faults_at_once(judge: Judge) -> None:
    """Whoever mends a record mends it once."""
    items = {"sex": "7", "address__postal_code": "x", "name__full": "\x07", "protected": 1}

    faults = judge(change(record(version=0, body=body("resident", **items)), reason="?"))

    assert said(faults) == {
        ("code-list", "sex"),
        ("digits", "address.postal_code"),
        ("control-character", "name.full"),
        ("type", "protected"),
        ("range", "header.version"),
        ("code-list", "header.reason"),
    }


BODIES: list[tuple[Callable[[dict[str, Any]], Any], str, str | None]] = [
    (lambda b: b.pop("sex"), "missing", "sex"),
    (lambda b: b.pop("name"), "missing", "name"),
    (lambda b: b["birth_date"].pop("unknown"), "missing", "birth_date.unknown"),
    (lambda b: b["address"].pop("prefecture"), "missing", "address.prefecture"),
    (lambda b: b.update(sex=None), "type", "sex"),
    (lambda b: b.update(sex=1), "type", "sex"),
    (lambda b: b.update(name="山田"), "type", "name"),
    (lambda b: b.update(name=[]), "type", "name"),
    (lambda b: b.update(bulk="true"), "type", "bulk"),
    (lambda b: b.update(residence_expires_on=20260401), "type", "residence_expires_on"),
    (lambda b: b.update(header={}), "unknown-field", "header"),
    (lambda b: b.update(weight=1), "unknown-field", "weight"),
    (lambda b: b["name"].update(nickname="x"), "unknown-field", "name.nickname"),
    (lambda b: b.update(n123456789018="x"), "unknown-field", "…"),
    (lambda b: b["address"].update({"山田 太郎": "x"}), "unknown-field", "address.…"),
]


@pytest.mark.parametrize(("spoil", "code", "field"), BODIES)
def test_a_body_that_is_no_record_of_the_stream(
    judge: Judge, spoil: Callable[[dict[str, Any]], Any], code: str, field: str | None
) -> None:
    """What is missing, of another type or unknown is said by path, once."""
    spoilt = body("resident")
    spoil(spoilt)
    value = change(record(body={}))
    value["records"][0]["body"] = spoilt

    faults = judge(value)

    wanted = "date" if field == "residence_expires_on" else code
    assert said([fault for fault in faults if fault.is_error]) == {(wanted, field)}


def test_half_a_character_is_refused(judge: Judge) -> None:
    """A surrogate without its other half, which Python's text can hold, is no text."""
    value = change(record(body=body("resident", name__full="\ud842")), source="\udfb7")

    faults = judge(Change.model_validate(value))

    assert said(faults) == {("encoding", "name.full"), ("encoding", "header.source")}


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"event_type": "resident.vanished"}, "event-type", "header.event_type"),
        ({"event_type": "household.changed"}, "event-type", "header.event_type"),
        ({"cancels": "1"}, "uuid", "header.cancels"),
        ({"subject_id": "000000000000１２３"}, "half-width", "header.subject_id"),
        ({"subject_id": ""}, "empty", "header.subject_id"),
        ({"version": 2**31}, "range", "header.version"),
        ({"version": -(10**40)}, "range", "header.version"),
        ({"version": 0}, "range", "header.version"),
        ({"effective_date": {"unknown": True}}, "missing", "header.effective_date.text"),
    ],
)
def test_the_header_is_checked_too(
    judge: Judge, fields: dict[str, Any], code: str, path: str
) -> None:
    """Event types belong to their stream, ids are ids."""
    faults = judge(change(record(**fields)))

    assert (code, path) in said([fault for fault in faults if fault.is_error])


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (timedelta(minutes=4), None),
        (timedelta(hours=1), "clock-ahead"),
        (timedelta(hours=25), "processed-at"),
        (-timedelta(hours=1), None),
        (-timedelta(days=365), None),
    ],
)
def test_a_publishers_clock(judge: Judge, ahead: timedelta, code: str | None) -> None:
    """An hour ahead is reported and passes; a day ahead is refused; behind cannot be told."""
    faults = judge(change(processed_at=(NOW + ahead).isoformat()))

    found = [fault for fault in faults if fault.field == "header.processed_at"]
    assert [fault.code for fault in found] == ([code] if code else [])
    assert all(fault.is_error == (code == "processed-at") for fault in found)


def test_declared_private_use_is_a_warning(catalog: Catalog) -> None:
    """Where the site has declared its table, 外字 pass."""
    stream = catalog.stream("resident")
    checker = Checker(catalog, stream, private_use=Severity.WARNING)
    records = _columns(checker, name__full="\ue000田")

    faults = faults_of(checker.find(records, NOW))

    assert [(f.code, f.severity) for f in faults] == [("private-use", Severity.WARNING)]


def _columns(checker: Checker, **items: Any) -> pa.RecordBatch:
    parsed = Change.model_validate_json(json.dumps(resident(**items)), strict=True)
    rows = {"resident": StreamRows()}
    change_id = "019d4be0-0000-7abc-8def-0123456789ab"
    add_rows(rows, {"resident": Fitter(checker.stream)}, 0, parsed, change_id)
    return rows["resident"].batch(checker.schema)


def test_columns_of_another_stream_are_refused(catalog: Catalog) -> None:
    """The bulk path takes exactly the stream's own columns."""
    resident_stream = catalog.stream("resident")
    records = _columns(Checker(catalog, resident_stream))

    with pytest.raises(EventInvalid):
        check_columns(catalog, catalog.stream("household"), records)
    with pytest.raises(EventInvalid):
        check_columns(catalog, resident_stream, records.drop_columns(["sex"]))


def test_text_that_is_no_utf8_is_refused(catalog: Catalog) -> None:
    """Shift_JIS bytes that somebody put into a text column do not get out again."""
    stream = catalog.stream("resident")
    checker = Checker(catalog, stream)
    records = _columns(checker)
    sjis = pa.array(["山田".encode("shift_jis")]).view(pa.string())
    place = records.schema.get_field_index("household_number")
    spoilt = records.set_column(place, records.schema.field(place), sjis)

    with pytest.raises(EventInvalid) as raised:
        checker.find(spoilt, NOW)
    assert raised.value.__cause__ is None


def test_missing_values_in_columns_are_found(catalog: Catalog) -> None:
    """A null where the schema has none is a fault, also inside a record that is there."""
    stream = catalog.stream("resident")
    records = _columns(Checker(catalog, stream))
    row = records.to_pylist()[0]
    row["sex"] = None
    row["address"]["prefecture"] = None
    row["previous_address"] = None
    row["header"]["source"] = None
    spoilt = pa.RecordBatch.from_pylist([row], schema=records.schema)

    faults = check_columns(catalog, stream, spoilt, now=NOW)

    assert said(faults) == {
        ("missing", "sex"),
        ("missing", "address.prefecture"),
        ("missing", "header.source"),
    }


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([*range(len(WRONG))]), min_size=1, max_size=6))
def test_rows_of_a_batch_do_not_disturb_each_other(judge: Judge, chosen: list[int]) -> None:
    """What is said of a record does not hang on its neighbours."""
    records = [
        record(subject_id=str(10 + at), body=body("resident", **WRONG[place][0]))
        for at, place in enumerate(chosen)
        if WRONG[place][0] != {"name__full": "田" * 1_000_000}
    ]
    if not records:
        return
    together = judge(change(*records))

    for at, alone in enumerate(records):
        expected = said(judge(change(alone)))
        assert said([fault for fault in together if fault.record == at]) == expected
