"""Read the changes that a source hands over, and refuse those that may not come from there.

A text holds what a core system wrote, so anything may be in it; it is read as strictly wherever it
comes from, and refused in the same words. What a change may be that comes from one source, its
admission says: whose it is (:class:`Bounds`), or under which id it goes (:class:`Naming`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from bus.connect.source import MOST_REASONS, Refusal, Taken
from bus.model import Change, Fault
from bus.publish.fault_search import fault_of, is_of_data
from bus.publish.identity import change_id_from
from bus.publish.parse import parse, shape_faults

Admission = Callable[[Change, bytes], Change | list[Fault]]
"""The change to publish of a change that was read from a text, or why it is not admitted."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may come from one source: whose changes, and of which municipalities (none: any)."""

    sources: frozenset[str]
    municipalities: frozenset[str] | None = None

    def __call__(self, change: Change, _text: bytes = b"") -> Change | list[Fault]:
        """See :data:`Admission`."""
        return self.faults(change) or change

    def faults(self, change: Change) -> list[Fault]:
        """Why the change is outside the bounds; empty if it is inside."""
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
class Naming:
    """Gives a change without an id one that follows from its own text and a key of the site's.

    So a text that is published again adds nothing that is there already, and nobody without the
    key can try which text makes that id. Where there is no key, and for a change with an item
    that is sealed (個人番号), the text must bring an id.
    """

    sealed: Collection[str]
    """The streams that have an item which is sealed."""
    key: bytes | None

    def __call__(self, change: Change, text: bytes) -> Change | list[Fault]:
        """See :data:`Admission`."""
        if change.change_id is not None:
            return change
        if any(record.stream in self.sealed for record in change.records):
            expected = "an id (UUIDv7) of its own, for a change with an item that is sealed"
            return [Fault(code="missing", expected=expected, field="change_id")]
        if self.key is None:
            expected = "an id (UUIDv7) of its own; or RENKEI_RECEIPT_KEYS_FILE, to make one with"
            return [Fault(code="missing", expected=expected, field="change_id")]
        made = change_id_from(text, change.processed_at, self.key)
        return change.model_copy(update={"change_id": made})


def read(
    taken: Iterable[Taken], admit: Admission | None = None
) -> tuple[list[tuple[int, Change]], list[Refusal]]:
    """The changes of the right form that are admitted, by place, and the refusals of the others.

    Args:
        admit: None: whatever has a change's shape.
    """
    changes: list[tuple[int, Change]] = []
    refusals: list[Refusal] = []
    for each in taken:
        try:
            found = _read(each, admit)
        except BaseException as error:
            if not is_of_data(error):
                raise
            found = [fault_of(error)]
        if isinstance(found, list):
            refusals.append(Refusal(each.place, found))
        else:
            changes.append((each.place, found))
    return changes, refusals


def _read(taken: Taken, admit: Admission | None) -> Change | list[Fault]:
    if taken.text is None:
        return [taken.fault or Fault(code="unreadable", expected="a change that can be read")]
    found: Change | list[Fault]
    if taken.is_from_json:
        try:
            found = Change.model_validate_json(taken.text, strict=True)
        except ValidationError as error:
            return shape_faults(error)[:MOST_REASONS]
    else:
        found = parse(taken.text, is_whole=taken.is_whole)
    if admit is None or isinstance(found, list):
        return found
    return admit(found, taken.text)
