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
from bus.publish.narrowing import fault_of, is_of_data
from bus.publish.outbox.concealing import TAKEN_OUT
from bus.publish.parse import shape_faults

MOST_REASONS = 100  # kept of one change: a broken program's faults repeat themselves


@dataclass(frozen=True, slots=True)
class Row:
    """One change that waits in an outbox, as text; *sealed* if it was put back so."""

    seq: int
    text: str
    change_id: str = ""
    sealed: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may come out of one outbox: whose changes, and of which municipalities (none: any)."""

    sources: frozenset[str]
    municipalities: frozenset[str] | None = None

    def faults(self, change: Change) -> list[Fault]:
        """Why the change does not belong into this outbox; none if it does."""
        faults = []
        if change.source not in self.sources:
            expected = "a source of this outbox: " + ", ".join(sorted(self.sources))
            faults.append(
                Fault(code="source", expected=expected, field="source", item="発生元システム")
            )
        if self.municipalities is not None and change.municipality_code not in self.municipalities:
            expected = "a municipality of this outbox: " + ", ".join(sorted(self.municipalities))
            faults.append(
                Fault(
                    code="municipality",
                    expected=expected,
                    field="municipality_code",
                    item="市区町村コード",
                )
            )
        return faults


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that will not be sent, and why; every reason is an error."""

    seq: int
    reasons: Sequence[Fault]

    @property
    def codes(self) -> set[str]:
        """The reasons' codes."""
        return {fault.code for fault in self.reasons}

    def but_lacking(self) -> Refusal:
        """The same, with a word that what was in the change is no longer there."""
        return Refusal(self.seq, [TAKEN_OUT, *self.reasons])

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
                for fault in self.reasons[:MOST_REASONS]
            ],
            ensure_ascii=False,
        )


def read(
    rows: Iterable[Row], bounds: Bounds | None = None
) -> tuple[list[tuple[int, Change]], list[Refusal]]:
    """The changes that have a change's shape, by sequence number, and refusals of the others.

    Args:
        bounds: What may come out of this outbox; none: whatever has a change's shape.
    """
    changes: list[tuple[int, Change]] = []
    refusals: list[Refusal] = []
    for row in rows:
        try:
            change = Change.model_validate_json(row.text, strict=True)
            strange = bounds.faults(change) if bounds is not None else []
        except ValidationError as error:
            refusals.append(Refusal(row.seq, shape_faults(error)[:MOST_REASONS]))
            continue
        except BaseException as error:
            if not is_of_data(error):
                raise
            refusals.append(Refusal(row.seq, [fault_of(error)]))
            continue
        if strange:
            refusals.append(Refusal(row.seq, strange))
        else:
            changes.append((row.seq, change))
    return changes, refusals
