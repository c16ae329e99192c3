"""Commit the lanes' positions to their consumer group: for lag tools, the bus reads none back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from bus.broker import Consumer, TopicPartition
from bus.clock import Clock
from bus.errors import BusError
from bus.failpoints import Point, passed

_EVERY = timedelta(seconds=1)


class OffsetCommitter:
    """Collects positions and commits them about once a second."""

    def __init__(self, consumer: Consumer, clock: Clock, log: Any) -> None:
        self._consumer = consumer
        self._clock = clock
        self._log = log
        self._done: dict[TopicPartition, int] = {}
        self._has_done = asyncio.Event()

    def done(self, place: TopicPartition, offset: int) -> None:
        """Note that everything before *offset* is applied and its receipt acknowledged."""
        self._done[place] = offset
        self._has_done.set()

    async def run(self) -> None:
        """Commit about once a second, until cancelled."""
        while True:
            await self._has_done.wait()
            await self.commit()
            await self._clock.sleep(_EVERY)

    async def commit(self) -> None:
        """Commit what is not committed yet; what fails is tried with the next."""
        done, self._done = self._done, {}
        self._has_done.clear()
        if not done:
            return
        try:
            await self._consumer.commit(done)
        except BusError as error:  # for lag tools only: the next one tells as much
            self._log.warning("offsets-untold", code=error.code)
        else:
            passed(Point.LANE_COMMITTED)
