"""The table of what a fleet does with a partition when something happens.

A partition stands in one of a few ways (:class:`Situation`), and of its stream something is wanted
(:class:`Want`). What is to be done when an event comes (:class:`Event`) is looked up; doing it is
:mod:`bus.hosting.fleet`. The table is drawn in ``docs/architecture.md``, and a test holds the
drawing to it cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Situation(Enum):
    """Whose a partition is, and whether its lane here is at work or has stopped."""

    ELSEWHERE = "elsewhere"  # somebody else's
    NONE = "no lane"  # ours, and no lane is at work
    STOPPED = "stopped"  # the same, and its last lane waits for a person
    WORKING = "at work"


class Want(Enum):
    """What should be with a stream's lanes: run, stand, or not at all."""

    RUN = "run"
    PAUSE = "paused"  # an operator wants them to stand
    CHANGE = "changing"  # its view becomes another, or is given no more: others open them then
    CHANGE_PAUSED = "changing, paused"
    OVER = "expired"  # the grant's last day is over


class Event(Enum):
    """What can happen to a partition."""

    BEGINS = "may begin"  # it was dealt to us, is given (again), or a while after a defect is over
    PAUSED = "pause"  # an operator says so
    RESUMED = "resume"
    ENDED = "lane ended"  # as it was told to; an error stops it, whatever is wanted
    EXPIRED = "last day over"


class Deed(Enum):
    """What a fleet can do about it."""

    NOTHING = "–"
    OPEN = "open"  # a new lane, which asks its store where it stands
    STAND = "stand"  # nothing is read or applied; said to be paused
    SEE_OUT = "see out"  # it finishes the batch in hand, and ends
    REFUSE = "refuse"  # said to have stopped, because the subscription has expired
    END_REFUSED = "see out, refuse"


def _row(
    run: Deed, paused: Deed, changing: Deed, changing_paused: Deed, over: Deed
) -> dict[Want, Deed]:
    return {
        Want.RUN: run,
        Want.PAUSE: paused,
        Want.CHANGE: changing,
        Want.CHANGE_PAUSED: changing_paused,
        Want.OVER: over,
    }


def _always(deed: Deed) -> dict[Want, Deed]:
    return dict.fromkeys(Want, deed)


_NOTHING = _always(Deed.NOTHING)
_BEGIN = _row(Deed.OPEN, Deed.STAND, Deed.NOTHING, Deed.STAND, Deed.REFUSE)
_RESUME = _row(Deed.OPEN, Deed.OPEN, Deed.NOTHING, Deed.NOTHING, Deed.REFUSE)
_AFTER = _row(Deed.OPEN, Deed.STAND, Deed.NOTHING, Deed.NOTHING, Deed.REFUSE)

TABLE: Mapping[tuple[Event, Situation], Mapping[Want, Deed]] = {
    **{(event, situation): _NOTHING for event in Event for situation in Situation},
    (Event.BEGINS, Situation.NONE): _BEGIN,
    (Event.BEGINS, Situation.STOPPED): _BEGIN,
    (Event.PAUSED, Situation.NONE): _always(Deed.STAND),
    (Event.PAUSED, Situation.WORKING): _always(Deed.SEE_OUT),
    (Event.RESUMED, Situation.NONE): _RESUME,
    (Event.RESUMED, Situation.STOPPED): _RESUME,
    (Event.ENDED, Situation.NONE): _AFTER,
    (Event.EXPIRED, Situation.WORKING): _always(Deed.END_REFUSED),
}
"""What is done, by what happens, how the partition stands, and what is wanted."""


def deed(event: Event, situation: Situation, want: Want) -> Deed:
    """The table's cell: what to do about an event."""
    return TABLE[event, situation][want]


def wanted(*, is_paused: bool, is_changing: bool, has_expired: bool) -> Want:
    """What should be with a stream's lanes; of several reasons the most lasting counts."""
    if is_paused:
        return Want.CHANGE_PAUSED if is_changing else Want.PAUSE
    if is_changing:
        return Want.CHANGE
    return Want.OVER if has_expired else Want.RUN
