"""Take protected persons' locations out of a store in memory, and find what may come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bus.connect import Withheld
from bus.model import Protected

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]


def suppress(table: Table, withheld: Withheld, protected: Protected) -> Table:
    """*table* with nothing in it that says where somebody in *protected* is."""
    return {
        key: row | dict.fromkeys(withheld.locations) | {withheld.flag: True}
        if is_covered(row, withheld, protected)
        else row
        for key, row in table.items()
    }


def restorable(table: Table, withheld: Withheld, protected: Protected) -> Iterator[tuple[Any, ...]]:
    """Keys of the rows that are flagged though *protected* does not cover them."""
    for key, row in table.items():
        if row.get(withheld.flag) and not is_covered(row, withheld, protected):
            yield key


def is_covered(row: Row, withheld: Withheld, protected: Protected) -> bool:
    """Whether *row* may say where somebody in *protected* is."""
    code = row["municipality_code"]
    return any(
        f"{code}/{held}" in keys
        for columns, keys in (
            (withheld.located, protected.persons),
            (withheld.households, protected.households),
        )
        for name in columns
        for held in _each(row.get(name))
    )


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
