"""Show something repeatedly: redrawn on a terminal, printed once per change in a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.console import RenderableType
from rich.live import Live

from bus.cli.output import out

T = TypeVar("T")


async def watch(
    look: Callable[[], Awaitable[T]],
    draw: Callable[[T], RenderableType],
    *,
    every: float,
    is_done: Callable[[T], bool] = lambda _: False,
) -> T:
    """Look until *is_done* or Ctrl-C; what was seen last."""
    console = out()
    seen = await look()
    if not console.is_terminal:
        console.print(draw(seen))
        while not is_done(seen):
            await asyncio.sleep(every)
            before, seen = seen, await look()
            if seen != before:
                console.print()
                console.print(draw(seen))
        return seen
    with Live(draw(seen), console=console, auto_refresh=False) as live:
        while not is_done(seen):
            await asyncio.sleep(every)
            seen = await look()
            live.update(draw(seen), refresh=True)
    return seen
