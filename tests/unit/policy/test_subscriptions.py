"""Subscription files: those that ship, and what a bad one is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from bus.catalog import Catalog, load
from bus.errors import FilesRefused
from bus.policy import (
    check_subscriptions,
    compile_view,
    load_subscriptions,
    read_subscription,
    read_subscriptions,
)

TODAY = date(2026, 11, 24)
SYSTEMS = {
    "child_allowance", "resident_registry", "electoral_roll", "fixed_asset_tax",
    "individual_resident_tax", "corporate_resident_tax", "light_vehicle_tax", "school_enrollment",
    "national_health_insurance", "national_pension", "disability_welfare", "late_elderly_medical",
    "long_term_care_insurance", "public_assistance", "health_management",
    "child_rearing_allowance", "child_childcare_support",
}  # fmt: skip

GOOD = """\
system: some_system
ja: 何か
business_id: null
ministry: 総務省
separate_organ: null
zone: individual_number
streams:
  resident:
    event_types:
      - resident.moved_in
    fields:
      - name.full
      - address
      - protected
      - household_number
    suppression: withhold
    legal_basis:
      - law: 何法
    purpose: 何のため
    approver: 総務部長
    approved_on: 2026-04-01
    expires_on: 2029-03-31
  protection:
    event_types:
      - protection.started
      - protection.extended
      - protection.ended
    fields:
      - status
    legal_basis:
      - law: 何法
    purpose: 何のため
    approver: 総務部長
    approved_on: 2026-04-01
    expires_on: 2029-03-31
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.fixture
def faults_of(catalog: Catalog, tmp_path: Path) -> Callable[..., list[tuple[str, int | None]]]:
    """Checks files given by name (without the ending); their faults as (code, line)."""

    def check(**files: str | bytes) -> list[tuple[str, int | None]]:
        folder = tmp_path / "subscriptions"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / f"{name}.yaml").write_bytes(data)
        return [(f.code, f.line) for f in check_subscriptions(catalog, tmp_path, today=TODAY)]

    return check


def test_the_shipped_subscriptions_have_no_fault(catalog: Catalog) -> None:
    """Seventeen systems, one file each, in force today."""
    assert check_subscriptions(catalog, today=TODAY) == []
    assert set(load_subscriptions(catalog)) == SYSTEMS


def test_sixteen_receive_every_event_of_what_they_subscribe_to(catalog: Catalog) -> None:
    """A filtered newest event would leave a system that starts later without the subject."""
    subscriptions = load_subscriptions(catalog)
    receiving = {s for s, each in subscriptions.items() if "resident" in each.streams}

    assert receiving == SYSTEMS - {"resident_registry"}
    for each in subscriptions.values():
        for name, grant in each.streams.items():
            assert set(grant.event_types) == set(catalog.stream(name).event_types), each.system


def granted_items(catalog: Catalog, system: str, stream: str) -> set[str]:
    """The body's columns that a system sees of a stream."""
    view = compile_view(load_subscriptions(catalog)[system], catalog.stream(stream), TODAY)
    return {c.name for c in view.columns if c.path and not c.path.startswith("header.")}


def test_every_system_receives_and_every_stream_has_a_receiver(catalog: Catalog) -> None:
    """But for streams of which no receiver among the seventeen is known."""
    subscriptions = load_subscriptions(catalog)
    received = {stream for each in subscriptions.values() for stream in each.streams}
    published = {name for name, stream in catalog.streams.items() if not stream.is_internal}

    assert all(each.streams for each in subscriptions.values())
    assert published - received == {
        "child_childcare_support.certification", "corporate_resident_tax.levy",
        "fixed_asset_tax.levy", "health_management.vaccination", "light_vehicle_tax.vehicle",
        "school_enrollment.enrollment",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "items"),
    [
        ("national_health_insurance.qualification", {"insured", "acquired_on", "lost_on"}),
        ("late_elderly_medical.qualification", {"insured", "acquired_on", "lost_on"}),
        ("long_term_care_insurance.qualification", {"insured", "acquired_on", "lost_on"}),
        (
            "national_pension.qualification",
            {"enrolled", "basic_pension_number", "insured_kind", "kind_changed_on", "acquired_on",
             "lost_on"},
        ),
        ("child_allowance.receipt", {"receiving", "start_month", "end_month"}),
        ("electoral_roll.registration", {"protected", "registered"}),
    ],
)  # fmt: skip
def test_the_register_takes_what_the_standard_names_and_no_more(
    catalog: Catalog, stream: str, items: set[str]
) -> None:
    """No certificate numbers, no further electoral details (標準仕様書 v1.0 7.2.2)."""
    assert granted_items(catalog, "resident_registry", stream) == items


