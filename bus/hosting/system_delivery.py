"""Delivery to one system: a member of its consumer group, with a lane for each partition it owns.

The group only deals partitions out; where a lane starts is its store's word. A lane is fed while
it has room, so that one that is slow does not hold up the others, and paused while it cannot get
on. Offsets are told to the group about once a second: they are for lag tools, and nothing reads
them back. How lanes begin, stand and end is in :mod:`bus.hosting.fleet`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog

from bus.broker import Consumer, TopicPartition, group_of
from bus.deliver.process import ProcessContext
from bus.deliver.state import LaneState
from bus.errors import BusError, PositionForeign
from bus.hosting.feeds import Feed, Withdraw
from bus.hosting.fleet import Fleet
from bus.hosting.roster import Roster
from bus.observe.runner import this_process
from bus.retry import retried

_log = structlog.get_logger("renkei.deliver")
_SOME_ARE_FULL = timedelta(milliseconds=50)  # how often the others are looked at meanwhile
_ONCE_WAIT = timedelta(milliseconds=200)


class SystemDelivery:
    """Delivers to one system in this process."""

    def __init__(
        self,
        system: str,
        feeds: Sequence[Feed],
        process: ProcessContext,
        *,
        sends_receipts: bool = True,
        gather: timedelta = timedelta(),
        withdraw: Withdraw | None = None,
    ) -> None:
        self.system = system
        self._process = process
        self._log = _log.bind(system=system)
        self._sends_receipts = sends_receipts
        self._gather = gather
        self._fetching: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._join(feeds, withdraw)

    @property
    def lanes(self) -> list[LaneState]:
        """The lanes that this process owns now."""
        return list(self.fleet.roster.states.values())

    def _join(self, feeds: Sequence[Feed], withdraw: Withdraw | None) -> None:
        """Join the group as a new member, which owns nothing yet."""
        self._consumer: Consumer = self._process.cluster.broker.consumer(
            group_of(self.system), client_id=f"renkei-{self.system}@{this_process()}"
        )
        self.fleet = Fleet(
            Roster(self.system, feeds, self._process),
            self._process,
            self._consumer,
            sends_receipts=self._sends_receipts,
            gather=self._gather,
            withdraw=withdraw,
        )
        self._has_started = self._was_assigned = False
        self._subscribed: list[str] = []

    async def run(self, *, once: bool = False) -> None:
        """Deliver until :meth:`stop`, or, *once*, until all that was there is delivered.

        After it has ended by an error it may be called again: then another member of the group
        takes up where the stores stand.

        Raises:
            ConfigurationError: A topic is missing, or the broker refuses us.
        """
        if self._fetching is not None:
            self._join(list(self.fleet.roster.feeds.values()), self.fleet.withdrawal.withdraw)
        self._process.control.operations.listen(self.system, self.fleet.instruct)
        self.fleet.withdrawal.begin()
        committing = self._process.runtime.tasks.keep(
            "offsets", self.fleet.committer.run, system=self.system
        )
        looking = self._process.runtime.tasks.keep(
            "store-watch", self.fleet.store_watch.run, system=self.system
        )
        self._fetching = asyncio.create_task(self._join_and_fetch(once))
        if self._is_stopping:
            self._fetching.cancel()
        try:
            await asyncio.wait({self._fetching})
            if not (self._fetching.cancelled() and self._is_stopping):
                self._fetching.result()
        finally:
            self._fetching.cancel()
            await self.fleet.leave()
            await committing.end()
            await looking.end()
            await self.fleet.close()

    def switch(self, feeds: Sequence[Feed], withdraw: Withdraw | None) -> None:
        """As :meth:`Fleet.switch`, after the batches in hand."""
        self.fleet.switch(feeds, withdraw)

    def stop(self) -> None:
        """Finish the batches in hand and end; :meth:`run` then returns."""
        self._is_stopping = True
        if self._fetching is not None:
            self._fetching.cancel()

    async def _join_and_fetch(self, once: bool) -> None:
        turn, back_off = partial(self._turn, once), self._process.runtime.settings.back_off()
        while not await retried(turn, back_off, self._wait_out):
            pass

    async def _turn(self, once: bool) -> bool:
        """Join, if that is to be done, and fetch; whether, *once*, there is nothing left to do."""
        try:
            if not self._has_started:
                await self._consumer.start()
                self._has_started = True
            if await self._is_subscribed():
                return await self._fetch(once)
        except PositionForeign as error:
            if error.sought is None or not self.fleet.stop_lane(*error.sought, error):
                raise
            return False
        if not once:  # there is nothing that it may have, yet
            self.fleet.room.clear()
            await self.fleet.room.wait()
        return once

    async def _wait_out(self, error: BusError, length: timedelta) -> bool:
        self._log.warning("delivery-waits", code=error.code)
        return await self._process.cluster.pulse.rest(length)

    async def _is_subscribed(self) -> bool:
        """Whether anything is read; subscribes to what the system may have by now.

        A system that may have nothing more stays in its group, and its partitions are not read.
        """
        topics = self.fleet.topics
        if topics and topics != self._subscribed:
            await self.fleet.leave()
            await self._consumer.subscribe(topics, self._on_assigned, self.fleet.release)
            self._subscribed = topics
        return bool(self._subscribed)

    async def _on_assigned(self, places: Sequence[TopicPartition]) -> None:
        self._was_assigned = True
        self.fleet.take(places)

    async def _fetch(self, once: bool) -> bool:
        """Fetch and feed the lanes; True if everything is delivered, with *once*."""
        self.fleet.stop_expired()
        self.fleet.room.clear()
        places = self._with_room()
        if places == []:
            await self.fleet.room.wait()
            return False
        wait = self._process.runtime.settings.idle_wait
        if places is not None:
            wait = timedelta()
        elif once:
            wait = _ONCE_WAIT
        most = max(
            self._process.runtime.settings.fetch_records // 2, 1
        )  # and a quarter may be waiting
        fetched = await self._consumer.fetch(most, wait, places)
        if places is not None and not fetched:
            await self._until_room(_SOME_ARE_FULL)
        for piece in fetched:
            self.fleet.feed(piece)
        if not once or fetched or not self._was_assigned:
            return False
        return await self.fleet.targets.are_passed()

    def _with_room(self) -> list[TopicPartition] | None:
        """The partitions whose lanes have room; None if all have."""
        at_work = self.fleet.at_work
        roomy = [place for place, lane in at_work.items() if lane.has_room]
        return roomy if len(roomy) < len(at_work) else None

    async def _until_room(self, most: timedelta) -> None:
        """Until a full lane has room again, but no longer than *most*: for the others, something
        may have come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most.total_seconds()):
                await self.fleet.room.wait()
