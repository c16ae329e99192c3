"""A rule about the records of a stream, as a value: its sentence, and a mask of where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from bus.model import Severity
from bus.publish.finding import Finding, Records
from bus.publish.kernels import Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import parents

Rule = Callable[[Records, datetime], Iterator[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A rule with its own name; itself a :data:`Rule`.

    Args:
        ja: What it says, in Japanese, for those who answer for the data.
        code: The fault's code.
        path: The item that a fault names.
        expected: What was expected; never the value.
        fails: Where it does not hold: of the records, or of the entries of a list.
        entries: The list whose entries *fails* judges; none: the records themselves.
    """

    ja: str
    code: str
    path: str
    expected: str
    fails: Callable[[Records], Mask]
    entries: str = ""
    severity: Severity = Severity.ERROR

    def __call__(self, records: Records, _now: datetime) -> Iterator[Finding]:
        """A finding for the rows where it fails; none if it holds everywhere."""
        mask = self.fails(records)
        if not self.entries:
            yield from records.find(mask, self.code, self.expected, self.path, self.severity)
            return
        rows = pc.filter(parents(records.column(self.entries)), pc.fill_null(mask, False))
        if len(rows):
            ja = records.ja(self.path)
            yield Finding(self.code, self.expected, self.path, ja, rows, self.severity)
