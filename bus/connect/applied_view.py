"""What a store's table stands under, and what it must give up when its view changes.

Pure values, the same for every connector. A store notes beside its positions which view a table
was opened under last, column by column. Whoever opens it under another view takes away, before
any row is written, what that one no longer shows. It comes back, where it may, by a rebuild.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from bus.errors import ConfigurationError, EditionOutdated, SinkUnavailable
from bus.model import Keeping, Sensitivity, Suppression, View, ViewColumn

STAGING = "__fresh"
"""Ends the names of what a rebuild fills beside the table in use."""


@dataclass(frozen=True, slots=True)
class AppliedView:
    """The view that a table was last opened under, as far as it decides what the table may hold."""

    fingerprint: str
    edition: int
    columns: Mapping[str, str]  # flat name -> how it is shown
    locations: Collection[str]
    suppression: str
    event_types: Collection[str]
    conditions: Collection[str]

    @classmethod
    def of(cls, view: View) -> AppliedView:
        """The applied view of a table that is opened for *view*."""
        return cls(
            fingerprint=view.fingerprint,
            edition=view.edition,
            columns={column.name: _shown(column) for column in view.columns},
            locations=[c.name for c in view.columns if c.sensitivity is Sensitivity.LOCATION],
            suppression=view.suppression.value,
            event_types=sorted(view.event_types),
            conditions=sorted(str(condition) for condition in view.conditions),
        )

    @classmethod
    def nothing(cls, edition: int) -> AppliedView:
        """The applied view of a table whose stream its system may no longer have."""
        return cls("", edition, {}, [], "", [], [])

    @property
    def text(self) -> str:
        """The applied view as JSON, for a store to keep."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def read(cls, kept: object) -> AppliedView:
        """The applied view of a text that :attr:`text` made.

        Raises:
            ConfigurationError: It is something else: a store's owner can write there anything.
        """
        said = kept if isinstance(kept, dict) else {}
        if said.keys() != _KINDS.keys() or any(
            not isinstance(said[name], kind) for name, kind in _KINDS.items()
        ):
            raise ConfigurationError("what the store holds of its view is not what the bus noted")
        return cls(**said)


_KINDS: Mapping[str, type] = {
    "fingerprint": str, "edition": int, "columns": dict, "locations": list, "suppression": str,
    "event_types": list, "conditions": list,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Retraction:
    """What a table must give up: columns, rows of some event types, or everything."""

    columns: tuple[str, ...] = ()  # emptied in every row, until a rebuild fills them
    event_types: frozenset[str] = frozenset()  # rows that an event of these wrote go
    everything: bool = False  # all rows go, and the lanes begin anew

    def __bool__(self) -> bool:
        return self.everything or bool(self.columns or self.event_types)


def retraction(before: AppliedView | None, view: View) -> Retraction:
    """What a table that stood under *before* gives up when it is opened for *view*.

    Columns that the view lacks, and those that it masks in another way: what they hold was not
    masked so. All locations, where the system was trusted to suppress them itself and no longer
    is: which rows are protected by now is not for the table to say. Rows of event types that are
    no longer selected. Everything, where a condition is new: which rows it leaves out is known
    from the log alone. A history stays what it was.
    """
    if before is None or view.keeping is Keeping.HISTORY:
        return Retraction()
    now = AppliedView.of(view)
    lost = [name for name, shown in before.columns.items() if now.columns.get(name) != shown]
    if (before.suppression, now.suppression) == (Suppression.CAPABLE, Suppression.WITHHOLD):
        lost += [name for name in before.locations if name not in lost]
    return Retraction(
        columns=tuple(lost),
        event_types=frozenset(before.event_types) - frozenset(now.event_types),
        everything=not set(now.conditions) <= set(before.conditions),
    )


def is_behind(before: AppliedView | None, view: View) -> bool:
    """Whether a table must be prepared for *view* before it is written under it.

    Raises:
        EditionOutdated: The table stands under a newer edition than *view* is of.
    """
    if before is None:
        return True
    if before.edition > view.edition:
        raise EditionOutdated(
            "the store stands under a newer edition of the subscription than is known here",
            system=view.system,
            stream=view.stream,
            edition=view.edition,
            stored=before.edition,
        )
    return (before.fingerprint, before.edition) != (view.fingerprint, view.edition)


def insist_on_view(now: AppliedView | None, view: View) -> None:
    """Refuse what is written under *view* where the table stands under another *now*.

    Raises:
        SinkUnavailable: Under none, or an older one: it is to be opened anew.
        EditionOutdated: Under a newer edition.
        ConfigurationError: Under another view of the same edition.
    """
    where = {"system": view.system, "stream": view.stream, "edition": view.edition}
    if now is None or now.edition < view.edition:
        raise SinkUnavailable("the table is to be opened anew", **where)
    if now.edition > view.edition:
        raise EditionOutdated("the table stands under a newer edition", **where)
    if now.fingerprint != view.fingerprint:
        raise ConfigurationError("the table was opened under another view", **where)


def _shown(column: ViewColumn) -> str:
    return str(column.type) if column.mask is None else f"{column.type} {column.mask}"
