"""How long to wait before the next try of something that does not answer."""

from __future__ import annotations

import random
from datetime import timedelta


class BackOff:
    """Waits that double from *first* to *most*, with jitter.

    The jitter takes up to half away, so that those whose store went away together do not come
    back together.
    """

    def __init__(
        self, first: timedelta, most: timedelta, jitter: random.Random | None = None
    ) -> None:
        self._first = min(first, most)
        self._most = most
        self._jitter = jitter or random.Random()
        self._next = self._first

    def next(self) -> timedelta:
        """How long to wait before the next try."""
        full, self._next = self._next, min(self._next * 2, self._most)
        return full * (0.5 + self._jitter.random() / 2)

    def reset(self) -> None:
        """Start again from the first wait, after a success."""
        self._next = self._first
