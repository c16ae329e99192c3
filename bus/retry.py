"""Repeat, with a back-off and without end, what needs something outside that does not answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from bus.backoff import BackOff
from bus.errors import BusError, Reaction

T = TypeVar("T")
Wait = Callable[[BusError, timedelta], Awaitable[bool | None]]
"""Says why, and lets so much time pass; True if what was away has answered meanwhile."""


async def retried(act: Callable[[], Awaitable[T]], back_off: BackOff, wait: Wait) -> T:
    """The result of *act*, once it succeeds.

    Args:
        act: What may be done again.
        back_off: How long is waited; it starts anew when *act* could be done after all.
        wait: Waits; may raise, when it has been long enough.

    Raises:
        BusError: Its reaction is not to try again.
    """
    has_waited = False
    while True:
        try:
            result = await act()
        except BusError as error:
            if error.reaction is not Reaction.RETRY:
                raise
            has_waited = True
            if await wait(error, back_off.next()):
                back_off.reset()
        else:
            if has_waited:  # else this may be a part of what somebody else waits for
                back_off.reset()
            return result
