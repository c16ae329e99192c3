"""Compares the ledger's rows of events, and of the bus's own records, with the streams' logs: whose
event lies at which offset, and who recorded what. Pure.

Compaction takes events from the log, never from the ledger: rows whose event is gone are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bus.ledger.chains import ChainFault, ChainFaultKind

Row = Mapping[str, Any]


@dataclass(slots=True)
class EventRows:
    """The comparison of one partition of one stream, stretch by stretch."""

    stream: str
    partition: int
    reached: int  # how far the ledger is
    below: int  # retention took some of what lies before
    before: datetime | None = None  # and of the bus's own words none that was said since
    same: int = 0
    compacted: int = 0
    ahead: int = 0  # in the log, and the ledger has not come to it
    findings: list[ChainFault] = field(default_factory=list)

    def take(
        self,
        held: Sequence[Row],
        said: Mapping[int, Row],
        *,
        there: Collection[int],
        unreadable: Collection[int],
    ) -> None:
        """Compare one stretch of the log.

        Args:
            held: The ledger's rows in it.
            said: What the log says, by offset.
            there: All offsets that the log has in it, erasures included.
            unreadable: Those that cannot be read, and so are in no ledger.
        """
        missing = dict(said)
        for row in held:
            offset = row["log_offset"]
            logged = missing.pop(offset, None)
            if logged is not None:
                wrong = [name for name in logged if logged[name] != row[name]]
                if wrong:
                    self._find(ChainFaultKind.CHANGED, offset, f"not as in the log: {_list(wrong)}")
                else:
                    self.same += 1
            elif offset in there:
                if offset not in unreadable:
                    self._find(ChainFaultKind.ADDED, offset, "the log has no such event there")
            else:
                self.compacted += 1
        for offset, logged in missing.items():
            if offset >= self.reached:
                self.ahead += 1
            elif offset >= self.below or self._is_young(logged):
                self._find(ChainFaultKind.REMOVED, offset, "it is in the log, and is not there")

    def _is_young(self, logged: Row) -> bool:
        at = logged.get("at")
        return at is not None and (self.before is None or at >= self.before)

    def beyond(self, held: Sequence[Row]) -> None:
        """Add a finding for each row of the ledger beyond the log's end."""
        for row in held:
            self._find(ChainFaultKind.ADDED, row["log_offset"], "it lies beyond the log's end")

    def _find(self, kind: ChainFaultKind, offset: int, what: str) -> None:
        self.findings.append(
            ChainFault(
                kind=kind,
                system="",
                stream=self.stream,
                partition=self.partition,
                start=offset,
                end=offset + 1,
                place=(self.partition, offset),
                what=f"its row: {what}",
            )
        )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
