"""The identity of a lane, with its state, metrics, log and clock; shared by all parts of a lane."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import structlog

from bus.broker import TopicPartition
from bus.deliver.process import ProcessContext
from bus.deliver.rows import Rows
from bus.deliver.state import LaneState
from bus.errors import BusError
from bus.model import LaneName, Position, View

_log = structlog.get_logger("renkei.deliver")
LARGE = 1_000
"""Rows from which work in columns leaves the event loop."""


class PartitionConsumer(Protocol):
    """The part of a consumer that a lane uses for its partition."""

    async def ends(self) -> tuple[int, int]:
        """The first offset in the log, and the one after the last."""

    def seek(self, offset: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def done(self, offset: int) -> None:
        """Note that everything before *offset* is applied and its receipt acknowledged."""

    def has_room(self) -> None:
        """Note that the lane has taken what was waiting for it."""


class LaneContext:
    """One lane: its view and partition, and its state, metrics, log and clock."""

    def __init__(self, view: View, place: TopicPartition, process: ProcessContext) -> None:
        self.view = view
        self.place = place
        self.cluster_id = process.cluster.id
        self.metrics = process.runtime.metrics
        self.clock = process.runtime.clock
        self.state: LaneState = process.lanes.of(*self.name)
        self.log: Any = _log.bind(system=view.system, stream=view.stream, partition=place[1])
        self.stuck_at: int | None = None
        """The offset that the lane cannot pass, where an error is of one."""
        self.no_rows = Rows(pa.RecordBatch.from_pylist([], schema=view.schema), [], [], [])

    @property
    def name(self) -> LaneName:
        """The name of the lane."""
        return LaneName(self.view.system, self.view.stream, self.place[1])

    @property
    def labels(self) -> tuple[str, str]:
        """The labels of the lane in metrics."""
        return self.view.system, self.view.stream

    @property
    def where(self) -> dict[str, object]:
        """The lane's name as errors have it."""
        return {
            "system": self.view.system,
            "stream": self.view.stream,
            "partition": self.place[1],
        }

    def stuck(self, offset: int, error: BusError) -> BusError:
        """*error*, for which the lane cannot pass this offset, to be raised."""
        self.stuck_at = offset
        return error

    def now(self) -> datetime:
        """The time by the process's clock."""
        return self.clock.now()

    def at(self, offset: int, last_event_id: str | None = None) -> Position:
        """A position at this offset of the lane's log."""
        return Position(
            cluster_id=self.cluster_id,
            topic=self.place[0],
            partition=self.place[1],
            offset=offset,
            last_event_id=last_event_id,
        )
