"""Made-up time: nobody waits for a clock, and neither the machine's speed nor what else it does has
a say in the order. For tests in memory alone: what a thread or another process does takes no time
here, so whoever waits for it with a time-out has waited in vain at once.

A test has it by its mark, ``made_up_time``.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

_A_PASS = 0.0001  # what one pass of the loop takes


class Passing(selectors.DefaultSelector):
    """A selector that waits for nobody: time passes by itself, and all the faster if all wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or _A_PASS
        return super().select(None if timeout is None else 0)


class MadeUp(asyncio.SelectorEventLoop):
    """A loop whose time its selector makes up."""

    def __init__(self) -> None:
        self._passing = Passing()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.now


def run(race: Coroutine[Any, Any, None]) -> None:
    """Run to its end, in made-up time."""
    with asyncio.Runner(loop_factory=MadeUp) as runner:
        runner.run(race)


async def passes(seconds: float) -> None:
    """Let time pass, and all that is due in it happen."""
    assert isinstance(asyncio.get_running_loop(), MadeUp), "a clock would be waited for"
    await asyncio.sleep(seconds)
