"""``schemas/systems.yaml``: every system once, and who is named elsewhere is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.catalog import Catalog, check
from bus.catalog.load import SHIPPED, SYSTEMS
from bus.model import SystemKind
from bus.policy import load_subscriptions

GOOD = {
    "ja": "印鑑登録",
    "en": "seals",
    "kind": "neighbour",
    "ministry": None,
    "separate_organ": None,
}


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """Faults of the copy after its list was changed, as text."""
    value = yaml.safe_load((folder / SYSTEMS).read_text(encoding="utf-8"))
    text = yaml.safe_dump(change(value) or value, allow_unicode=True, sort_keys=False)
    (folder / SYSTEMS).write_text(text, encoding="utf-8")
    return [str(fault) for fault in check(folder)]


def test_the_seventeen_are_listed(catalog: Catalog) -> None:
    """Each with a ministry; three are run by an organ that is not the mayor's."""
    standard = [s for s in catalog.systems.values() if s.kind is SystemKind.STANDARD]

    assert len(standard) == 17
    assert all(system.ministry for system in standard)
    assert [s.name for s in standard if s.separate_organ] == [
        "electoral_roll",
        "school_enrollment",
        "late_elderly_medical",
    ]


def test_every_subscription_shipped_is_of_a_listed_system(catalog: Catalog) -> None:
    """So that no name has to be taken from a subscription."""
    assert set(load_subscriptions(catalog)) <= set(catalog.systems)


def test_a_folder_without_the_list_is_refused(folder: Path) -> None:
    """Nobody would know who publishes."""
    (folder / SYSTEMS).unlink()

    assert any(fault.startswith(f"{SYSTEMS}: unreadable") for fault in map(str, check(folder)))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({**GOOD, "kind": "friend"}, "kind: one of standard, neighbour, common_function, bus"),
        ({**GOOD, "ja": ""}, "ja: a text"),
        ({**GOOD, "en": None}, "en: a text"),
        ({**GOOD, "ministry": 7}, "ministry: a text"),
        ({**GOOD, "url": "x"}, "exactly en, ja, kind, ministry, separate_organ"),
        ({"ja": "印鑑登録"}, "exactly en, ja, kind, ministry, separate_organ"),
        ("印鑑登録", "exactly en, ja, kind, ministry, separate_organ"),
    ],
)
def test_an_entry_that_is_not_as_it_should_be_is_a_fault(
    folder: Path, entry: Any, expected: str
) -> None:
    """It says what was expected, with the system's name and line."""
    faults = rewritten(folder, lambda value: value["systems"].update({"seals": entry}))

    assert [fault for fault in faults if expected in fault and "seals" in fault]


@pytest.mark.parametrize("name", ["Seals", "seals-1", 7])
def test_a_name_in_another_form_is_a_fault(folder: Path, name: Any) -> None:
    """It becomes a file name, a consumer group and a schema property."""
    faults = rewritten(folder, lambda value: value["systems"].update({name: GOOD}))

    assert any("a system's name in snake case" in fault for fault in faults)


@pytest.mark.parametrize("value", [[], {"systems": {}}, {"systems": [GOOD]}, {"others": {}}])
def test_a_list_of_another_form_is_a_fault(folder: Path, value: Any) -> None:
    """Not a crash, whatever it is."""
    faults = rewritten(folder, lambda _: value or ["x"])

    assert any(fault.startswith(f"{SYSTEMS}:1") for fault in faults)


def test_a_provider_that_is_not_listed_is_a_fault(
    folder: Path, edit: Callable[[str, Callable[[Any], None]], Path]
) -> None:
    """A misspelt provider would refuse the real one's events."""
    edit("streams/household/v1.avsc", lambda v: v.update({"x-providers": ["register"]}))

    (fault,) = check(folder)

    assert (fault.code, fault.field) == ("unknown-system", "x-providers")
    assert fault.file == "streams/household/v1.avsc"


def test_english_names_follow_from_the_fields_unless_one_is_given(
    folder: Path, edit: Callable[[str, Callable[[Any], None]], Path], catalog: Catalog
) -> None:
    """And a name changes no fingerprint."""
    from bus.catalog import load

    names = {item.path: item.en for item in catalog.stream("resident").items}
    assert names["address.building_kana"] == "Address: building kana"
    assert names["birth_date.date"] == "Birth date"
    assert names["birth_date.unknown"] == "Birth date: unknown"
    assert names["header.processed_at"] == "Processed at"
    assert catalog.stream("household").en == "Household"

    def rename(value: Any) -> None:
        value["x-en"] = "Those who live together"
        value["fields"][-1]["x-en"] = "Number of members"
        value["fields"][2]["x-en"] = "Members of the household"

    edit("streams/household/v1.avsc", rename)
    renamed = load(folder).stream("household")

    found = {item.path: item.en for item in renamed.items}
    assert renamed.en == "Those who live together"
    assert found["member_count"] == "Number of members"
    assert found["members.relationship"] == "Members of the household: relationship"
    assert renamed.latest.fingerprint == catalog.stream("household").latest.fingerprint


@pytest.mark.parametrize("where", ["record", "field"])
def test_an_empty_english_name_is_a_fault(
    folder: Path, edit: Callable[[str, Callable[[Any], None]], Path], where: str
) -> None:
    """Better none than a blank."""
    edit(
        "streams/household/v1.avsc",
        lambda v: (v if where == "record" else v["fields"][-1]).update({"x-en": " "}),
    )

    assert [fault.code for fault in check(folder)] == ["property"]


def test_the_shipped_list_is_the_one_that_is_read(catalog: Catalog) -> None:
    """In the order of the file: the matrix has its columns in it."""
    text = (SHIPPED / SYSTEMS).read_text(encoding="utf-8")

    assert list(catalog.systems) == list(yaml.safe_load(text)["systems"])
    assert json.loads(json.dumps(catalog.systems["calendar"].kind)) == "bus"
