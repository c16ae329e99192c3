"""Check receipts' digests against the bytes in the log: whether it holds what was delivered.

The log of a stream's partition is read once, and the receipts of all systems are carried along
it. Compaction leaves holes: a receipt can be checked only if every offset that it delivered is
still there; the others are counted. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.broker import Fetched
from bus.ledger.chains import ChainFault, ChainFaultKind, ReceiptRow
from bus.sealing.proofs import Hashing
from bus.sealing.ring import KeyRing

_STRETCH = re.compile(r"\[(\d+),(\d+)\)")


def stretches(delivered: str) -> list[tuple[int, int]]:
    """The ranges of an ``int8multirange``'s text: first offset, and the one after the last."""
    return [(int(first), int(end)) for first, end in _STRETCH.findall(delivered)]


@dataclass(slots=True)
class _Open:
    """A receipt whose digest is being computed."""

    row: ReceiptRow
    ranges: Sequence[tuple[int, int]]
    hashed: Hashing
    found: int = 0

    @property
    def end(self) -> int:
        return self.ranges[-1][1]

    @property
    def wanted(self) -> int:
        return sum(end - first for first, end in self.ranges)

    def take(self, fetched: Fetched) -> None:
        offsets = fetched.offsets
        for first, end in self.ranges:
            if end <= offsets[0] or first > offsets[-1]:
                continue
            low, high = bisect_left(offsets, first), bisect_left(offsets, end)
            self.found += high - low
            self.hashed.update(b"".join(value or b"" for value in fetched.values[low:high]))


@dataclass(slots=True)
class DigestCheck:
    """Computes the digests of one partition's receipts while its log is read."""

    ring: KeyRing
    checked: int = 0
    compacted: int = 0  # receipts that could not be checked: not all of it is in the log
    findings: list[ChainFault] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)

    def add(self, row: ReceiptRow) -> None:
        """Add the receipt *row*; they are added by first delivered offset, ascending."""
        hashed = Hashing(row.receipt.digest, self.ring)
        self._open.append(_Open(row, stretches(row.receipt.delivered), hashed))

    def take(self, fetched: Fetched) -> None:
        """Go on with the next piece of the log; receipts that begin in it were added before."""
        if not fetched.offsets:
            return
        for each in self._open:
            each.take(fetched)
        self.passed(fetched.offsets[-1] + 1)

    def passed(self, offset: int) -> None:
        """Note that the log before *offset* was read."""
        still = []
        for each in self._open:
            if each.end > offset:
                still.append(each)
            else:
                self._close(each)
        self._open = still

    def finish(self) -> None:
        """Note the end of the log: a receipt of anything beyond it is wrong."""
        for each in self._open:
            what = "it delivered offsets that the log does not have, and never had"
            self.findings.append(ChainFault.of(ChainFaultKind.CONTENT, each.row, what))
        self._open = []

    def _close(self, each: _Open) -> None:
        if each.found != each.wanted:
            self.compacted += 1
            return
        if not each.hashed.is_known:
            what = "its digest was made with a key that is not among the keys here"
            self.findings.append(ChainFault.of(ChainFaultKind.UNPROVED, each.row, what))
            return
        self.checked += 1
        if not each.hashed.agrees:
            what = "the log holds other events than it delivered"
            self.findings.append(ChainFault.of(ChainFaultKind.CONTENT, each.row, what))
