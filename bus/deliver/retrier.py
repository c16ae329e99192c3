"""Repeat, with a back-off and without end, what needs something outside that does not answer.

What may be the middle of a restore or a deployment (:class:`~bus.errors.Unready`) is tried again in
the same way, but a lane stops on it when it has lasted for too long.

While that lasts the lane counts as stalled: nothing more is fetched for it, and whoever wants it
to end need not wait for what it has in hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from bus.backoff import BackOff
from bus.deliver.context import LaneContext, PartitionConsumer
from bus.deliver.pulse import Pulse
from bus.errors import BusError, Dependency, Reaction
from bus.retry import retried

T = TypeVar("T")
ALARM_AFTER = timedelta(minutes=1)  # of waiting for the same store or broker


class Retrier:
    """Repeats for one lane; ``is_open`` says whether the lane knows its position."""

    def __init__(
        self,
        context: LaneContext,
        consumer: PartitionConsumer,
        *,
        store: Pulse,
        kafka: Pulse,
        back_off: BackOff,
        unready_most: timedelta,
    ) -> None:
        self._context = context
        self._consumer = consumer
        self._store = store
        self._kafka = kafka
        self._back_off = back_off
        self._unready_most = unready_most
        self.is_open = False
        self.is_stalled = False
        self._unready_since: datetime | None = None

    async def persist(self, act: Callable[[], Awaitable[T]]) -> T:
        """The result of *act*; repeated with a back-off while something does not answer.

        Raises:
            BusError: Anything whose reaction is not to try again; or something is missing for
                longer than a restore may take.
        """
        has_waited = False

        async def wait(error: BusError, length: timedelta) -> bool:
            nonlocal has_waited
            has_waited = True
            return await self._wait_out(error, length)

        try:
            result = await retried(act, self._back_off, wait)
        except BusError as error:
            if has_waited and error.reaction is not Reaction.RETRY:
                self._go_on()  # what was away has answered; a lane goes on after a refusal
            raise
        if has_waited:  # else what was done is a part of what somebody else waits for
            self._go_on()
        return result

    async def rest(self, length: timedelta) -> None:
        """Sleep; ends early if the lane is let go of."""
        self.is_stalled = True
        await self._context.clock.sleep(length)
        self.is_stalled = False

    async def _wait_out(self, error: BusError, length: timedelta) -> bool:
        """Sleep; True if it ended early because what was away answers."""
        context, now = self._context, self._context.now()
        self._insist_on_an_end(error, now)
        context.state.retries(error.code, now)
        if not self.is_stalled:
            self.is_stalled = True
            self._consumer.pause()
        context.metrics.retried(*context.labels)
        age = now - (context.state.since or now)
        say = context.log.warning if age < ALARM_AFTER else context.log.error
        seconds = round(age.total_seconds(), 1)
        say("lane-retries", code=error.code, reason=error.message, seconds=seconds)
        if error.outside is Dependency.BROKER:
            return await self._kafka.rest(length)
        if error.outside is Dependency.STORE:
            return await self._store.rest(length)
        await context.clock.sleep(length)
        return False

    def _insist_on_an_end(self, error: BusError, now: datetime) -> None:
        """Raise if something has been missing for longer than a restore may take."""
        if not error.has_end:
            self._unready_since = None
            return
        self._unready_since = self._unready_since or now
        if now - self._unready_since >= self._unready_most:
            raise error

    def _go_on(self) -> None:
        self.is_stalled = False
        self._unready_since = None
        self._back_off.reset()
        if self.is_open:
            self._context.state.runs()
            self._consumer.resume()
        else:
            self._context.state.opens()
        self._context.log.info("lane-goes-on")
