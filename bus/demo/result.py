"""The results of a run of the demo, as values: for the JSON document and for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrival:
    """One change in one system: when its own database had applied it, and how long that took."""

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
    """The same subject as two systems see it, one of which may not see the location."""

    left: str
    right: str
    rows: Sequence[Compared]


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """One change of the demo: from the clerk's commit to the stores of all that receive it."""

    change_id: str
    kind: str
    ja: str
    source: str  # the system that made it
    events: int
    expected: int
    arrivals: Sequence[Arrival]
    ledger_applied: int  # what the ledger says of the same change and systems
    compared: SideBySide | None

    @property
    def applied(self) -> int:
        """The systems whose own database holds their part of the change."""
        return sum(arrival.applied for arrival in self.arrivals)

    @property
    def slowest_ms(self) -> float | None:
        """Milliseconds until the last arrival; None if any is missing."""
        times = [arrival.after_ms for arrival in self.arrivals]
        return (
            round(max(t for t in times if t is not None), 1)
            if times and all(t is not None for t in times)
            else None
        )


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """The first load of the synthetic municipality into all systems."""

    events: int
    deliveries: int
    databases: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ReceiverShown:
    """A system that received: what its own database holds at the end."""

    system: str
    ja: str
    is_neighbour: bool  # beside the seventeen
    streams: int
    rows: int


@dataclass(frozen=True, slots=True)
class ProviderShown:
    """A system that published: what its outbox says was sent, and how much of it others hold."""

    system: str
    is_neighbour: bool  # beside the seventeen
    sent: int  # changes in its own outbox that Kafka has acknowledged
    rows_elsewhere: int  # rows of those changes in other systems' databases
    systems_reached: int

    @property
    def is_proved(self) -> bool:
        """Whether something was sent and another system holds it."""
        return self.sent > 0 and self.rows_elsewhere > 0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """All results of a run of the demo."""

    population: int
    first_load: FirstLoad
    changes: Sequence[ChangeShown]
    received: Sequence[ReceiverShown]
    provided: Sequence[ProviderShown]
    next_steps: Mapping[str, str]  # where to look next: what -> command

    @property
    def is_whole(self) -> bool:
        """Whether every change is in every store, and the ledger says so too.

        And whether every system that took part has shown that it did.
        """
        return (
            all(
                change.applied == change.expected == change.ledger_applied
                for change in self.changes
            )
            and all(each.rows for each in self.received)
            and all(each.is_proved for each in self.provided)
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> DemoResult:
        """The result whose fields *record* holds (:func:`dataclasses.asdict`)."""
        changes = [
            ChangeShown(
                **change
                | {
                    "arrivals": [Arrival(**arrival) for arrival in change["arrivals"]],
                    "compared": _compared(change["compared"]),
                }
            )
            for change in record["changes"]
        ]
        return cls(
            record["population"],
            FirstLoad(**record["first_load"]),
            changes,
            [ReceiverShown(**each) for each in record["received"]],
            [ProviderShown(**each) for each in record["provided"]],
            record["next_steps"],
        )

    def document(self) -> Mapping[str, Any]:
        """The object that ``renkei demo --json`` prints."""
        return {
            "population": self.population,
            "first_load": asdict(self.first_load),
            "changes": [
                {
                    "change_id": change.change_id,
                    "kind": change.kind,
                    "source": change.source,
                    "expected": change.expected,
                    "applied": change.applied,
                    "ledger_applied": change.ledger_applied,
                    "slowest_ms": change.slowest_ms,
                }
                for change in self.changes
            ],
            "received": [_entry(each) for each in self.received if not each.is_neighbour],
            "provided": [_entry(each) for each in self.provided if not each.is_neighbour],
            "neighbours": {
                "received": [_entry(each) for each in self.received if each.is_neighbour],
                "provided": [_entry(each) for each in self.provided if each.is_neighbour],
            },
        }


def _entry(side: ReceiverShown | ProviderShown) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(side).items() if name != "is_neighbour"}


def _compared(record: Mapping[str, Any] | None) -> SideBySide | None:
    if record is None:
        return None
    return SideBySide(record["left"], record["right"], [Compared(**row) for row in record["rows"]])
