"""Waiting for what tells nobody: another process, a server, a file, somebody else's state.

What tells is waited for by its event. Elsewhere no test waits by the clock
(``tests/architecture/test_waiting.py``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import Any


async def until(is_so: Callable[[], Any], within: float = 30.0, *, every: float = 0.002) -> Any:
    """Look again and again, in the loop, and return what it is; fail if it is not so in time.

    Args:
        is_so: Looked at in the loop, so it answers at once, or is awaited.
        within: Seconds; generous, for what it costs only a failing test pays.
        every: Seconds between two looks.
    """
    async with asyncio.timeout(within):
        while not (found := await said(is_so)):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(every)
    return found


async def said(is_so: Callable[[], Any]) -> Any:
    """What it says, at once or awaited."""
    found = is_so()
    return await found if isawaitable(found) else found


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
