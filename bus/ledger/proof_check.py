"""Check the proofs of receipts by the bus's keys. Pure.

From the first receipt on that has a proof, every one behind it in its partition of the receipts'
log must have one: nothing without a proof can be added after that, by whoever can write there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bus.ledger.chains import ChainFault, ChainFaultKind, ReceiptRow
from bus.model.receipt import proved_of
from bus.sealing import KeyRing, ProofKind
from bus.sealing.proofs import proves


@dataclass(slots=True)
class ProofCheck:
    """Checks the proofs of a ledger's receipts, lane by lane.

    Attributes:
        since: By partition of the receipts' log, where the first receipt with a proof lies.
    """

    ring: KeyRing
    since: Mapping[int, int]
    good: int = 0
    before: int = 0  # receipts of before there were proofs
    findings: list[ChainFault] = field(default_factory=list)

    def take(self, rows: Iterable[ReceiptRow], named: Collection[tuple[int, int]]) -> None:
        """Check *rows*; one whose place is *named* already gets no second finding."""
        for row in rows:
            what = self._wrong(row)
            if what is None:
                self.good += row.proof is not None
                self.before += row.proof is None
            elif row.place not in named:
                self.findings.append(ChainFault.of(ChainFaultKind.UNPROVED, row, what))

    def _wrong(self, row: ReceiptRow) -> str | None:
        if row.proof is None:
            first = self.since.get(row.log_partition)
            if first is None or row.log_offset < first:
                return None
            return "it has no proof, and one before it in the log has"
        said = proved_of(row.chain, row.applied_at, row.cluster_id)
        holds = proves(self.ring, row.proof, ProofKind.RECEIPT, said)
        if holds is None:
            return "its proof is by a key that is not among the keys here"
        return None if holds else "its proof is not of what it says"
