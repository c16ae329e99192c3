"""The values that a store is given: a closed set, each applied whole.

*Upserts* write rows, *Erasures* take subjects out, *Rewrites* put rows of a version that the store
has in their place, and a *ProtectionChange* says who is covered by now, with the rows or erasures
that brought it. Each says by its step where its lane stands then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from bus.model.protection import Protected, Reached
from bus.model.receipt import Receipt
from bus.model.view import Position, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The lane's positions before and after a delivery, and its receipt.

    ``start`` is where the lane's last delivery ended, not the first offset inside: compaction and
    filtering leave holes, positions have none. What stays where it is has ``start == end.offset``:
    a retry, a rewrite. ``proof`` is kept beside the receipt; a store does not look into it.
    """

    view: View
    partition: int
    start: int
    end: Position
    receipt: Receipt
    proof: str | None = None


class _OfALane:
    """The fields of its lane that every delivery has."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def step(self) -> Step: ...

    @property
    def view(self) -> View:
        """The view that the rows are in."""
        return self.step.view

    @property
    def partition(self) -> int:
        """The partition of the stream's topic."""
        return self.step.partition

    @property
    def start(self) -> int:
        """The position at which the lane must be for this to be applied."""
        return self.step.start

    @property
    def end(self) -> Position:
        """The lane's position afterwards."""
        return self.step.end

    @property
    def receipt(self) -> Receipt:
        """The receipt for the delivery."""
        return self.step.receipt

    @property
    def proof(self) -> str | None:
        """The bus's proof of the receipt."""
        return self.step.proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserts(_OfALane):
    """Consecutive rows of one lane, in exactly the view's schema.

    There may be none: the position moves all the same. ``masked_under`` is set where the view is
    fenced: how far the mask knows the logs that coverage rests on.
    """

    step: Step
    records: pa.RecordBatch
    masked_under: Reached | None = None

    @property
    def token(self) -> str:
        """The same whenever this is delivered again, and for nothing else."""
        return _token("upserts", self.receipt, ())

    def under(self, view: View) -> Upserts:
        """The same delivery under another edition of its view."""
        return replace(self, step=replace(self.step, view=view))


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures(_OfALane):
    """Subjects whose rows must go, by their keys: ``<municipality_code>/<subject_id>``."""

    step: Step
    keys: tuple[str, ...]

    @property
    def token(self) -> str:
        """As :attr:`Upserts.token`."""
        return _token("erasures", self.receipt, self.keys)

    def under(self, view: View) -> Erasures:
        """The same delivery under another edition of its view."""
        return replace(self, step=replace(self.step, view=view))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrites(_OfALane):
    """Rows in place of those of exactly the same version, with other locations masked or shown.

    ``keys`` are the rows that this is done with, whether there is still a row of each or not.
    """

    step: Step
    keys: tuple[str, ...]
    records: pa.RecordBatch
    masked_under: Reached | None = None

    @property
    def token(self) -> str:
        """As :attr:`Upserts.token`."""
        return _token("rewrites", self.receipt, self.keys)

    def under(self, view: View) -> Rewrites:
        """The same delivery under another edition of its view."""
        return replace(self, step=replace(self.step, view=view))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionChange(_OfALane):
    """Who is covered by now, and the rows or erasures that come with it, in one transaction."""

    protected: Protected
    brought_by: Upserts | Erasures

    @property
    def step(self) -> Step:
        """The step of the rows or erasures that it comes with."""
        return self.brought_by.step

    @property
    def token(self) -> str:
        """As :attr:`Upserts.token`."""
        known = (f"{log}:{offset}" for log, offset in sorted(self.protected.as_of.items()))
        return _token("protection", self.receipt, (self.brought_by.token, *known))

    def under(self, view: View) -> ProtectionChange:
        """The same delivery under another edition of its view."""
        return replace(self, brought_by=self.brought_by.under(view))


Delivery: TypeAlias = Upserts | Erasures | Rewrites | ProtectionChange


def content_of(delivery: Delivery) -> Upserts | Erasures | Rewrites:
    """The rows or erasures in *delivery*; of a protection change, those that come with it."""
    return delivery.brought_by if isinstance(delivery, ProtectionChange) else delivery


def rows_in(delivery: Delivery) -> int:
    """The number of rows in *delivery*; none in erasures."""
    content = content_of(delivery)
    return 0 if isinstance(content, Erasures) else content.records.num_rows


def _token(kind: str, receipt: Receipt, more: Sequence[str]) -> str:
    """The receipt's chain value, which covers the lane, the offsets and the events' digest."""
    return hashlib.sha256("\x1f".join((kind, receipt.chain, *more)).encode()).hexdigest()
