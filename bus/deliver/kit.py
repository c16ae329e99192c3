"""What the parts of one lane share: its view and place, who feeds, reads and stores, its state."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import structlog

from bus.broker import TopicPartition
from bus.catalog.decoding import BatchReader
from bus.control.parked import SetAside
from bus.deliver.rows import Rows
from bus.deliver.shared import Shared, SharedSink
from bus.deliver.state import LaneState
from bus.model import LaneName, Position, View

_log = structlog.get_logger("renkei.deliver")
LARGE = 1_000
"""Rows from which work in columns leaves the event loop."""


class Reading(Protocol):
    """What a lane asks of the consumer that feeds it."""

    async def ends(self) -> tuple[int, int]:
        """The first offset that is still in the log, and the one after the last."""

    def seek(self, offset: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def done(self, offset: int) -> None:
        """Everything before *offset* is applied and its receipt acknowledged."""

    def has_room(self) -> None:
        """The lane took what waited for it."""


class Kit:
    """One per lane; the parts' own state is theirs."""

    def __init__(
        self,
        view: View,
        place: TopicPartition,
        *,
        sink: SharedSink,
        reader: BatchReader,
        reading: Reading,
        shared: Shared,
    ) -> None:
        self.view = view
        self.place = place
        self.sink = sink
        self.reader = reader
        self.reading = reading
        self.shared = shared
        self.set_aside: SetAside = shared.parked.lane(self.name)
        self.state: LaneState = shared.lanes.of(*self.name)
        self.log: Any = _log.bind(system=view.system, stream=view.stream, partition=place[1])
        self.no_rows = Rows(pa.RecordBatch.from_pylist([], schema=view.schema), [], [], [])

    @property
    def name(self) -> LaneName:
        """Which lane it is."""
        return LaneName(self.view.system, self.view.stream, self.place[1])

    @property
    def labels(self) -> tuple[str, str]:
        """The lane's labels in the metrics."""
        return self.view.system, self.view.stream

    @property
    def where(self) -> dict[str, object]:
        """The lane, as errors name it."""
        return {
            "system": self.view.system,
            "stream": self.view.stream,
            "partition": self.place[1],
        }

    def now(self) -> datetime:
        """The time by the process's clock."""
        return self.shared.clock.now()

    def at(self, offset: int, last_event_id: str | None = None) -> Position:
        """A position in this lane's log."""
        return Position(
            cluster_id=self.shared.cluster_id,
            topic=self.place[0],
            partition=self.place[1],
            offset=offset,
            last_event_id=last_event_id,
        )
