"""Which columns of a table a store must empty for protected persons, and how it finds their rows.

A protection is applied by one lane, the tables are filled by others, in other processes even. So
each notes in the store, when it opens, by which columns rows are found and which of them go. In
the table of a capable system none go, and the flag alone is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bus.model import Protected, View
from bus.model.number import LONGEST, comparable_key


@dataclass(frozen=True, slots=True)
class Withheld:
    """Columns of one table by name: what is emptied, what is set, what rows are found by."""

    locations: frozenset[str]  # emptied; none of a capable system
    flag: str  # set
    located: frozenset[str]  # ids of all whose location a row may say
    households: frozenset[str]  # household numbers

    @classmethod
    def of(cls, view: View) -> Withheld | None:
        """The columns that a protection touches in a table of *view*; None if it touches none."""
        if not view.is_fenced or view.flag_column is None:
            return None
        household = view.household_column
        return cls(
            locations=frozenset(view.withheld),
            flag=view.flag_column,
            located=frozenset(view.located_columns),
            households=frozenset([household] if household else []),
        )

    def after(self, noted: Withheld) -> Withheld:
        """These columns, joined with those *noted* before.

        A table may be written under two views while processes are replaced. A system that became
        capable keeps its locations.
        """
        return Withheld(
            self.locations and self.locations | noted.locations,
            self.flag,
            self.located | noted.located,
            self.households | noted.households,
        )

    def covers(self, row: Mapping[str, object], protected: Protected) -> bool:
        """Whether *row* may say where somebody in *protected* is.

        The row has its municipality and the columns that it is found by; *protected* is
        :func:`comparable`.
        """
        code = row["municipality_code"]
        return any(
            compared(code, held) in keys
            for columns, keys in (
                (self.located, protected.persons),
                (self.households, protected.households),
            )
            if keys
            for name in columns
            for held in _each(row.get(name))
        )


def comparable(protected: Protected) -> Protected:
    """*protected* with each number in one text for all its spellings."""
    return replace(
        protected,
        persons=frozenset(map(comparable_key, protected.persons)),
        households=frozenset(map(comparable_key, protected.households)),
    )


def compared(code: object, number: object) -> str:
    """The key of a number in a row, in the same form as :func:`comparable`."""
    key = f"{code}/{number}"
    if isinstance(number, str) and len(number) == LONGEST and number.isdecimal():
        return key
    return comparable_key(key)


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
