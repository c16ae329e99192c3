"""Waiting for what tells nobody: another process, a server, a file, somebody else's state.

What tells is waited for by its event. Elsewhere no test waits by the clock
(``tests/architecture/test_waiting.py``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(is_so: Callable[[], object], within: float = 30.0, *, every: float = 0.002) -> None:
    """Look again and again, in the loop; fail if it is not so in time.

    Args:
        is_so: Looked at in the loop, so it answers at once.
        within: Seconds; generous, for what it costs only a failing test pays.
        every: Seconds between two looks.
    """
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(every)


async def until_elsewhere(
    is_so: Callable[[], object], within: float = 30.0, *, every: float = 0.02
) -> None:
    """The same for what takes a while to answer: asked beside the loop."""
    async with asyncio.timeout(within):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(every)


def wait_until(is_so: Callable[[], object], within: float = 30.0, *, every: float = 0.05) -> None:
    """The same where there is no loop."""
    deadline = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within:.0f} s"
        time.sleep(every)
