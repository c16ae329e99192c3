"""Compare the ledger's receipts with those in the receipts' log, offset by offset. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bus.ledger.chains import ChainFault, ChainFaultKind, ReceiptRow


@dataclass(slots=True)
class LogComparison:
    """The rows that differ so far; what only moved is known at the end."""

    same: int = 0
    _held: list[ReceiptRow] = field(default_factory=list)  # in the ledger, not so in the log
    _said: list[ReceiptRow] = field(default_factory=list)  # in the log, not so in the ledger

    def take(self, held: Iterable[ReceiptRow], said: Iterable[ReceiptRow]) -> None:
        """Compare one stretch of one partition; both arguments hold all that lies in it."""
        by_place = {row.place: row for row in said}
        for row in held:
            in_log = by_place.pop(row.place, None)
            if in_log is not None and in_log.said == row.said:
                self.same += 1
                continue
            self._held.append(row)
            if in_log is not None:
                self._said.append(in_log)
        self._said += by_place.values()

    @property
    def chains(self) -> set[str]:
        """The chain values of receipts that the log has and the ledger lacks or has otherwise."""
        return {row.chain for row in self._said}

    def findings(self) -> list[ChainFault]:
        """One finding for each row that differs."""
        found: list[ChainFault] = []
        missing = {row.place: row for row in self._said}
        moved: dict[tuple[object, ...], ReceiptRow] = {}
        for row in self._said:
            moved.setdefault(row.said, row)
        left = []
        for row in self._held:
            origin = moved.get(row.said)
            if origin is None:
                left.append(row)
                continue
            del moved[row.said]
            missing.pop(origin.place, None)
            what = f"it was said at {origin.place[0]}/{origin.place[1]} of the receipts' log"
            found.append(ChainFault.of(ChainFaultKind.MOVED, row, what))
        for row in left:
            in_log = missing.pop(row.place, None)
            if in_log is None:
                what = "the receipts' log does not have it"
                found.append(ChainFault.of(ChainFaultKind.ADDED, row, what))
            else:
                wrong = ", ".join(_differences(row, in_log))
                found.append(
                    ChainFault.of(ChainFaultKind.CHANGED, in_log, f"not as it was said: {wrong}")
                )
        for row in missing.values():
            what = "it was said, and is not there"
            found.append(ChainFault.of(ChainFaultKind.REMOVED, row, what))
        return found


def _differences(held: ReceiptRow, said: ReceiptRow) -> list[str]:
    own = ("chain", "applied_at", "cluster_id", "is_replay", "proof")
    wrong = [name for name in own if getattr(held, name) != getattr(said, name)]
    names = type(held.receipt).__dataclass_fields__
    return [
        *(n for n in names if getattr(held.receipt, n) != getattr(said.receipt, n)),
        *wrong,
    ]
