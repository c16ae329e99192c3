"""What does not answer is asked again, without end; everything else is said at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.backoff import BackOff
from bus.errors import BusError, ConfigurationError, LaneLost, SinkUnavailable
from bus.retry import retried

FIRST, MOST = timedelta(seconds=1), timedelta(seconds=64)


class Waiting:
    """Writes down what it is told, and says what it is to say."""

    def __init__(self, *says: bool | BusError | None) -> None:
        self.says = list(says)
        self.waits: list[tuple[str, timedelta]] = []

    async def __call__(self, error: BusError, length: timedelta) -> bool | None:
        self.waits.append((error.code, length))
        said = self.says.pop(0) if self.says else None
        if isinstance(said, BusError):
            raise said
        return said


def failing(times: int, error: BusError):
    left = times

    async def act() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return "done"

    return act


def is_about(wait: tuple[str, timedelta], full: timedelta) -> bool:
    return full / 2 <= wait[1] <= full


async def test_waits_longer_each_time_and_gives_what_came() -> None:
    """With a back-off that starts anew for the next."""
    wait, back_off = Waiting(), BackOff(FIRST, MOST)

    assert await retried(failing(4, SinkUnavailable("away")), back_off, wait) == "done"

    assert all(is_about(w, FIRST * 2**n) for n, w in enumerate(wait.waits))
    assert {code for code, _ in wait.waits} == {SinkUnavailable.code}
    assert back_off.next() <= FIRST


async def test_who_answers_meanwhile_is_asked_soon() -> None:
    """The next wait is the first one again."""
    wait = Waiting(None, None, True)

    await retried(failing(5, SinkUnavailable("away")), BackOff(FIRST, MOST), wait)

    fulls = [FIRST, FIRST * 2, FIRST * 4, FIRST, FIRST * 2]
    assert all(is_about(w, full) for w, full in zip(wait.waits, fulls, strict=True))


@pytest.mark.parametrize("error", [ConfigurationError("no"), ValueError("a defect")])
async def test_what_no_time_mends_is_raised(error: Exception) -> None:
    """At once."""

    async def act() -> None:
        raise error

    wait = Waiting()
    with pytest.raises(type(error)):
        await retried(act, BackOff(FIRST, MOST), wait)

    assert wait.waits == []


async def test_whoever_waits_may_have_enough() -> None:
    """What it raises is what comes of it."""
    with pytest.raises(ConfigurationError):
        await retried(
            failing(3, SinkUnavailable("away")),
            BackOff(FIRST, MOST),
            Waiting(None, ConfigurationError("too long")),
        )


async def test_what_is_tried_again_is_the_callers() -> None:
    """A lane that somebody else moved is asked about again, and nothing else is."""
    act, wait = failing(2, LaneLost("moved")), Waiting()

    assert await retried(act, BackOff(FIRST, MOST), wait, again=is_lost) == "done"
    away = failing(1, SinkUnavailable("away"))
    with pytest.raises(SinkUnavailable):
        await retried(away, BackOff(FIRST, MOST), wait, again=is_lost)

    assert [code for code, _ in wait.waits] == [LaneLost.code] * 2


async def test_who_does_well_without_an_end_says_so() -> None:
    """A term that is led: the next wait is the first again, though nothing was given back."""
    back_off, wait, left = BackOff(FIRST, MOST), Waiting(), 6

    async def act() -> None:
        nonlocal left
        left -= 1
        if left == 2:
            back_off.reset()
        if left:
            raise SinkUnavailable("away")

    await retried(act, back_off, wait)

    fulls = [FIRST, FIRST * 2, FIRST * 4, FIRST, FIRST * 2]
    assert all(is_about(w, full) for w, full in zip(wait.waits, fulls, strict=True))


def is_lost(error: BusError) -> bool:
    return isinstance(error, LaneLost)
