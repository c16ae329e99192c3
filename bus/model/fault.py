"""A fault that a check found: where it is and what was expected, never the value that was there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a fault refuses what it is in (error) or is only reported (warning)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a file, a line of input or a record of a change.

    ``code`` is a stable word in kebab case (``check-digit``, ``code-list``, ``version-gap``).
    ``line`` counts from 1; ``record`` counts the records of a change from 0. ``field`` is the
    dotted path of the item and ``item`` its Japanese name.
    """

    code: str
    expected: str
    severity: Severity = Severity.ERROR
    file: str | None = None
    line: int | None = None
    record: int | None = None
    field: str | None = None
    item: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether this fault refuses what it was found in."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        record = f"record {self.record}" if self.record is not None else ""
        name = f"{self.field} ({self.item})" if self.field and self.item else self.field or ""
        where = " ".join(part for part in (place, record, name) if part)
        return (
            f"{where}: {self.code}: expected {self.expected}"
            if where
            else (f"{self.code}: expected {self.expected}")
        )
