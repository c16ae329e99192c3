"""A batch of records that came as columns: checked, encoded, and then put in sequence row by row.

The two halves are apart because the first (:func:`prepare`) is pure and dear and may run in a
thread while an earlier batch is under way, and the second (:meth:`Batch.settle`) must wait for
what the log says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from bus.catalog.columns import compact
from bus.model import Fault
from bus.policy.cases import CaseRecord
from bus.publish.cases import CaseDraft
from bus.publish.check import Checker
from bus.publish.finding import Finding
from bus.publish.kernels import Column
from bus.publish.kernels import kernels as pc
from bus.publish.versions import HIGHEST_START, Draft, Entries, Sequencing


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnsOutcome:
    """The result of publishing a batch of records that came as columns."""

    published: int
    resent: int  # were in the log already
    refused: tuple[int, ...] = ()  # rows, ascending
    faults: tuple[Fault, ...] = ()  # errors, by row
    warnings: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (code, field) -> rows


@dataclass(slots=True)
class Batch:
    """The events of a batch that passed every check but that of versions; parallel lists.

    ``rows`` are the places that the entries had in the batch that came.
    """

    rows: Sequence[int]
    keys: list[bytes]
    values: list[bytes]
    entries: Entries
    opens: list[bool]
    runs: Sequence[Sequence[int]] | None  # the entries of each change; None: each is its own
    large: set[int]  # entries above the broker's limit
    refused: set[int]  # rows
    faults: list[Fault]
    warnings: Mapping[tuple[str, str], int]
    case_records: Sequence[CaseRecord] | None  # of protections: what each says of its cases

    def settle(self, draft: Draft, cases: CaseDraft) -> ColumnsOutcome:
        """Judge versions and cases against the drafts, and keep the entries that are to be sent."""
        sequencings = self._sequencings(draft, cases)
        published = sequencings.count(Sequencing.NEXT)
        if published < len(sequencings):
            for at, sequencing in enumerate(sequencings):
                if sequencing is None or sequencing.is_fault:
                    self.refused.add(self.rows[at])
                if sequencing is not None and sequencing.is_fault:
                    self.faults.append(version_fault(sequencing, self.rows[at]))
            sent = [
                at for at, sequencing in enumerate(sequencings) if sequencing is Sequencing.NEXT
            ]
            self.keys = [self.keys[at] for at in sent]
            self.values = [self.values[at] for at in sent]
            self.entries = self.entries.picked(sent)
            self.case_records = (
                None if self.case_records is None else [self.case_records[at] for at in sent]
            )
        return ColumnsOutcome(
            published=published,
            resent=sequencings.count(Sequencing.DONE),
            refused=tuple(sorted(self.refused)),
            faults=tuple(sorted(self.faults, key=lambda fault: fault.record or 0)),
            warnings=self.warnings,
        )

    def _sequencings(self, draft: Draft, cases: CaseDraft) -> list[Sequencing | None]:
        """The sequencing of each entry; None where a fault of its change takes it out."""
        if self.runs is None and not self.large and self.case_records is None:
            return [*draft.add_all(self.entries, self.opens)]
        sequencings: list[Sequencing | None] = [None] * len(self.keys)
        for run in self.runs or [[at] for at in range(len(self.keys))]:
            found = {at: draft.add_at(self.entries, at, opens=self.opens[at]) for at in run}
            wrong = self._wrong_cases(found, cases)
            self.faults += wrong
            is_whole = not wrong and self.large.isdisjoint(run)
            if is_whole and not any(s.is_fault for s in found.values()):
                draft.keep()
                cases.keep()
            else:
                draft.back()
                cases.back()
                found = {at: s for at, s in found.items() if s.is_fault and at not in self.large}
            for at, sequencing in found.items():
                sequencings[at] = sequencing
        return sequencings

    def _wrong_cases(self, found: Mapping[int, Sequencing], cases: CaseDraft) -> list[Fault]:
        """Faults of the cases in those entries of one change that are next in line."""
        if self.case_records is None:
            return []
        return [
            refused.fault(self.rows[at])
            for at, sequencing in found.items()
            if sequencing is Sequencing.NEXT
            for refused in cases.add(self.case_records[at], opens=self.opens[at])
        ]


def prepare(
    checker: Checker,
    records: pa.RecordBatch,
    now: datetime,
    encode: Callable[[pa.RecordBatch], list[bytes]],
    limit: int,
    tell: Callable[[pa.RecordBatch], list[CaseRecord] | None],
) -> Batch:
    """Check and encode *records*; a row with an error takes the other rows of its change out too.

    Args:
        encode: Makes framed values.
        limit: The most bytes that key and value of an event may have.
        tell: What records of protections say of their cases; None of other streams.

    Raises:
        EventInvalid: The columns are not the stream's.
    """
    records = compact(records)
    findings = checker.find(records, now)
    changes = pc.struct_field(records.column("header"), "change_id")
    refused = _with_change(changes, _rows_with_errors(findings))
    rows: Sequence[int] = range(records.num_rows)
    if refused:
        rows = [row for row in rows if row not in refused]
        records = records.take(pa.array(rows, pa.int64()))
    header = records.column("header")
    keys, values = _keys(header), encode(records)
    large = _above(limit, keys, values)
    errors = [f.fault(row) for f in findings if f.is_error for row in f.rows.to_pylist()]
    return Batch(
        rows=rows,
        keys=keys,
        values=values,
        entries=entries_of(keys, header),
        opens=opens(records),
        runs=_runs(header),
        large=large,
        refused=refused,
        faults=errors + [too_large(rows[at]) for at in sorted(large)],
        warnings={(f.code, f.path): len(f.rows) for f in findings if not f.is_error},
        case_records=tell(records),
    )


def entries_of(keys: Sequence[bytes], header: Column) -> Entries:
    """The entries of events with these keys and headers, for the version index."""
    versions = pc.struct_field(header, "version").to_pylist()
    return Entries.of(keys, versions, pc.struct_field(header, "event_id").to_pylist())


def opens(records: pa.RecordBatch) -> list[bool]:
    """Per row, whether its nature is RECORD."""
    nature = pc.struct_field(records.column("header"), "nature")
    found: list[bool] = pc.equal(pc.cast(nature, pa.string()), "RECORD").to_pylist()
    return found


def version_fault(sequencing: Sequencing, record: int) -> Fault:
    """The fault of an event whose version is not next in line."""
    expected = {
        Sequencing.GAP: "the subject's next version",
        Sequencing.START: f"a subject's first version, at most {HIGHEST_START:,}",
        Sequencing.REPEAT: "a version that no other event of the subject has",
        Sequencing.TAKEN: "a change id under which nothing else was sent",
    }[sequencing]
    return Fault(
        code=sequencing.value,
        expected=expected,
        record=record,
        field="header.version",
        item="履歴番号",
    )


def too_large(record: int) -> Fault:
    """The fault of an event above the broker's limit."""
    return Fault(
        code="too-large", expected="an event below the broker's limit for one", record=record
    )


