"""Rows of an outbox, and what can be read out of them.

A row holds what a core system wrote, so anything may be in it. It is read as strictly as a line of
a file is, and refused in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from bus.model import Change, Fault
from bus.publish.parse import shape_faults

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
            changes.append((row.seq, Change.model_validate_json(row.text, strict=True)))
        except ValidationError as error:
            refusals.append(Refusal(row.seq, shape_faults(error)[:MOST_REASONS]))
    return changes, refusals
