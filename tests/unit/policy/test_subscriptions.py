"""Subscription files: those that ship, and what a bad one is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from bus.catalog import Catalog, load
from bus.errors import FilesRefused
from bus.policy import check_subscriptions, load_subscriptions

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
streams:
  resident:
    event_types:
      - resident.moved_in
    fields:
      - name.full
      - address
      - protected
    suppression: withhold
    legal_basis: 何法
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


CASES = [
    ("no such stream", r"  resident:", "  resdent:", [("unknown-stream", 7)]),
    ("an internal stream", r"  resident:", "  receipt:", [("unknown-stream", 7)]),
    ("no such field", r"name\.full", "name.fool", [("unknown-field", 11)]),
    ("a header field", r"name\.full", "header.reason", [("header-field", 11)]),
    ("field twice", r"name\.full", "address.lot", [("repeated", 12)]),
    ("no such event", r"moved_in", "moved_inn", [("unknown-event-type", 9)]),
    ("expired", r"2029-03-31", "2026-11-23", [("expired", 19)]),
    ("ends before it begins", r"2029-03-31", "2026-03-31", [("expiry", 19)]),
    ("approved tomorrow", r"2026-04-01", "2026-11-25", [("not-yet-approved", 18)]),
    ("capable, no reason", r"withhold", "capable", [("reason-missing", 14)]),
    ("a location without the flag", r"      - protected\n", "", [("flag-missing", 10)]),
    ("no purpose", r"    purpose: 何のため\n", "", [("missing", 7)]),
    ("a blank purpose", r"何のため", '" "', [("form", 16)]),
    ("no approver", r"    approver: 総務部長\n", "", [("missing", 7)]),
    ("a name like no name", r"name\.full", "Name.Full", [("unknown-field", 11), ("form", 11)]),
    ("another system's name", r"some_system", "other_system", [("file-name", 1)]),
    ("a key nobody knows", r"ja: 何か", "ja: 何か\ncolour: red", [("unknown-key", 3)]),
    ("a key twice", r"ja: 何か", "ja: 何か\nja: 何か", [("repeated-key", 3)]),
    ("no date", r"2029-03-31", "someday", [("form", 19)]),
    ("an invented mask", r"withhold", "blur", [("form", 14)]),
    ("business id as a number", r"business_id: null", "business_id: 001", [("form", 3)]),
    ("no events", r"\n      - resident\.moved_in", " []", [("form", 8)]),
    ("a list for a mapping", r"(?s)streams:.*", "streams: []", [("form", 6)]),
]


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
    spoiled = GOOD.replace("name.full", "nom").replace("2029", "2025").replace("何のため", '""')

    assert faults_of(some_system=spoiled, other=GOOD.replace("moved_in", "x")) == [
        ("file-name", 1),
        ("unknown-event-type", 9),
        ("duplicate-system", 1),
        ("unknown-field", 11),
        ("form", 16),
        ("expiry", 19),
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
    """Nothing is granted while anything is wrong."""
    (tmp_path / "subscriptions").mkdir()
    text = GOOD.replace("name.full", "SECRET-VALUE")
    (tmp_path / "subscriptions" / "some_system.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(FilesRefused) as caught:
        load_subscriptions(catalog, tmp_path)

    assert len(caught.value.faults) == 2
    assert "subscriptions/some_system.yaml:11" in str(caught.value.faults[0])


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
