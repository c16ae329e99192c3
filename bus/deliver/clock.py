"""Time as delivery needs it: passed in, so that a test can move it."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting for some."""

    def now(self) -> datetime: ...

    async def sleep(self, length: timedelta) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, length: timedelta) -> None:
        await asyncio.sleep(length.total_seconds())


class BackOff:
    """How long to wait before the next try: doubles from *first* to *most*, with jitter.

    The jitter takes up to half away, so that lanes whose store went away together do not come
    back together.
    """

    def __init__(
        self, first: timedelta, most: timedelta, jitter: random.Random | None = None
    ) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter or random.Random()
        self._tries = 0

    def next(self) -> timedelta:
        """The wait before the next try."""
        full = min(self._first * (1 << min(self._tries, 30)), self._most)
        self._tries += 1
        return full * (0.5 + self._jitter.random() / 2)

    def reset(self) -> None:
        """It went well: start from the first again."""
        self._tries = 0
