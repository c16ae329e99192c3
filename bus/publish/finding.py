"""Records as columns by path, and the findings of checks over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from bus.model import Fault, Severity
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc
from bus.publish.shape import Node


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault in *rows* (ascending; a row comes twice if two entries of a list have it)."""

    code: str
    expected: str
    path: str
    ja: str
    rows: Column
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        """Whether its rows are refused."""
        return self.severity is Severity.ERROR

    def fault(self, record: int) -> Fault:
        """The finding as a fault of one record."""
        return Fault(
            code=self.code,
            expected=self.expected,
            severity=self.severity,
            record=record,
            field=self.path or None,
            item=self.ja or None,
        )


def faults_of(findings: Iterable[Finding]) -> list[Fault]:
    """The faults of every finding, ordered by row; each fault of a row once."""
    found = {
        (row, place): finding.fault(row)
        for place, finding in enumerate(findings)
        for row in finding.rows.to_pylist()
    }
    return [found[key] for key in sorted(found)]


class Records:
    """A batch of one stream's records; columns are had by dotted path, once each."""

    def __init__(self, tree: Node, batch: pa.RecordBatch) -> None:
        self.tree = tree
        self.batch = batch
        self._columns: dict[str, Column] = {}

    def column(self, path: str) -> Column:
        """The column at *path*, null where a record above is null; not for items inside a list."""
        if path not in self._columns:
            above, _, name = path.rpartition(".")
            self._columns[path] = (
                pc.struct_field(self.column(above), name) if above else self.batch.column(name)
            )
        return self._columns[path]

    def find(
        self,
        mask: Mask,
        code: str,
        expected: str,
        path: str,
        severity: Severity = Severity.ERROR,
    ) -> Iterator[Finding]:
        """A finding for the rows where *mask* is true (null is not); none if no row is."""
        if pc.any(mask).as_py():
            rows = pc.cast(pc.indices_nonzero(mask), pa.int64())
            yield Finding(code, expected, path, self.ja(path), rows, severity)

    def ja(self, path: str) -> str:
        """The Japanese name of the item at *path*."""
        node = self.tree
        for name in path.split("."):
            node = (node.element or node).child(name)
        return node.ja
