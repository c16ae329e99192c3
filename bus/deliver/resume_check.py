"""Check that the log is the one that a store's position is of, and that nothing is missing.

First the position is held against the cluster, the topic and the log's ends; then, when the first
events come, against the event before it and against their age.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bus.broker import Fetched
from bus.deliver.context import LaneContext
from bus.deliver.projector import Projector
from bus.deliver.rows import event_id
from bus.errors import BusError, LaneTooOld, PositionForeign
from bus.log.run import Run
from bus.model import Checkpoint


class ResumeCheck:
    """A store's position, until the log has confirmed it."""

    def __init__(
        self,
        context: LaneContext,
        projector: Projector,
        checkpoint: Checkpoint,
        compaction_lag: timedelta,
    ) -> None:
        self._context = context
        self._compaction_lag = compaction_lag
        self._projector = projector
        self._checkpoint = checkpoint

    def resume_at(self, begin: int, end: int) -> int:
        """Where to read on in a log from *begin* to *end*: one event back, to compare it.

        Raises:
            PositionForeign: The position is of another log.
            LaneTooOld: The log no longer reaches back to it.
        """
        position = self._checkpoint.position
        log = (self._context.cluster_id, self._context.place[0])
        if (position.cluster_id, position.topic) != log:
            raise self._foreign("the store's position is of another cluster or topic")
        if position.offset > end:
            raise self._foreign("the store's position lies beyond the log's end")
        if position.offset < begin:
            raise self._too_old(
                position.offset, "the log no longer holds what follows the store's position"
            )
        is_to_be_seen = position.last_event_id is not None and position.offset > begin
        return position.offset - 1 if is_to_be_seen else position.offset

    async def unknown(self, run: Run, pieces: Sequence[Fetched]) -> Run:
        """What of the first events, *run* of *pieces*, the store does not know yet.

        Raises:
            PositionForeign: The log holds another event before the position.
            LaneTooOld: The lane may have missed an erasure.
        """
        position = self._checkpoint.position
        if run.offsets[0] == position.offset - 1 and position.last_event_id is not None:
            value = run.values[0]
            if value is None or await self._event_id(run.part(0, 1)) != position.last_event_id:
                raise self._foreign("the log holds another event before the store's position")
        run = run.from_offset(position.offset)
        if run.offsets:
            self._check_age(run.offsets[0], pieces)
        return run

    def _check_age(self, first: int, pieces: Sequence[Fetched]) -> None:
        """Raise if compaction may have taken an erasure since the position."""
        lag, now = self._compaction_lag, self._context.now()
        if now - self._checkpoint.applied_at <= lag:
            return
        timestamp_ms = next(
            piece.timestamps_ms[piece.offsets.index(first)]
            for piece in pieces
            if piece.offsets[-1] >= first
        )
        age = now - datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        if first != self._checkpoint.position.offset or age > lag:
            raise self._too_old(
                first, "the lane was away so long that it may have missed an erasure; rebuild it"
            )

    def _foreign(self, message: str) -> BusError:
        """The error of a position that is not the log's."""
        context, offset = self._context, self._checkpoint.position.offset
        return context.stuck(offset, PositionForeign(message, **context.where, offset=offset))

    def _too_old(self, offset: int, message: str) -> BusError:
        """The error of a log that does not reach back."""
        context = self._context
        return context.stuck(offset, LaneTooOld(message, **context.where, offset=offset))

    async def _event_id(self, run: Run) -> str | None:
        readable = await self._projector.read(run)
        if readable.stop is not None:
            index, error = readable.stop
            raise self._context.stuck(run.offsets[index], error)
        return None if readable.records is None else event_id(readable.records, 0)
