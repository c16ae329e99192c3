"""What depends on a store is written down where operators read it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from bus.connect import Capabilities

PAGE = Path(__file__).parents[2] / "docs" / "delivery.md"


def test_the_table_has_a_column_for_each_capability() -> None:
    """A new capability says which promises hang on it."""
    table = PAGE.read_text().partition("## What depends on the store")[2].partition("\n## ")[0]
    head = next(line for line in table.splitlines() if line.startswith("| promise"))
    columns = {cell.strip() for cell in head.strip("|").split("|")} - {"promise"}

    declared = {entry.name for entry in fields(Capabilities)} - {"accepts", "kept_by_bus"}
    assert columns == declared | {"rewrites"}
