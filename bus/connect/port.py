"""The ports of a connector: what a store must promise so that the bus can deliver into it.

Shapes: a :class:`~bus.model.ViewBatch` holds an Arrow ``RecordBatch`` in exactly the view's
schema. The contract is the suite in ``bus.testing.sink_suite``; a connector is done when its
rig passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bus.model import Applied, Checkpoint, View, ViewBatch


class Sink(Protocol):
    """Applies views to one system's store. One instance per (system, stream)."""

    async def open(self, view: View) -> Mapping[int, Checkpoint]:
        """Prepare the store; what it holds of each partition (absent: from the beginning).

        May be called again after :meth:`close`.

        Raises:
            ConfigurationError: The store cannot hold this view (wrong rights, altered table).
            SinkUnavailable: The store does not answer.
        """

    async def apply(self, batch: ViewBatch) -> Applied:
        """Make the batch's effect, and its position and receipt, durable, whole or not at all.

        The position moves only from ``batch.start`` (absent counts as 0). Repeating a batch has
        no further effect. In a view that keeps state, a row changes only to a higher version.
        A replay leaves the position where it is and stores its receipt. Erased keys take rows out
        of a view that keeps state; a history stays what it was. One sink applies one batch at a
        time; calls for several partitions may overlap and wait for each other.

        Raises:
            LaneLost: The stored position is not ``batch.start``; nothing was written.
            EventRefused: A row of the batch will never fit; nothing was written.
            ConfigurationError: The store no longer fits the view; nothing was written.
            SinkUnavailable: The store did not answer; the effect is unknown.
        """

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        """What the store holds of one partition now; None if nothing. Asked after an apply
        whose effect is unknown, and when a lane is taken over."""

    async def close(self) -> None:
        """Let go of the store; safe to call twice, and after a failed open."""
