"""Masks, conditions and modes: how a view shows less than its stream, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pydantic import SecretBytes


class MaskKind(StrEnum):
    """What a mask leaves of a column (``masks`` in a subscription)."""

    WITHHOLD = "withhold"  # nothing
    BIRTH_YEAR = "birth_year"  # of a date, its year
    AGE_BAND = "age_band"  # of a birth date, a band of five years
    TOWN_ONLY = "town_only"  # of an address, down to the town
    LAST_FOUR = "last_four"  # of a text, its last four characters
    KEYED_HASH = "keyed_hash"  # of a text, HMAC-SHA-256 under a key of the system's own
    PRESENT = "present"  # whether there is anything


@dataclass(frozen=True, slots=True)
class MaskKey:
    """A system's own key for ``keyed_hash``. Only its id is shown."""

    id: str
    secret: SecretBytes


@dataclass(frozen=True, slots=True)
class Mask:
    """What is done to one column."""

    kind: MaskKind
    key: MaskKey | None = None  # of ``keyed_hash``, and always there

    def __str__(self) -> str:
        return self.kind.value if self.key is None else f"{self.kind.value}:{self.key.id}"


class Comparison(StrEnum):
    """How a condition compares an item with a value. A null item fits only ``is_null: true``."""

    EQUALS = "equals"
    IN = "in"
    IS_NULL = "is_null"
    AT_LEAST = "at_least"


Comparable = str | bool | int | date


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the record: ``path`` compared with ``values`` (one, but for ``in``)."""

    path: str
    comparison: Comparison
    values: tuple[Comparable, ...]

    def __str__(self) -> str:
        shown = ", ".join(
            str(value).lower() if isinstance(value, bool) else str(value) for value in self.values
        )
        return f"{self.path} {self.comparison.value.replace('_', ' ')} {shown}"


class Mode(StrEnum):
    """How a system applies what it receives (``mode`` in a subscription)."""

    AUTO_APPLY = "auto_apply"  # the state table is the system's own truth
    WORK_LIST = "work_list"  # a clerk confirms each version: the table says up to which
    NOTIFY_ONLY = "notify_only"  # that something happened to a subject: header and flag
