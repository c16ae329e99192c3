"""Repeat, with a back-off and without end, what needs something outside that does not answer.

The one loop of its kind. Whoever waits beside other work (a fetch, a lane that was lost, a relay's
term) drives it as well: how the time passes is its *wait*, which may be cut short, and what it has
in hand says by ``back_off.reset()`` that all is well although *act* goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from bus.backoff import BackOff
from bus.errors import BusError, Reaction

T = TypeVar("T")
Wait = Callable[[BusError, timedelta], Awaitable[bool | None]]
"""Says why, and lets so much time pass; True if what was away has answered meanwhile."""


def is_temporary(error: BusError) -> bool:
    """Whether trying again may help, by the error's class."""
    return error.reaction is Reaction.RETRY


async def retried(
    act: Callable[[], Awaitable[T]],
    back_off: BackOff,
    wait: Wait,
    *,
    again: Callable[[BusError], bool] = is_temporary,
) -> T:
    """The result of *act*, once it succeeds.

    Args:
        act: What may be done again.
        back_off: How long is waited; it starts anew when *act* could be done after all.
        wait: Waits; may raise, when it has been long enough.
        again: Which errors are tried again.

    Raises:
        BusError: One that is not tried again.
    """
    has_waited = False
    while True:
        try:
            result = await act()
        except BusError as error:
            if not again(error):
                raise
            has_waited = True
            if await wait(error, back_off.next()):
                back_off.reset()
        else:
            if has_waited:  # else this may be a part of what somebody else waits for
                back_off.reset()
            return result
