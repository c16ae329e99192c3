"""A subscription repeats names of the list of systems, and is held to them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from bus.catalog import load
from bus.catalog.load import SHIPPED
from bus.policy import check_subscriptions

TODAY = date(2026, 11, 24)
FILE = "school_enrollment"


def faults(folder: Path, old: str, new: str, name: str = FILE) -> list[tuple[str, str | None]]:
    """Faults after one text of the copied file was replaced, as (code, field)."""
    (folder / "subscriptions").mkdir()
    text = (SHIPPED / "subscriptions" / f"{FILE}.yaml").read_text(encoding="utf-8")
    assert old in text
    file = folder / "subscriptions" / f"{name}.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    shutil.copy(SHIPPED / "systems.yaml", folder)
    return [(f.code, f.field) for f in check_subscriptions(load(), folder, today=TODAY)]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("ja: 就学", "ja: 学校", "ja"),
        ("ministry: 文部科学省", "ministry: 総務省", "ministry"),
        ("separate_organ: 教育委員会", "separate_organ: null", "separate_organ"),
    ],
)
def test_it_may_not_say_something_else(tmp_path: Path, old: str, new: str, field: str) -> None:
    """An organ that is no other organ on paper would need no ordinance of its own."""
    assert faults(tmp_path, old, new) == [("system", field)]


def test_a_system_beside_the_list_is_named_by_its_file(tmp_path: Path) -> None:
    """Adding a system is adding one file."""
    name = "library"

    assert faults(tmp_path, f"system: {FILE}", f"system: {name}", name) == []
