"""The ports of a connector: what a store must do so that the bus can deliver into it, and what it
may do beyond that.

Every store takes deliveries (:class:`Sink`). What else it can do it declares
(:attr:`Sink.capabilities`), and each capability is a protocol of its own here: *transactional*,
*reshapes*, *suppresses*, *stages*, *readable*. What a store lacks the bus does in its place, or
what needs it is refused to that connector. The contract is ``bus.conformance.sink_suite``, a part
for each capability; a connector is done when its rig passes the parts that it declares.

Shapes: rows are an Arrow ``RecordBatch`` in exactly the view's schema.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, get_args

import pyarrow as pa

from bus.connect.keeping import StoredLane
from bus.errors import ConfigurationError
from bus.model import (
    Applied,
    Checkpoint,
    Delivery,
    Erasures,
    Mark,
    Protected,
    Rewrites,
    ToRestore,
    Upserts,
    View,
)


class Sink(Protocol):
    """Applies views to one system's store. One instance per (system, stream)."""

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do beyond taking deliveries. The same before and after opening."""

    async def open(self, view: View) -> None:
        """Prepare the store.

        May be called again: after :meth:`close` as if for the first time; without it, after a call
        that failed, what was there must still be there, and is not made anew at once.

        Raises:
            EditionOutdated: The table stands under a newer edition of the subscription.
            ConfigurationError: The store cannot hold this view (altered table).
            SinkUnavailable: The store does not answer.
            Unready: Something that must be there is missing: the database, a table, a right.
        """

    async def apply(self, delivery: Delivery) -> Applied:
        """Make the delivery's effect durable, whole or not at all.

        In a view that keeps state, a row changes only to a higher version by *Upserts*, and only
        to the same by *Rewrites*. *Erasures* take rows out of a view that keeps state; a history
        stays what it was. One sink applies one delivery at a time; calls for several partitions
        may overlap and wait for each other.

        Raises:
            EventRefused: A row of it will never fit; nothing was written.
            ConfigurationError: The store no longer fits the view; nothing was written.
            SinkUnavailable: The store did not answer; the effect is unknown.
            Unready: Something that must be there is missing; nothing was written.
        """

    async def close(self) -> None:
        """Close the store; safe to call twice, and after a failed open."""


class Positions(Protocol):
    """Says where each lane of a store is."""

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        """The checkpoint of one partition of the open stream; None if there is none.

        Asked after an apply whose effect is unknown, and when a lane is taken over.
        """

    async def marks(self) -> Mapping[tuple[str, int], Mark]:
        """The marks of all lanes of the store, by stream and partition.

        One cheap question, about all streams and whichever process fills them. Needs no
        :meth:`Sink.open`.

        Raises:
            SinkUnavailable: The store does not answer.
            Unready: It holds no positions at all.
        """


class Transactional(Positions, Protocol):
    """Keeps position and receipt with the effect: *apply* makes all of it durable, or none.

    The position moves only from ``delivery.start`` (absent counts as 0), so that a delivery which
    is repeated has no further effect. Out of turn, the position stays and the receipt is stored.
    *apply* also raises:
        LaneLost: The stored position is not ``delivery.start``; nothing was written.
    """

    async def checkpoints(self) -> Mapping[int, Checkpoint]:
        """What is held of all partitions of the open stream (absent: from the beginning)."""


class KeptByBus(Positions, Protocol):
    """The bus keeps the positions in the store's place, and how far coverage was known."""

    async def kept(self, partition: int) -> StoredLane:
        """The bus's state of one partition of the open stream."""


class Reshapes(Protocol):
    """Removes from its tables what a view no longer shows.

    If the store's table stands under another view when it is opened, what
    :func:`bus.connect.retraction` names is taken away, and the new view is noted, at once and
    before anything is written under it. *apply* also raises, and then nothing was written:
        EditionOutdated: The table stands under a newer edition by now.
        ConfigurationError: Somebody opened it under another view of the same edition.
    """

    async def withdraw(self, granted: Collection[str], edition: int) -> Sequence[str]:
        """Remove everything of streams that are not *granted*; the names of those streams.

        Rows, positions and staging tables go.

        Needs no :meth:`Sink.open`. A stream that a newer edition than *edition* granted stays.

        Raises:
            ConfigurationError: The store does not let it.
            SinkUnavailable: The store does not answer.
        """


class Suppresses(Protocol):
    """Removes locations from its rows, and says which rows may have theirs back.

    A *ProtectionChange* says who is covered by now, with what brought it. In the same transaction
    their locations go, and their flag is set, in every table of this store that withholds (of
    whatever stream, filled by whatever process), and the rows whose locations may be shown again
    are written down (see :meth:`to_restore`). From then on rows that were masked under less than
    that are refused; and so is a change that says who is covered as of less. A store looks for
    whom it was not told of before (:meth:`~bus.model.Protected.newly`), or for everybody. Whatever
    keeps it, and its log, learns nothing of persons of whom it holds no row.

    *Rewrites* change rows of the same version, and no other; what was written down of their keys
    is done with. *apply* also raises:
        FenceBehind: The rows were masked under an older word on who is covered than the store has,
            or the change says an older one; nothing was written. Mask it again.
    """

    async def to_restore(self) -> ToRestore:
        """Which rows of this view lost their locations to a protection that covers them no longer.

        Raises:
            SinkUnavailable: The store does not answer.
        """