def _keys(header: Column) -> list[bytes]:
    """The Kafka keys; see :func:`bus.model.event_key`."""
    municipality = pc.struct_field(header, "municipality_code")
    joined = pc.binary_join_element_wise(municipality, pc.struct_field(header, "subject_id"), "/")
    found: list[bytes] = pc.cast(joined, pa.binary()).to_pylist()
    return found


def _rows_with_errors(findings: Iterable[Finding]) -> set[int]:
    return {row for finding in findings if finding.is_error for row in finding.rows.to_pylist()}


def _with_change(changes: Column, rows: set[int]) -> set[int]:
    """*rows*, and all other rows of the same changes."""
    if not rows:
        return set()
    wrong = changes.take(pa.array(sorted(rows), pa.int64()))
    found = pc.indices_nonzero(pc.is_in(changes, value_set=wrong.drop_null()))
    return rows | set(found.to_pylist())


def _above(limit: int, keys: Sequence[bytes], values: Sequence[bytes]) -> set[int]:
    """The indices of events with more than *limit* bytes."""
    if max(map(len, keys), default=0) + max(map(len, values), default=0) <= limit:
        return set()
    return {
        at
        for at, (key, value) in enumerate(zip(keys, values, strict=True))
        if len(key) + len(value) > limit
    }


def _runs(header: Column) -> list[list[int]] | None:
    """The entries of each change, in the order of their first ones; None if each change has one."""
    largest = pc.max(pc.struct_field(header, "change_size")).as_py()
    if largest is None or largest == 1:
        return None
    found: dict[str, list[int]] = {}
    for at, change_id in enumerate(pc.struct_field(header, "change_id").to_pylist()):
        found.setdefault(change_id, []).append(at)
    return list(found.values())
