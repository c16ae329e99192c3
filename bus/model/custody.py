"""Records of what was done to the ledger itself, as the stream *custody* keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class CustodyAct(StrEnum):
    """What somebody did to the ledger."""

    PRUNED = "PRUNED"  # took what was older than it is to be kept
    ANCHORED = "ANCHORED"  # wrote down where every chain ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """One prune or anchor of the ledger (管理記録), proved by the bus's key.

    ``digest`` is of the marks that retention left in the ledger, or of the anchor's heads;
    ``receipts`` how many were taken, or how many heads there were.
    """

    act: CustodyAct
    at: datetime
    operator: str
    receipts: int
    digest: str
    before: datetime | None = None  # of a pruning: what was applied at this time or later stayed
    proof: str = ""

    @property
    def proved(self) -> tuple[str | int | None, ...]:
        """The text that its proof is made of: all fields."""
        before = None if self.before is None else _text(self.before)
        return self.act, _text(self.at), self.operator, before, self.receipts, self.digest


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