def test_whoever_has_individual_numbers_has_an_ordinance(catalog: Catalog) -> None:
    """A few 番号利用事務 systems of the mayor's own, and no others."""
    having = {
        system: each.streams["individual_number"]
        for system, each in load_subscriptions(catalog).items()
        if "individual_number" in each.streams
    }

    assert set(having) == {
        "individual_resident_tax",
        "national_health_insurance",
        "child_allowance",
    }
    assert all(grant.number_use is not None for grant in having.values())


def test_the_fee_is_judged_by_the_municipal_levy_alone(catalog: Catalog) -> None:
    """Prefectural shares went to the wrong place once (2019-09)."""
    items = granted_items(catalog, "child_childcare_support", "individual_resident_tax.assessment")

    assert "municipal_income_levy" in items
    assert not any(name.startswith("prefectural") or name == "income" for name in items)
    assert "total_income" not in items


def test_what_is_not_for_other_businesses_stays(catalog: Catalog) -> None:
    """他業務参照不可フラグ: every receiver but the register, which gets no more than the link."""
    for system, each in load_subscriptions(catalog).items():
        if "nonresident" in each.streams and system != "resident_registry":
            rules = [str(condition) for condition in each.streams["nonresident"].conditions]
            assert rules == ["not_for_other_businesses equals false"], system


def test_whoever_receives_a_location_hears_of_protection(catalog: Catalog) -> None:
    """Persons protected by another municipality's notice are in the protection stream only."""
    for each in load_subscriptions(catalog).values():
        resident = each.streams.get("resident")
        if resident and any("address" in field for field in resident.fields):
            assert "protected" in resident.fields, each.system
            assert "protection" in each.streams, each.system


def test_business_ids_are_never_invented(catalog: Catalog) -> None:
    """Only the register's 業務ID is known; the others are the site's to set."""
    known = {s: e.business_id for s, e in load_subscriptions(catalog).items() if e.business_id}

    assert known == {"resident_registry": "001"}


def test_separate_organs_are_named(catalog: Catalog) -> None:
    """教育委員会, 選挙管理委員会 and 広域連合 are other parties in the purpose register."""
    organs = {e.separate_organ for e in load_subscriptions(catalog).values()} - {None}

    assert organs == {"教育委員会", "選挙管理委員会", "後期高齢者医療広域連合"}


def test_a_good_file_has_no_fault(
    faults_of: Callable[..., list[tuple[str, int | None]]],
) -> None:
    """The file that the cases below spoil."""
    assert faults_of(some_system=GOOD) == []


