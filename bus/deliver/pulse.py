"""Whether somebody outside answers, so that whoever waits for it waits no longer than that lasts.

A back-off is for what stays away. One that has grown to its most would hold changes back after the
end of it: so who asks anyway, once a second or so, says what came of it, and wakes the others.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from bus.clock import Clock


class Pulse:
    """A store's, or the broker's. It is a clock, too: who sleeps by it is woken when what was
    away answers again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_away = False
        self._is_back = asyncio.Event()

    def now(self) -> datetime:
        """The time by the process's clock."""
        return self._clock.now()

    def failed(self) -> None:
        """It does not answer."""
        self._is_away = True

    def answered(self) -> None:
        """It answers; if it did not before, everybody who waits tries now."""
        if self._is_away:
            self._is_away = False
            self._is_back.set()
            self._is_back = asyncio.Event()

    async def sleep(self, length: timedelta) -> None:
        """Let time pass, or less if what was away answers meanwhile."""
        await self.rest(length)

    async def rest(self, length: timedelta) -> bool:
        """As :meth:`sleep`; whether it was cut short."""
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
    """One store's, and what the lanes that work on it have to tell each other."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.is_doubted = asyncio.Event()
        """Set by whoever got no answer: the store is to be looked at now."""
        self.is_free = asyncio.Event()
        """Not set while the lanes of *protection* go first."""
        self.is_free.set()
