"""Find the subjects whose newest event no longer fits a view's conditions.

A store must not go on holding whom a view no longer covers, so their rows are erased. Within one
batch the last event of a subject decides: one that is outside takes the subject out, one that is
inside brings the subject's row. What came before the last that is outside is not delivered at all.
So no order between erasing and writing is needed, but for who goes and comes back in one batch and
whose row cannot be written: it goes all the same.

Pure values. Nothing here is called for a view without conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus.log.run import Run


@dataclass(frozen=True, slots=True)
class Parted:
    """Which events of a batch are written, and which subjects' rows are deleted."""

    inside: Sequence[int]  # places in the list of rows that the view shows
    leaving: Run  # of each subject that leaves, its last event
    returning: Run  # of each that leaves and comes back, the last event that took it out


def part(run: Run, shown: Sequence[int], outside: Sequence[int]) -> Parted:
    """Separate the events of *run* that the view shows from those that do not fit its conditions.

    Args:
        run: Events in log order; none is an erasure.
        shown: Which of them the view shows, ascending.
        outside: Which of them do not fit its conditions, ascending, whatever their event type.
    """
    last_outside = {run.keys[index]: index for index in outside}
    last_shown = {run.keys[index]: index for index in shown}
    taken_out = sorted(last_outside.values())
    leaving = [index for index in taken_out if last_shown.get(run.keys[index], -1) < index]
    returning = [index for index in taken_out if last_shown.get(run.keys[index], -1) > index]
    inside = [
        place for place, index in enumerate(shown) if last_outside.get(run.keys[index], -1) < index
    ]
    return Parted(inside, run.picked(leaving), run.picked(returning))