NUMBER = """\
    number_use:
      affair: 何に関する事務
      ordinance: 番号条例
      article: 第3条
      under: 第9条第2項
"""
CASES = [
    ("no such stream", r"  resident:", "  resdent:", [("unknown-stream", 8)]),
    ("an internal stream", r"  resident:", "  receipt:", [("unknown-stream", 8)]),
    ("no such field", r"name\.full", "name.fool", [("unknown-field", 12)]),
    ("a header field", r"name\.full", "header.reason", [("header-field", 12)]),
    ("field twice", r"name\.full", "address.lot", [("repeated", 13)]),
    ("no such event", r"moved_in", "moved_inn", [("unknown-event-type", 10)]),
    ("expired", r"2029-03-31", "2026-11-23", [("expired", 22)]),
    ("ends before it begins", r"2029-03-31", "2026-03-31", [("expiry", 22)]),
    ("ends in sixty days", r"2029-03-31", "2027-01-23", []),
    ("ends sooner", r"2029-03-31", "2027-01-22", [("expires-soon", 22)]),
    ("ends today", r"2029-03-31", "2026-11-24", [("expires-soon", 22)]),
    ("approved tomorrow", r"2026-04-01", "2026-11-25", [("not-yet-approved", 21)]),
    ("capable, no reason", r"withhold", "capable", [("reason-missing", 16)]),
    ("a location without the flag", r"      - protected\n", "", [("flag-missing", 11)]),
    ("a location without the household", r"      - household_number\n", "",
     [("persons-missing", 11)]),
    ("no purpose", r"    purpose: 何のため\n", "", [("missing", 8)]),
    ("a blank purpose", r"何のため", '" "', [("form", 19)]),
    ("no approver", r"    approver: 総務部長\n", "", [("missing", 8)]),
    ("a name like no name", r"name\.full", "Name.Full", [("form", 12)]),
    ("another system's name", r"some_system", "other_system", [("file-name", 1)]),
    ("a key nobody knows", r"ja: 何か", "ja: 何か\ncolour: red", [("unknown-key", 3)]),
    ("a key twice", r"ja: 何か", "ja: 何か\nja: 何か", [("repeated-key", 3)]),
    ("no date", r"2029-03-31", "someday", [("form", 22)]),
    ("an invented suppression", r"withhold", "blur", [("form", 16)]),
    ("business id as a number", r"business_id: null", "business_id: 001", [("form", 3)]),
    ("no events", r"\n      - resident\.moved_in", " []", [("form", 9)]),
    ("a list for a mapping", r"(?s)streams:.*", "streams: []", [("form", 7)]),
    ("no zone", r"zone: .*\n", "", [("missing", 1)]),
    ("an invented zone", r"zone: .*", "zone: cloud", [("form", 6)]),
    ("a person in the internet", r"zone: .*", "zone: internet", [("zone", 11), ("zone", 28)]),
    ("no ground", r"\n      - law: 何法", " []", [("form", 17)]),
    ("a text for a ground", r"\n      - law: 何法", " 何法", [("form", 17)]),
    ("two names for a ground", r"law: 何法", "law: 何法\n        notice: 何", [("form", 18)]),
    ("a notice alone", r"law: 何法", "notice: 何要領", [("legal-basis", 17)]),
    ("an ordinance is a ground", r"law: 何法", "{ordinance: 条例, article: 第1条}", []),
    ("no protection beside it", r"(?s)  protection:.*", "", [("protection-missing", 8)]),
    ("a part of protection", r"      - protection\.ended\n", "", [("protection-partial", 8)]),
    ("a mask", r"    suppression:", "    masks: {address: town_only}\n    suppression:", []),
    ("a mask of what is not granted", r"    suppression:",
     "    masks:\n      sex: withhold\n    suppression:", [("mask-unknown", 17)]),
    ("a mask of the flag", r"    suppression:",
     "    masks:\n      protected: withhold\n    suppression:", [("mask-unknown", 17)]),
    ("a mask that does not fit", r"    suppression:",
     "    masks:\n      address: age_band\n    suppression:", [("mask-type", 17)]),
    ("a mask of a part and of the whole", r"    suppression:",
     "    masks:\n      address.lot: withhold\n      address: town_only\n    suppression:",
     [("mask-twice", 18)]),
    ("a mask that nobody knows", r"    suppression:",
     "    masks:\n      address: blur\n    suppression:", [("form", 17)]),
    ("notify, with fields", r"    suppression:", "    mode: notify_only\n    suppression:",
     [("notify-only", 11)]),
    ("no fields", r"(?s)    fields:.*?    supp", "    supp", [("fields-missing", 8)]),
    ("notify, without", r"(?s)    fields:.*?    supp", "    mode: notify_only\n    supp", []),
    ("a number's ordinance for nothing", r"    legal_basis:", NUMBER + "    legal_basis:",
     [("number-use", 17)]),
    ("a condition", r"    fields:", "    where:\n      - {field: sex, in: ['1']}\n    fields:", []),
    ("no such item", r"    fields:",
     "    where:\n      - {field: name, equals: x}\n    fields:", [("unknown-field", 12)]),
    ("a condition on the header", r"    fields:",
     "    where:\n      - {field: header.reason, equals: x}\n    fields:",
     [("unknown-field", 12)]),
    ("a condition on a place", r"    fields:",
     "    where:\n      - {field: address.town, equals: x}\n    fields:", [("condition", 12)]),
    ("a condition on no code", r"    fields:",
     "    where:\n      - {field: sex, equals: '7'}\n    fields:", [("code-list", 12)]),
    ("a condition of another type", r"    fields:",
     "    where:\n      - {field: sex, equals: 1}\n    fields:",
     [("condition", 12), ("code-list", 12)]),
    ("at least a text", r"    fields:",
     "    where:\n      - {field: sex, at_least: 1}\n    fields:",
     [("condition", 12), ("code-list", 12)]),
    ("two comparisons", r"    fields:",
     "    where:\n      - {field: sex, equals: '1', is_null: true}\n    fields:", [("form", 12)]),
    ("no comparison", r"    fields:", "    where:\n      - {field: sex}\n    fields:",
     [("form", 12)]),
    ("among nothing", r"    fields:",
     "    where:\n      - {field: sex, in: []}\n    fields:", [("form", 12)]),
    ("since a day", r"    fields:",
     "    where:\n      - {field: birth_date.date, at_least: 1961-11-24}\n    fields:", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_each_fault_has_its_line(
    faults_of: Callable[..., list[tuple[str, int | None]]],
    pattern: str,
    replacement: str,
    expected: list[tuple[str, int | None]],
) -> None:
    """What is wrong, and where, without the value that was there."""
    spoiled, times = re.subn(pattern, replacement, GOOD, count=1)

    assert times == 1
    assert faults_of(some_system=spoiled) == expected


def test_all_faults_of_all_files_come_at_once(
    faults_of: Callable[..., list[tuple[str, int | None]]],
) -> None:
    """One run of the check shows everything there is to mend."""
    spoiled = GOOD.replace("name.full", "nom").replace("2029", "2025")
    spoiled = spoiled.replace("何のため", '""', 1)

    assert faults_of(some_system=spoiled, other=GOOD.replace("moved_in", "x")) == [
        ("file-name", 1),
        ("unknown-event-type", 10),
        ("unknown-field", 12),
        ("form", 19),
        ("expiry", 22),
        ("expiry", 35),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "syntax"),
        (b"- a\n- b\n", "type"),
        (b"system: [", "syntax"),
        (b"\xef\xbb\xbf" + GOOD.encode(), "encoding"),
        (GOOD.encode("shift_jis"), "encoding"),
        (b"system: \x00\n", "syntax"),
        (b"system: !!python/object:os.system x\n", "syntax"),
    ],
    ids=["empty", "list", "half", "byte-order mark", "shift_jis", "nul", "a tag"],
)
def test_a_file_that_is_no_subscription(
    faults_of: Callable[..., list[tuple[str, int | None]]], content: bytes, code: str
) -> None:
    """A file that cannot be read is one clear fault, never a traceback."""
    assert [found for found, _ in faults_of(some_system=content)] == [code]


