"""Who is under protection (支援措置), as a value: what masks rows and what a store takes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROTECTION = "protection"
"""The stream that says who is under protection."""
FLAG = "protected"
"""The item that says that a record's subject is under protection."""
HOUSEHOLD = "household_number"
"""The item by which whoever shares a protected person's household is found."""


@dataclass(frozen=True, slots=True)
class Protected:
    """Everybody whose location may not be shown.

    Keys are ``<municipality_code>/<id>``: ``persons`` those under protection and those who share
    their address, ``households`` the households that the protected persons live in.
    """

    persons: frozenset[str] = frozenset()
    households: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.persons or self.households)


@dataclass(frozen=True, slots=True)
class ToRestore:
    """What a store says of locations that it took out and that may be shown again."""

    reached: Mapping[int, int]  # how far this system's own protection lanes are, by partition
    rows: Mapping[str, int]  # key of a row -> the version of it that the store holds
