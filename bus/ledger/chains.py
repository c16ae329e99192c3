"""Check that a lane's receipts form an unbroken chain (連鎖). Pure.

Each receipt names the chain value of the one before it and starts where that one ended. A lane has
a chain for each time that it was built: each begins at offset 0 with :data:`NO_PREVIOUS`. Where a
store was restored from a copy two receipts follow the same one. A receipt may stand twice, for a
lane sends its last one again whenever it opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bus.model import Receipt
from bus.model.receipt import NO_PREVIOUS


class ChainFaultKind(StrEnum):
    """What can be wrong with a row of the ledger."""

    CHANGED = "changed"  # it does not say what was said
    REMOVED = "removed"  # it was said, and is not there
    ADDED = "added"  # it is there, and was not said
    MOVED = "moved"  # it stands at another place than it was said at
    BROKEN = "broken"  # it follows a receipt that is not there, or starts elsewhere
    CONTENT = "content"  # the log holds other events than were delivered
    UNPROVED = "unproved"  # nothing shows that the bus said it


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """A receipt as the ledger or the receipts' log has it, and its place in that log."""

    receipt: Receipt
    chain: str
    applied_at: datetime
    cluster_id: str
    is_replay: bool
    log_partition: int
    log_offset: int
    proof: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The partition and offset of the receipt in its log."""
        return self.log_partition, self.log_offset

    @property
    def said(self) -> tuple[object, ...]:
        """All fields but the place."""
        return (
            self.receipt, self.chain, self.applied_at, self.cluster_id, self.is_replay, self.proof
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """Something that is wrong with one row."""

    kind: ChainFaultKind
    system: str
    stream: str
    partition: int
    start: int
    end: int
    place: tuple[int, int]  # in the receipts' log
    what: str
    follows: str = ""  # the chain value of the receipt that it does not follow well

    @classmethod
    def of(cls, kind: ChainFaultKind, row: ReceiptRow, what: str, follows: str = "") -> ChainFault:
        """A finding about *row*."""
        receipt = row.receipt
        return cls(
            kind=kind,
            system=receipt.system,
            stream=receipt.stream,
            partition=receipt.partition,
            start=receipt.start,
            end=receipt.end,
            place=row.place,
            what=what,
            follows=follows,
        )


@dataclass(slots=True)
class LaneVerdict:
    """What was found in one lane's receipts."""

    receipts: int = 0
    repeats: int = 0
    chains: int = 0
    forks: int = 0  # receipts that follow one which another follows already: a restored store
    findings: list[ChainFault] = field(default_factory=list)


def check_lane(rows: Sequence[ReceiptRow], heads: Mapping[str, int]) -> LaneVerdict:
    """Check the receipts of one lane.

    Args:
        rows: All that the ledger has of it, in the order of the receipts' log.
        heads: Chain value -> end, of receipts that retention took and that others may follow.
    """
    verdict = LaneVerdict()
    ends: dict[str, int | None] = dict(heads)
    first: dict[str, tuple[int, int]] = {}
    for row in rows:
        is_true = _itself(row) is None
        for chain in (row.chain, row.receipt.chain):
            if is_true or chain not in ends:
                ends[chain] = row.receipt.end if is_true else None
            first.setdefault(chain, row.place)
    seen: set[str] = set(heads)
    times: set[tuple[str, datetime]] = set()
    followed: set[str] = set()
    for row in rows:
        verdict.receipts += 1
        problem = _itself(row)
        if problem is None and (row.chain, row.applied_at) in times:
            verdict.repeats += 1
            continue
        if problem is None:
            problem = _before(row, ends, first, seen)
        if problem is not None:
            verdict.findings.append(problem)
        elif row.receipt.previous == NO_PREVIOUS:
            verdict.chains += 1
        elif row.chain not in seen:
            verdict.forks += row.receipt.previous in followed
            followed.add(row.receipt.previous)
        seen.update((row.chain, row.receipt.chain))
        times.add((row.chain, row.applied_at))
    return verdict


def _itself(row: ReceiptRow) -> ChainFault | None:
    if row.chain != row.receipt.chain:
        return ChainFault.of(
            ChainFaultKind.CHANGED, row, "its chain value is not that of what it says"
        )
    if row.is_replay != (row.receipt.start == row.receipt.end):
        return ChainFault.of(
            ChainFaultKind.CHANGED, row, "whether it is out of turn is not what it says"
        )
    return None


def _before(
    row: ReceiptRow,
    ends: Mapping[str, int | None],
    first: Mapping[str, tuple[int, int]],
    seen: set[str],
) -> ChainFault | None:
    receipt = row.receipt
    if receipt.previous == NO_PREVIOUS:
        if receipt.start != 0:
            what = "it begins a chain, and not at offset 0"
            return ChainFault.of(ChainFaultKind.BROKEN, row, what)
        return None
    if receipt.previous not in ends:
        if row.chain in seen:  # retention took it; a lane that opened sent it again
            return None
        what = f"the receipt before it, which ended at {receipt.start}, is not there"
        return ChainFault.of(ChainFaultKind.BROKEN, row, what, receipt.previous)
    end = ends[receipt.previous]  # None: that one is not what it was, and is named itself
    if end is not None and end != receipt.start:
        what = f"it starts elsewhere than the receipt before it ended: {end}"
        return ChainFault.of(ChainFaultKind.BROKEN, row, what, receipt.previous)
    if receipt.previous not in seen:
        place = first[receipt.previous]
        what = f"it stands before the receipt that it follows: {place[0]}/{place[1]}"
        return ChainFault.of(ChainFaultKind.MOVED, row, what, receipt.previous)
    return None


def settle(
    in_chains: Iterable[ChainFault], in_log: Iterable[ChainFault], said: set[str]
) -> list[ChainFault]:
    """All findings, without those of the chains that the log already explains.

    Args:
        in_chains: What the chains by themselves showed.
        in_log: What the comparison with the log showed, and with what it delivered.
        said: Chain values of what the log has and the ledger has otherwise, or not at all.
    """
    named = list(in_log)
    places = {finding.place for finding in named}
    kept = [
        finding
        for finding in in_chains
        if finding.place not in places and finding.follows not in said
    ]
    return sorted([*kept, *named], key=lambda f: (f.system, f.stream, f.partition, f.place))
