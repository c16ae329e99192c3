"""How long one waits before the next try."""

from __future__ import annotations

from datetime import timedelta

from bus.backoff import BackOff


def test_doubles_up_to_its_most_and_begins_anew() -> None:
    """With jitter that takes up to half away, never more and never adds."""
    back_off = BackOff(timedelta(seconds=1), timedelta(seconds=5))

    waits = [back_off.next().total_seconds() for _ in range(5)]
    back_off.reset()

    for wait, full in zip(waits, (1, 2, 4, 5, 5), strict=True):
        assert full / 2 <= wait <= full
    assert back_off.next() <= timedelta(seconds=1)


def test_the_most_is_the_most_from_the_beginning() -> None:
    """A first wait above it is cut."""
    assert BackOff(timedelta(seconds=9), timedelta(seconds=1)).next() <= timedelta(seconds=1)


def test_never_stops_doubling_by_itself() -> None:
    """A store that is away for weeks."""
    back_off = BackOff(timedelta(days=1), timedelta(days=2))

    assert all(back_off.next() <= timedelta(days=2) for _ in range(100))
