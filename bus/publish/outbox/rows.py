"""Rows of an outbox, and what can be read out of them.

A row holds what a core system wrote, so anything may be in it. A fault names fields that the
model knows and never repeats what was there, not even a name it did not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from bus.model import Change, ChangeRecord, Fault, PartialDate

_KNOWN = {name for model in (Change, ChangeRecord, PartialDate) for name in model.model_fields}


MOST_REASONS = 100  # kept of one change: a broken program's faults repeat themselves


@dataclass(frozen=True, slots=True)
class Row:
    """One change that waits in an outbox, as text."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that will not be sent, and why; every reason is an error."""

    seq: int
    reasons: Sequence[Fault]

    @property
    def codes(self) -> set[str]:
        """The reasons' codes."""
        return {fault.code for fault in self.reasons}

    @property
    def as_json(self) -> str:
        """The reasons as they are kept in ``renkei.outbox_refused``."""
        return json.dumps(
            [
                {
                    name: value
                    for name in ("code", "record", "field", "item", "expected")
                    if (value := getattr(fault, name)) is not None
                }
                for fault in self.reasons
            ],
            ensure_ascii=False,
        )


def read(rows: Iterable[Row]) -> tuple[list[tuple[int, Change]], list[Refusal]]:
    """The changes that have a change's shape, by sequence number, and refusals of the others."""
    changes: list[tuple[int, Change]] = []
    refusals: list[Refusal] = []
    for row in rows:
        try:
            changes.append((row.seq, Change.model_validate_json(row.text)))
        except ValidationError as error:
            refusals.append(Refusal(row.seq, faults_of(error)))
    return changes, refusals


def faults_of(error: ValidationError) -> list[Fault]:
    """What is wrong with a change's shape, without a word of its content."""
    faults: list[Fault] = []
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        place = found["loc"]
        if found["type"] == "too_short" and any(fault.record is not None for fault in faults):
            continue  # said of records of which none could be read
        record = place[1] if place[:1] == ("records",) and len(place) > 1 else None
        path = place[2:] if record is not None else place
        names = [str(p) if isinstance(p, int) or p in _KNOWN else "?" for p in path]
        unknown = found["type"] == "extra_forbidden"
        faults.append(
            Fault(
                code="unknown-field" if unknown else "shape",
                expected="no field of another name" if unknown else _expected(found["msg"]),
                record=record if isinstance(record, int) else None,
                field=".".join(names) or None,
            )
        )
    return faults[:MOST_REASONS]


def _expected(message: str) -> str:
    return message[:1].lower() + message[1:]