class Stages(Protocol):
    """Can be filled anew in a staging table."""

    def staging(self) -> Staging:
        """The sink that fills a staging table beside the table in use."""


class Readable(Protocol):
    """Says what it holds of the open stream, so that it can be compared with what it should hold.

    Rows are as they stand: what was masked or taken out is not there. Nothing is changed by asking.

    Raises, everywhere:
        ConfigurationError: Somebody else has put in what the view does not have.
        SinkUnavailable: The store does not answer.
    """

    async def digests(self, buckets: int) -> Mapping[int, str]:
        """What :func:`bus.connect.digests.digests_of` says of all its rows, in one reading."""

    async def rows(self, keys: Collection[str]) -> pa.RecordBatch:
        """The rows of the subjects *keys* (``<municipality_code>/<subject_id>``) in the view's
        schema, in the order of the view's key; whoever is not there is left out."""


EVERY = frozenset(get_args(Delivery))
"""What a store accepts that takes all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a store declares that it can do: per capability the object that does it, or None.

    A store names itself, so that a type checker holds it to the capability's protocol. ``accepts``
    says which deliveries it takes: every store *Upserts* and *Erasures*.
    """

    accepts: frozenset[type] = frozenset({Upserts, Erasures})
    transactional: Transactional | None = None
    reshapes: Reshapes | None = None
    suppresses: Suppresses | None = None
    stages: Stages | None = None
    readable: Readable | None = None
    kept_by_bus: KeptByBus | None = None
    """Of a store that is not transactional, once the bus keeps its positions for it."""

    @property
    def kept(self) -> Mapping[str, bool]:
        """Whether each capability is declared, by its name in ``docs/delivery.md``."""
        return {
            "transactional": self.transactional is not None,
            "reshapes": self.reshapes is not None,
            "suppresses": self.suppresses is not None,
            "rewrites": Rewrites in self.accepts,
            "stages": self.stages is not None,
            "readable": self.readable is not None,
        }

    @property
    def follows_protection(self) -> bool:
        """Whether locations that the store holds can be removed once they are protected.

        The store removes them, or takes the newest events again, masked.
        """
        return self.suppresses is not None or (
            Rewrites in self.accepts and self.transactional is None
        )

    @property
    def contents(self) -> Readable:
        """Who says what the store holds.

        Raises:
            ConfigurationError: Nobody: it can be compared with nothing.
        """
        if self.readable is None:
            raise ConfigurationError("this store does not say what it holds")
        return self.readable

    @property
    def positions(self) -> Positions:
        """The object that says where the store's lanes are.

        Raises:
            ConfigurationError: Nobody: what it is given it would be given again and again.
        """
        keeper = self.transactional or self.kept_by_bus
        if keeper is None:
            raise ConfigurationError("nobody keeps where the lanes of this store stand")
        return keeper


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of merging the staging table into the table in use."""

    changed: int
    added: int
    removed: int
    kept: int  # newer than what the staging table had, or of a settled subject that it lacked


@dataclass(frozen=True, slots=True)
class LeftoverStaging:
    """A staging table that an earlier rebuild left."""

    rows: int
    events: int  # of the log, that it was filled up to
    since: datetime | None  # when it was made, by the store's clock


class LockedTarget(Protocol):
    """The table in use, locked against writers; it can be read."""

    @property
    def checkpoints(self) -> Mapping[int, Checkpoint]:
        """The checkpoints of its lanes."""

    async def merge(self, settled: Collection[str], protected: Protected | None = None) -> Merged:
        """Put the staging table's rows and positions in place of those in use, in one transaction.

        The staging table is gone afterwards.

        No row goes down: one that is of a higher version than the staging table's stays as it is. A
        row that the staging table lacks goes, but for those of the subjects *settled* (keys,
        ``<municipality_code>/<subject_id>``): something of them was set aside when the staging
        table passed it, and may have been applied meanwhile. Of the protection stream *protected*
        is applied with it, as with a delivery (see :class:`Suppresses`): from the new positions on.

        Raises:
            ConfigurationError: The table in use refuses a row; nothing has changed.
            SinkUnavailable: The store did not answer; nothing has changed, or all has.
        """


class Staging(Sink, Transactional, Protocol):
    """Fills a staging table beside the table in use, with positions of its own.

    Opening makes the table, or finds what was filled under the same view. Nobody but the bus can
    read it. One process at a time has it.

    Raises, in ``open`` as well:
        RebuildBusy: Another process has it.
        ConfigurationError: The table in use does not stand under this view, or cannot be rebuilt.
    """

    def lock(self) -> AbstractAsyncContextManager[LockedTarget]:
        """Lock the table in use against writers, inside the block.

        Raises:
            ConfigurationError: It no longer stands under the view of the staging table.
            SinkUnavailable: The store does not answer, or a writer does not end.
        """

    async def drop(self) -> None:
        """Drop the staging table; the next :meth:`Sink.open` makes a new one."""

    async def left(self, view: View) -> LeftoverStaging | None:
        """The staging table beside that of *view*, if there is one. Needs no :meth:`Sink.open`.

        Raises:
            SinkUnavailable: The store does not answer.
        """

    async def discard(self, view: View) -> LeftoverStaging | None:
        """Take away what :meth:`left` says, whatever view it was filled under; what it was.

        Raises:
            RebuildBusy: Another process has it.
            SinkUnavailable: The store does not answer.
        """
