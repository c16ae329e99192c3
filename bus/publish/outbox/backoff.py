"""How long to wait before asking again something that does not answer."""

from __future__ import annotations

import random
from datetime import timedelta


class Backoff:
    """Waits that double from *first* to *most*, each shortened at random by up to a half."""

    def __init__(self, first: timedelta, most: timedelta) -> None:
        self._first = first.total_seconds()
        self._most = most.total_seconds()
        self._next = self._first

    def next(self) -> float:
        """Seconds to wait this time."""
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with the first wait again."""
        self._next = self._first
