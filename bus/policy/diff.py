"""Compare two policies, system by system and stream by stream.

Compared is what a system would see, on today's schemas: not how a file is written. Who applies a
policy reads from the same values what follows from it: a view that gains columns or rows, or
whose masks or conditions change, is to be filled anew from the log; columns that it loses are to
be taken out of what the system holds already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bus.catalog import Catalog
from bus.model import (
    Condition,
    MaskKind,
    Mode,
    Sensitivity,
    Stream,
    Suppression,
    ViewColumn,
)
from bus.policy.grants import Grant, Subscription
from bus.policy.views import columns_of

Subscriptions = Mapping[str, Subscription]


class AccessChange(StrEnum):
    """What becomes of a system's access to a stream."""

    GAINED = "gained"
    LOST = "lost"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class ColumnShown:
    """One column that a system gains or loses."""

    path: str
    name: str  # flat, as in the store
    ja: str
    sensitivity: Sensitivity
    mask: MaskKind | None


@dataclass(frozen=True, slots=True)
class MaskChange:
    """One column that stays and is masked in another way."""

    path: str
    name: str
    ja: str
    sensitivity: Sensitivity
    before: MaskKind | None
    after: MaskKind | None


@dataclass(frozen=True, slots=True)
class TermChange:
    """One term of a grant that does not change what is seen: ground, purpose, days and the like."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changes for one system and stream."""

    system: str
    system_ja: str
    stream: str
    stream_ja: str
    kind: AccessChange
    ground: str  # of the new grant; of a lost one, what it stood on
    purpose: str
    gained: tuple[ColumnShown, ...] = ()
    lost: tuple[ColumnShown, ...] = ()
    masks: tuple[MaskChange, ...] = ()
    event_types_gained: tuple[str, ...] = ()
    event_types_lost: tuple[str, ...] = ()
    conditions_gone: tuple[Condition, ...] = ()
    conditions_new: tuple[Condition, ...] = ()
    suppression: tuple[Suppression, Suppression] | None = None  # before, after; None: as it was
    mode: tuple[Mode, Mode] | None = None
    terms: tuple[TermChange, ...] = ()

    @property
    def changes_view(self) -> bool:
        """Whether the system would see something else; otherwise only terms change."""
        return self.kind is not AccessChange.CHANGED or any(
            (
                self.gained, self.lost, self.masks, self.event_types_gained,
                self.event_types_lost, self.conditions_gone, self.conditions_new,
                self.suppression, self.mode,
            )
        )  # fmt: skip

    @property
    def needs_rebuild(self) -> bool:
        """Whether what the system holds must be filled anew from the log.

        Where columns or rows are gained; where a mask, a condition or the suppression changes,
        because what is held was written under the old one. A stream that is gained is filled
        from the start anyway, and one that is lost is not filled at all.
        """
        return self.kind is AccessChange.CHANGED and bool(
            self.gained
            or self.masks
            or self.event_types_gained
            or self.conditions_gone
            or self.conditions_new
            or self.suppression
        )

    @property
    def removes(self) -> tuple[str, ...]:
        """Flat names of columns whose content must leave what the system holds already.

        Those that are lost, and those that are masked in another way: what they hold was not
        masked so.
        """
        lost = [column.name for column in self.lost]
        return tuple(lost + [change.name for change in self.masks])


def diff(old: Subscriptions, new: Subscriptions, catalog: Catalog) -> tuple[Difference, ...]:
    """What changes from *old* to *new*, by system and stream; nothing for what stays.

    Args:
        old: What is in force.
        new: What would be.
        catalog: The streams, with their newest schemas; a stream that it lacks is refused when
            subscriptions are read, and is in neither.
    """
    return tuple(
        found
        for system in sorted(old.keys() | new.keys())
        for found in _of_system(old.get(system), new.get(system), catalog)
    )


def _of_system(
    old: Subscription | None, new: Subscription | None, catalog: Catalog
) -> Iterator[Difference]:
    named = new or old
    if named is None:
        return
    before, after = old.streams if old else {}, new.streams if new else {}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        said = now or was
        if was == now or said is None:
            continue
        stream = catalog.stream(name)
        words = {
            "system": named.system, "system_ja": named.ja,
            "stream": stream.name, "stream_ja": stream.ja,
            "ground": str(said.legal_basis), "purpose": said.purpose,
        }  # fmt: skip
        found = _of_grants(words, was, now, stream)
        if found.changes_view or found.terms:
            yield found


def _of_grants(
    words: Mapping[str, str], was: Grant | None, now: Grant | None, stream: Stream
) -> Difference:
    seen = {column.path: column for column in columns_of(was, stream)} if was else {}
    shown = {column.path: column for column in columns_of(now, stream)} if now else {}
    types_before, types_after = _types(was), _types(now)
    rules_before, rules_after = _rules(was), _rules(now)
    kind = (
        AccessChange.GAINED
        if was is None
        else AccessChange.LOST
        if now is None
        else AccessChange.CHANGED
    )
    return Difference(
        **words,
        kind=kind,
        gained=tuple(_column(c) for path, c in shown.items() if path not in seen),
        lost=tuple(_column(c) for path, c in seen.items() if path not in shown),
        masks=tuple(
            MaskChange(c.path, c.name, c.ja, c.sensitivity, _mask(seen[path]), _mask(c))
            for path, c in shown.items()
            if path in seen and _mask(seen[path]) != _mask(c)
        ),
        event_types_gained=tuple(t for t in types_after if t not in types_before),
        event_types_lost=tuple(t for t in types_before if t not in types_after),
        conditions_gone=tuple(c for c in rules_before if c not in rules_after),
        conditions_new=tuple(c for c in rules_after if c not in rules_before),
        suppression=(was.suppression, now.suppression)
        if was and now and was.suppression is not now.suppression
        else None,
        mode=(was.mode, now.mode) if was and now and was.mode is not now.mode else None,
        terms=_terms(was, now) if was and now else (),
    )


def _types(grant: Grant | None) -> tuple[str, ...]:
    return grant.event_types if grant else ()


def _rules(grant: Grant | None) -> tuple[Condition, ...]:
    return grant.conditions if grant else ()


def _mask(column: ViewColumn) -> MaskKind | None:
    return column.mask.kind if column.mask else None


def _column(column: ViewColumn) -> ColumnShown:
    return ColumnShown(column.path, column.name, column.ja, column.sensitivity, _mask(column))


_TERMS = (
    "legal_basis", "purpose", "suppression_reason", "number_use", "approver", "approved_on",
    "expires_on",
)  # fmt: skip


def _terms(was: Grant, now: Grant) -> tuple[TermChange, ...]:
    context = ((name, getattr(was, name), getattr(now, name)) for name in _TERMS)
    return tuple(
        TermChange(name, _said(before), _said(after))
        for name, before, after in context
        if before != after
    )


def _said(word: object) -> str:
    return "" if word is None else str(word)
