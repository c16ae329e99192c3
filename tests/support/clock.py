"""A clock of seconds for what is given one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """It stands until a test sets it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
