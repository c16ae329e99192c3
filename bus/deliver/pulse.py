"""Whether a store or the broker answers, so that whoever waits for it tries again at once.

A back-off is for what stays away. One that has grown to its most would hold changes back after the
end of it: so who asks anyway, once a second or so, says what came of it, and wakes the others.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from bus.clock import Clock


class Pulse:
    """Whether a store or the broker answers; also a clock.

    Whoever sleeps by it is woken when what was away answers again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_away = False
        self._is_back = asyncio.Event()

    def now(self) -> datetime:
        """The time by the process's clock."""
        return self._clock.now()

    def failed(self) -> None:
        """Note that it does not answer."""
        self._is_away = True

    def answered(self) -> None:
        """Note that it answers; if it did not before, everybody who waits is woken."""
        if self._is_away:
            self._is_away = False
            self._is_back.set()
            self._is_back = asyncio.Event()

    async def sleep(self, length: timedelta) -> None:
        """Sleep, or less if what was away answers meanwhile."""
        await self.rest(length)

    async def rest(self, length: timedelta) -> bool:
        """As :meth:`sleep`; True if it was cut short."""
        is_back = self._is_back
        waits = (
            asyncio.ensure_future(self._clock.sleep(length)),
            asyncio.ensure_future(is_back.wait()),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return is_back.is_set()


class StorePulse(Pulse):
    """The pulse of a store, with events that the lanes of the store share."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.is_doubted = asyncio.Event()
        """Set by whoever got no answer: the store is to be looked at now."""
        self.is_free = asyncio.Event()
        """Not set while the lanes of *protection* go first."""
        self.is_free.set()