def test_an_empty_folder_is_a_fault(
    faults_of: Callable[..., list[tuple[str, int | None]]],
) -> None:
    """No subscriptions at all is a mistake, not a decision."""
    assert faults_of() == [("no-files", None)]


def test_loading_refuses_with_every_fault(catalog: Catalog, tmp_path: Path) -> None:
    """A tool that reads the files strictly gets nothing while anything is wrong."""
    (tmp_path / "subscriptions").mkdir()
    text = GOOD.replace("name.full", "SECRET-VALUE")
    (tmp_path / "subscriptions" / "some_system.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(FilesRefused) as caught:
        load_subscriptions(catalog, tmp_path)

    assert len(caught.value.faults) == 1
    assert "subscriptions/some_system.yaml:12" in str(caught.value.faults[0])


def test_an_expired_grant_loads_without_a_day(catalog: Catalog, tmp_path: Path) -> None:
    """One system's expiry must not stop the other sixteen: its view is refused, not the load."""
    (tmp_path / "subscriptions").mkdir()
    text = GOOD.replace("2029", "2026").replace("03-31", "10-31")
    (tmp_path / "subscriptions" / "some_system.yaml").write_text(text, encoding="utf-8")

    assert set(load_subscriptions(catalog, tmp_path)) == {"some_system"}
    with pytest.raises(FilesRefused):
        load_subscriptions(catalog, tmp_path, today=TODAY)


@pytest.mark.parametrize("name", ["ledger", "monitor"])
def test_no_system_takes_the_buss_own_name(
    faults_of: Callable[..., list[tuple[str, int | None]]], name: str
) -> None:
    """A system called like a group of the bus itself would take that group's partitions."""
    spoilt = GOOD.replace("some_system", name)

    assert faults_of(**{name: spoilt}) == [("reserved", 1)]


def test_a_bad_file_takes_out_its_own_system_alone(catalog: Catalog, tmp_path: Path) -> None:
    """The others go on, and what is wrong is told with its place."""
    (tmp_path / "subscriptions").mkdir()
    (tmp_path / "subscriptions" / "some_system.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "subscriptions" / "bad.yaml").write_text("system: [", encoding="utf-8")

    reading = read_subscriptions(catalog, tmp_path)

    assert set(reading.subscriptions) == {"some_system"}
    (refusal,) = reading.refusals
    assert (refusal.system, refusal.stream) == ("bad", None)
    assert refusal.error.code == "RK-101"
    assert refusal.error.where["fault"] == "syntax"


@pytest.mark.parametrize(
    ("spoilt", "left", "refused"),
    [
        (GOOD.replace("name.full", "name.fool"), {"protection"}, {"resident"}),
        (GOOD.replace("何のため", '""', 1), {"protection"}, {"resident"}),
        (GOOD.replace("      - status", "      - stature"), set(), {"protection", "resident"}),
        (GOOD.replace("zone:", "zones:"), None, {None}),
    ],
    ids=["a field", "a blank purpose", "protection itself", "the system"],
)
def test_a_bad_grant_takes_out_its_own_stream_alone(
    catalog: Catalog, spoilt: str, left: set[str] | None, refused: set[str | None]
) -> None:
    """And, where it was protection, every location that would be withheld."""
    reading = read_subscription("some_system", spoilt.encode(), catalog, today=TODAY)

    granted = reading.subscriptions.get("some_system")
    assert (None if granted is None else set(granted.streams)) == left
    assert {refusal.stream for refusal in reading.refusals} == refused
    assert all(refusal.faults for refusal in reading.refusals)


def test_words_that_there_are_are_named(catalog: Catalog) -> None:
    """Not "one of the known words": whoever mistyped one does not know them."""
    text = GOOD.replace("withhold", "blur", 1)

    reading = read_subscription("some_system", text.encode(), catalog, today=TODAY)

    (refusal,) = reading.refusals
    assert [fault.expected for fault in refusal.faults] == ["one of 'withhold' or 'capable'"]


def test_a_warning_refuses_nothing(catalog: Catalog) -> None:
    """A grant that ends soon is still in force."""
    text = GOOD.replace("2029-03-31", "2026-12-31")

    reading = read_subscription("some_system", text.encode(), catalog, today=TODAY)

    assert {fault.code for fault in reading.faults} == {"expires-soon"}
    assert reading.errors == reading.refusals == ()
    assert set(reading.subscriptions["some_system"].streams) == {"resident", "protection"}


NUMBERS = """\
system: some_system
ja: 何か
business_id: null
ministry: 総務省
separate_organ: null
zone: individual_number
streams:
  individual_number:
    event_types: [individual_number.assigned]
    fields: [number]
    number_use: {affair: 何に関する事務, ordinance: 番号条例, article: 第3条, under: 第9条第2項}
    legal_basis: [{law: 何法}]
    purpose: 何のため
    approver: 総務部長
    approved_on: 2026-04-01
    expires_on: 2029-03-31
"""


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        ("", "", []),
        (r"    number_use.*\n", "", [("restricted", 10)]),
        (r"individual_number\nstreams", "lgwan\nstreams", [("zone", 11)]),
        (r"organ: null", "organ: 教育委員会", [("ordinance", 11)]),
        (r"第9条第2項", "第19条第11号", [("ordinance", 11)]),
        (r"(?s)organ: null(.*)第9条第2項", r"organ: 教育委員会\1第19条第11号", []),
        (r"ordinance: 番号条例, ", "", [("restricted", 10), ("missing", 11)]),
        (r"affair: 何に関する事務", "affair: ''", [("restricted", 10), ("form", 11)]),
        (r"\[number\]", "[number]\n    masks: {number: last_four}", [("mask-type", 11)]),
        (r"\[number\]", "[number]\n    masks: {number: keyed_hash}", [("mask-type", 11)]),
        (r"\[number\]", "[number]\n    masks: {number: present}", []),
        (r"    fields", "    where: [{field: number, is_null: false}]\n    fields",
         [("condition", 10)]),
    ],
)  # fmt: skip
def test_individual_numbers_need_their_ordinance(
    faults_of: Callable[..., list[tuple[str, int | None]]],
    pattern: str,
    replacement: str,
    expected: list[tuple[str, int | None]],
) -> None:
    """番号法 9条2項 within the mayor's sections, 19条11号 to another organ; one zone only."""
    assert faults_of(some_system=re.sub(pattern, replacement, NUMBERS, count=1)) == expected
