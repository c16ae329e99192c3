"""Grants with masks, conditions and modes, as their pages say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.catalog import load
from bus.policy import load_subscriptions
from bus.reference import gather, pages
from bus.reference.summaries import system_summary
from bus.reference.visibility import CAPABLE, RECEIVES, WITHHOLD, mark, seen
from tests.unit.reference import reader

SYSTEM = "long_term_care_insurance"


@pytest.fixture
def granted(folder: Path) -> dict[str, Any]:
    """The subscription's grant for residents, made narrower than the one shipped; and its pages."""
    file = folder / "subscriptions" / f"{SYSTEM}.yaml"
    value = yaml.safe_load(file.read_text(encoding="utf-8"))
    value["streams"]["resident"] |= {
        "fields": [
            "name",
            "birth_date",
            "address",
            "resident_kind",
            "household_number",
            "protected",
        ],
        "masks": {
            "birth_date": "birth_year",
            "address": "town_only",
            "name.kana": "last_four",
            "name.roman": "present",
        },
        "where": [
            {"field": "resident_kind", "in": ["1", "2"]},
            {"field": "birth_date.date", "is_null": False},
            {"field": "resident_state", "equals": "1"},
        ],
        "mode": "work_list",
    }
    file.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    catalog = load(folder)
    sources = gather(catalog, load_subscriptions(catalog))
    return {"sources": sources, "pages": pages(sources)}


def test_a_mask_of_a_record_is_said_at_each_item_below(granted: dict[str, Any]) -> None:
    """Down to the town: what says where in the town is gone, the town is there."""
    sources = granted["sources"]
    stream = sources.catalog.stream("resident")
    found = {each.item.path: each for each in seen(stream, sources.granted(SYSTEM)["resident"])}

    masked = {path: each.mask.value for path, each in found.items() if each.mask}
    assert masked == {
        "birth_date.date": "birth_year",
        "birth_date.text": "withhold",
        "name.kana": "last_four",
        "name.roman": "present",
        "address.lot": "withhold",
        "address.building": "withhold",
        "address.building_kana": "withhold",
        "address.postal_code": "withhold",
    }
    assert found["address.town"].is_withheld
    assert not found["birth_date.date"].is_withheld


def test_the_pages_say_masks_conditions_and_mode(granted: dict[str, Any]) -> None:
    """On the system's page in words; on the stream's at each item and in the list of receivers."""
    system = granted["pages"][f"systems/{SYSTEM}.md"]
    stream = granted["pages"]["streams/resident.md"]
    rows = {reader.plain(row[0]): row for row in reader.rows(system) if len(row) == 6}

    assert rows["birth_date.date"][4] == "年のみ its year"
    assert rows["address.lot"][4] == "非表示 nothing of it"
    assert rows["address.town"][4:] == ["", "秘匿 withheld"]
    for text in (
        "resident_kind is one of 1, 2",
        "birth_date.date is not empty",
        "resident_state is 1",
        "a clerk confirms each",
    ):
        assert text in reader.plain(system)
        assert text in reader.plain(stream)
    table = reader.section(stream, "## 項目別の提供先")
    heading = next(line for line in table.splitlines() if line.startswith("| 項目"))
    column = heading.split("|")[1:-1].index(next(c for c in heading.split("|") if SYSTEM in c))
    cells = {reader.plain(row[0]): row[column] for row in reader.rows(table)}
    assert cells["name.kana"] == "● ◇末尾4文字"
    assert cells["address.lot"] == "◐ ◇非表示"
    assert cells["name.full"] == "●"
    assert cells["sex"] == ""


def test_json_counts_what_is_masked(granted: dict[str, Any]) -> None:
    """And has the conditions as the policy words them."""
    sources = granted["sources"]

    told = system_summary(sources.systems[SYSTEM], sources)

    (resident,) = [each for each in told["receives"] if each["stream"] == "resident"]
    assert resident["masked"] == 8
    assert resident["mode"] == "work_list"
    assert "resident_kind in 1, 2" in resident["conditions"]


@pytest.mark.parametrize(
    ("fields", "suppression", "expected"),
    [
        (["name", "protected"], "withhold", RECEIVES),
        (["address", "household_number", "protected"], "withhold", WITHHOLD),
        (["address", "household_number", "protected"], "capable", CAPABLE),
        (["previous_address.country", "household_number", "protected"], "withhold", WITHHOLD),
        (["name", "protected"], "capable", RECEIVES),
    ],
)
def test_the_mark_follows_from_items_and_suppression(
    folder: Path, fields: list[str], suppression: str, expected: object
) -> None:
    """Who has no location has nothing to withhold, and nothing to suppress."""
    file = folder / "subscriptions" / f"{SYSTEM}.yaml"
    value = yaml.safe_load(file.read_text(encoding="utf-8"))
    value["streams"]["resident"] |= {
        "fields": fields, "masks": {}, "where": [], "suppression": suppression,
        "suppression_reason": "訪問のため",
    }  # fmt: skip
    file.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    catalog = load(folder)

    grant = load_subscriptions(catalog)[SYSTEM].streams["resident"]

    assert mark(catalog.stream("resident"), grant) is expected
