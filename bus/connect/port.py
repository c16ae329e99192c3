"""The ports of a connector: what a store must promise so that the bus can deliver into it.

Shapes: a :class:`~bus.model.ViewBatch` holds an Arrow ``RecordBatch`` in exactly the view's
schema. The contract is the suite in ``bus.conformance.sink_suite``; a connector is done when its
rig passes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bus.model import Applied, Checkpoint, Mark, Protected, ToRestore, View, ViewBatch


class Sink(Protocol):
    """Applies views to one system's store. One instance per (system, stream)."""

    async def open(self, view: View) -> Mapping[int, Checkpoint]:
        """Prepare the store; what it holds of each partition (absent: from the beginning).

        If the store's table stands under another view, what :func:`bus.connect.taken` names is
        taken away, and *view* is noted, at once and before anything is written under it. May be
        called again: after :meth:`close` as if for the first time; without it, after a call that
        failed, what was there must still be there, and is not made anew at once.

        Raises:
            EditionOutdated: The table stands under a newer edition of the subscription.
            ConfigurationError: The store cannot hold this view (altered table).
            SinkUnavailable: The store does not answer.
            Unready: Something that must be there is missing: the database, a table, a right.
        """

    async def apply(self, batch: ViewBatch) -> Applied:
        """Make the batch's effect, and its position and receipt, durable, whole or not at all.

        The position moves only from ``batch.start`` (absent counts as 0). Repeating a batch has
        no further effect. In a view that keeps state, a row changes only to a higher version.
        A replay leaves the position where it is and stores its receipt. Erased keys take rows out
        of a view that keeps state; a history stays what it was. One sink applies one batch at a
        time; calls for several partitions may overlap and wait for each other.

        A batch of the protection stream carries who is under protection by now, and so may one of
        any stream that has the flag. In the same
        transaction their locations go, and their flag is set, in every table of this store that
        withholds (of whatever stream, filled by whatever process), and the rows whose locations
        may be shown again are written down (see :meth:`to_restore`). From then on a batch that was
        masked under less than this store's protection lanes have passed is refused; and so is one
        that says who is protected as of less. A store looks for whom it was not told of before
        (:meth:`~bus.model.Protected.newly`), or for everybody. Whatever keeps it, and its log,
        learns nothing of persons of whom it holds no row.

        A batch that restores rewrites rows of the same version, and no other; what was written
        down of its keys is done with.

        Raises:
            EditionOutdated: The table stands under a newer edition by now; nothing was written.
            FenceBehind: The batch was masked under an older word on who is under protection than
                the store has, or says an older one; nothing was written. Mask it again.
            LaneLost: The stored position is not ``batch.start``; nothing was written.
            EventRefused: A row of the batch will never fit; nothing was written.
            ConfigurationError: The store no longer fits the view, or somebody opened it under
                another view of the same edition; nothing was written.
            SinkUnavailable: The store did not answer; the effect is unknown.
            Unready: Something that must be there is missing; nothing was written.
        """

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        """What the store holds of one partition now; None if nothing. Asked after an apply
        whose effect is unknown, and when a lane is taken over."""

    async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
        """Take away all that the store holds of streams that are not *granted*: rows, positions
        and what a rebuild has filled so far. The names of those streams.

        Needs no :meth:`open`. A stream that a newer edition than *edition* granted stays.

        Raises:
            ConfigurationError: The store does not let it.
            SinkUnavailable: The store does not answer.
        """

    def fresh(self) -> Fresh:
        """What fills a fresh table beside the one in use. A sink of its own."""

    async def to_restore(self) -> ToRestore:
        """Which rows of this view lost their locations to a protection that covers them no longer.

        Raises:
            SinkUnavailable: The store does not answer.
        """

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        """Where all lanes of the store stand, by stream and partition, of whatever stream and
        filled by whatever process. One cheap question. Needs no :meth:`open`.

        Raises:
            SinkUnavailable: The store does not answer.
            Unready: It holds no positions at all.
        """

    async def close(self) -> None:
        """Let go of the store; safe to call twice, and after a failed open."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """What became of the table in use when the fresh one took its place."""

    changed: int
    added: int
    removed: int
    kept: int  # newer than what the fresh table had, or of a settled subject that it lacked


@dataclass(frozen=True, slots=True)
class Left:
    """A fresh table that has not taken its place."""

    rows: int
    events: int  # of the log, that it was filled up to
    since: datetime | None  # when it was made, by the store's clock


class Held(Protocol):
    """The table in use, which nobody writes meanwhile; it can be read."""

    @property
    def checkpoints(self) -> Mapping[int, Checkpoint]:
        """Where its lanes stand."""

    async def swap(self, settled: Collection[str], protected: Protected | None = None) -> Swapped:
        """Put what the fresh table holds, and its positions, in the place of what is in use: all
        at once. The fresh table is gone then.

        No row goes down: one that is of a higher version than the fresh table's stays as it is. A
        row that the fresh table lacks goes, but for those of the subjects *settled* (keys,
        ``<municipality_code>/<subject_id>``): something of them was set aside when the fresh table
        passed it, and may have been applied meanwhile. Of the protection stream *protected* is
        applied with it, as with a batch (see :meth:`Sink.apply`): from the new positions on.

        Raises:
            ConfigurationError: The table in use refuses a row; nothing has changed.
            SinkUnavailable: The store did not answer; nothing has changed, or all has.
        """


class Fresh(Sink, Protocol):
    """Fills a fresh table beside the one in use, with positions of its own.

    Opening makes the table, or finds what was filled under the same view. Nobody but the bus can
    read it. One process at a time has it.

    Raises, in ``open`` as well:
        RebuildBusy: Another process has it.
        ConfigurationError: The table in use does not stand under this view, or cannot be rebuilt.
    """

    def hold(self) -> AbstractAsyncContextManager[Held]:
        """Keep writers from the table in use, inside.

        Raises:
            ConfigurationError: It no longer stands under the view that the fresh one is filled for.
            SinkUnavailable: The store does not answer, or a writer does not end.
        """

    async def drop(self) -> None:
        """Drop the fresh table; the next :meth:`open` begins anew."""

    async def left(self, view: View) -> Left | None:
        """What is there of a fresh table beside that of *view*; None if nothing. Needs no
        :meth:`open`.

        Raises:
            SinkUnavailable: The store does not answer.
        """

    async def discard(self, view: View) -> Left | None:
        """Take away what :meth:`left` says, whatever view it was filled under; what it was.

        Raises:
            RebuildBusy: Another process has it.
            SinkUnavailable: The store does not answer.
        """
