"""Take protected persons' locations out of a store in memory, and find what may come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bus.connect import Withheld, comparable
from bus.model import Protected

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]


def suppress(table: Table, withheld: Withheld, protected: Protected) -> Table:
    """*table* without anything that says where somebody in *protected* is."""
    protected = comparable(protected)
    return {
        key: row | dict.fromkeys(withheld.locations) | {withheld.flag: True}
        if withheld.covers(row, protected)
        else row
        for key, row in table.items()
    }


def restorable(table: Table, withheld: Withheld, protected: Protected) -> Iterator[tuple[Any, ...]]:
    """Keys of the rows that are flagged though *protected* does not cover them."""
    protected = comparable(protected)
    for key, row in table.items():
        if row.get(withheld.flag) and not withheld.covers(row, protected):
            yield key
