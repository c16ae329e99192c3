"""What a run of the demo found, as values: the JSON document, and what the screen draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrival:
    """One system's part of one change: applied in its own database, and after how long."""

    system: str
    ja: str
    applied: bool
    after_ms: float | None  # commit in the core system → applied in this store; the store's clock


@dataclass(frozen=True, slots=True)
class Compared:
    """One item of a row as two systems hold it; None where a location is withheld."""

    item: str
    ja: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What one system sees beside what another may not, of the same subject."""

    left: str
    right: str
    rows: Sequence[Compared]


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """One change of the demo, from the clerk's commit to the sixteen stores."""

    change_id: str
    kind: str
    ja: str
    events: int
    expected: int
    arrivals: Sequence[Arrival]
    ledger_applied: int  # what the ledger says of the same change
    compared: SideBySide

    @property
    def applied(self) -> int:
        """Systems whose own database holds their part of the change."""
        return sum(arrival.applied for arrival in self.arrivals)

    @property
    def slowest_ms(self) -> float | None:
        """The last arrival, in milliseconds; None if any is missing."""
        times = [arrival.after_ms for arrival in self.arrivals]
        return (
            round(max(t for t in times if t is not None), 1)
            if all(t is not None for t in times)
            else None
        )


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """The synthetic municipality, loaded through the bus into sixteen systems."""

    events: int
    deliveries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything the demo showed."""

    population: int
    first_load: FirstLoad
    changes: Sequence[ChangeShown]
    next_steps: Mapping[str, str]  # where to look next: what -> command

    @property
    def is_whole(self) -> bool:
        """Whether every change is everywhere, and databases and ledger say the same of each."""
        return all(
            change.applied == change.expected == change.ledger_applied for change in self.changes
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> DemoResult:
        """The result whose fields *record* holds (:func:`dataclasses.asdict`)."""
        changes = [
            ChangeShown(
                **change
                | {
                    "arrivals": [Arrival(**arrival) for arrival in change["arrivals"]],
                    "compared": SideBySide(
                        change["compared"]["left"],
                        change["compared"]["right"],
                        [Compared(**row) for row in change["compared"]["rows"]],
                    ),
                }
            )
            for change in record["changes"]
        ]
        load = FirstLoad(**record["first_load"])
        return cls(record["population"], load, changes, record["next_steps"])

    def document(self) -> Mapping[str, Any]:
        """The object that ``renkei demo --json`` prints."""
        return {
            "population": self.population,
            "first_load": asdict(self.first_load),
            "changes": [
                {
                    "change_id": change.change_id,
                    "kind": change.kind,
                    "expected": change.expected,
                    "applied": change.applied,
                    "ledger_applied": change.ledger_applied,
                    "slowest_ms": change.slowest_ms,
                }
                for change in self.changes
            ],
        }
