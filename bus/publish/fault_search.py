"""Find the change among many that causes an error, by trying halves.

Nothing that somebody hands in may be more than its own refusal. Changes are read, fitted, checked
and encoded many at a time, because that is quick; where that raises something nobody meant to be
raised (a defect, in our code or in a library's), or an error that is about data and names no
change, it is done again with halves, down to the one that raises it alone. That one is refused,
by the error's code (``RK-000`` for a defect), and told in the log by class and place, never by
what the error says: that may quote a value. The others go on.

What is no fault of data is not looked for: something that is away, a setting, a wish to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from bus.errors import BusError, Reaction, is_defect
from bus.halving import Halves
from bus.model import Fault

log = structlog.get_logger()
T = TypeVar("T")
R = TypeVar("R")


def is_of_data(error: BaseException) -> bool:
    """Whether *error* may be caused by the data that was handed in."""
    if isinstance(error, BusError):
        return error.reaction is Reaction.PARK
    return is_defect(error)


def narrowed(
    many: Sequence[T],
    act: Callable[[Sequence[T]], R],
    found: Callable[[T, BaseException], None],
) -> list[R]:
    """The results of *act* on *many*, in order: on all at once, or on the parts that succeed.

    Args:
        act: Has no effect where it raises.
        found: Told of each one for which *act* raises by itself, and of the error.
    """
    done: list[R] = []
    halves = Halves(many)
    for piece in halves:
        try:
            if piece:
                done.append(act(piece))
        except BaseException as error:
            if not is_of_data(error):
                raise
            if not halves.halve(piece):
                found(piece[0], error)
    return done


def fault_of(error: BaseException, record: int | None = None) -> Fault:
    """The fault for a change for which *error* was raised; a defect is also logged."""
    if isinstance(error, BusError):
        return Fault(code=error.code, expected="a change that can be published", record=record)
    log.error("change-breaks-a-check", exc_info=error)
    expected = "a change that can be judged; this one meets a defect of the bus: see its log"
    return Fault(code=BusError.code, expected=expected, record=record)
