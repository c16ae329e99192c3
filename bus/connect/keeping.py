"""Positions and other state that the bus keeps for stores without any, and the port to keep them.

A folder of files or a receiver of messages says of nothing where it stands. So a lane's position
and receipt, as of what its rows were masked, and which of them were masked lie in the bus's own
database, and move by the same compare and set. That and the store's effect are not one: a process
that dies in between delivers again (:class:`bus.connect.kept.BusKept`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bus.connect.applied_view import AppliedView, Retraction
from bus.model import Applied, Checkpoint, Delivery, LaneName, Mark, Reached


@dataclass(frozen=True, slots=True)
class StoredLane:
    """The state that the bus keeps of one lane."""

    checkpoint: Checkpoint | None = None
    standing: AppliedView | None = None  # the view that its stream was opened under last
    reached: Reached = field(default_factory=dict)
    """As of what its rows are masked, in each log that coverage rests on."""
    masked: frozenset[str] = frozenset()
    """Keys of the rows that say that somebody is under protection."""


class LaneTurn(Protocol):
    """The exclusive right to one lane's state, for one delivery."""

    @property
    def kept(self) -> StoredLane:
        """The lane's state when the turn began."""

    async def hand_over(self, send: Callable[[], Awaitable[Applied]]) -> Applied:
        """Call *send* while the lane is surely this turn's; cancel it before the lane may be
        another's.

        Raises:
            SinkUnavailable: It may be another's by now; the effect is unknown, or nothing was sent.
        """

    async def move(self, delivery: Delivery, reached: Reached, masked: Collection[str]) -> datetime:
        """Record *delivery* as applied, committed when the turn ends well; the keeper's time."""


class Keeper(Protocol):
    """Keeps the lanes' state of stores that keep none, for whichever process delivers to them.

    Raises, everywhere:
        SinkUnavailable: It does not answer; of a turn's end, the effect is unknown.
        Unready: Its database, or the right to it, is missing.
    """

    async def stand(
        self, system: str, stream: str, standing: AppliedView, lost: Retraction, *, is_owed: bool
    ) -> None:
        """Note what a stream is opened under; its lanes begin anew if everything was *lost*.

        Args:
            is_owed: Whether a person has to take out of the store what was lost.
        """

    async def kept(self, lane: LaneName) -> StoredLane:
        """The state of a lane now."""

    async def marks(self, system: str) -> Mapping[LaneName, Mark]:
        """Where the lanes of a system stand."""

    def turn(self, lane: LaneName) -> AbstractAsyncContextManager[LaneTurn]:
        """Have the exclusive right to a lane's state inside the block."""

    async def withdraw(
        self, system: str, granted: Collection[str], edition: int, *, is_owed: bool
    ) -> Sequence[str]:
        """Forget the lanes of all streams that are not *granted*; the names of those streams.

        As :meth:`bus.connect.Reshapes.withdraw`, and *is_owed* as in :meth:`stand`.
        """

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
