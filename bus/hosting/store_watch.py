"""Ask a store regularly where its lanes are, whether events come or not.

A lane asks its store where it stands when it opens, and is told of everybody else who moved it
when it applies. One that has nothing to apply would never hear that its store was restored, or
that a standby took its place which had not got everything: rows would be missing, or stand there
as they were, a protected person's address among them, until somebody changes something. So one
question for all lanes of a store is asked every few seconds, at once when a lane got no answer, and
again and again while there is none. What it finds is taken as a lane is taken over.

In a store that went back, what is written of protection went back as well. So its lanes of that
stream come first; the others begin when those have come to the end of their log, or after a while:
what they write is masked by what the log says in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from bus.backoff import BackOff
from bus.connect import Sink
from bus.deliver.pulse import StorePulse
from bus.errors import BusError
from bus.model import AT_THE_BEGINNING, Mark
from bus.retry import retried

LOOK_EVERY_S = 2.0
_AGAIN_S = 0.2  # at the soonest, whoever doubts it
_AWAY_MOST = timedelta(seconds=2)
_SAME_S = 3.0  # within which lanes say the same of a store
_PROTECTION_FIRST_S = 10.0  # at most

LaneOfStore = tuple[str, int]
Marks = Mapping[LaneOfStore, Mark]


class WatchedLanes(Protocol):
    """The lanes of one store, as its watch needs them."""

    def marks(self) -> Marks:
        """The marks of the lanes that are idle, by their own knowledge."""

    @property
    def is_any_at_work(self) -> bool:
        """Whether any lane works on the store."""

    def make_sink(self) -> Sink:
        """A new sink, to ask the store with."""

    def has_moved(self, lane: LaneOfStore) -> None:
        """Tell a lane that the store has another position for it."""

    def went_back(self) -> None:
        """Tell every lane that the store went back, so that it asks for its position."""

    async def protection_ends(self) -> Marks:
        """The marks at which the protection lanes have caught up; empty if there are none or they
        are paused.

        Raises:
            Unavailable: The broker does not answer.
        """


class StoreWatch:
    """Asks one store where its lanes are, and tells them."""

    def __init__(self, watched: WatchedLanes, pulse: StorePulse, log: Any) -> None:
        self._watched = watched
        self._pulse = pulse
        self._log = log
        self._back_off = BackOff(timedelta(seconds=_AGAIN_S), _AWAY_MOST)
        self._sink: Sink | None = None
        self._seen: Marks = {}
        self._code: str | None = None  # of why it could not be asked
        self._ends: Marks | None = None  # of the lanes that go first
        self._first_until = 0.0

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await self._rest(
                    await retried(self.look, self._back_off, self._wait_out, again=_any)
                )
        finally:
            await self._let_go()

    async def look(self) -> float:
        """Ask once and act on the answer; seconds until the next look.

        Raises:
            BusError: The store cannot be asked.
        """
        self._pulse.is_doubted.clear()
        if not self._watched.is_any_at_work:
            await self._let_go()
            return LOOK_EVERY_S
        if self._sink is None:
            self._sink = self._watched.make_sink()
        before = self._watched.marks()
        found = await self._sink.capabilities.positions.marks()
        self._code = None
        self._compare(before, found)
        self._pulse.answered()
        return await self._see_protection_first(found)

    async def _wait_out(self, error: BusError, length: timedelta) -> None:
        if error.code != self._code:
            self._log.warning("store-unasked", code=error.code, reason=error.message)
        self._code = error.code
        self._pulse.failed()
        await self._rest(length.total_seconds())

    async def _rest(self, seconds: float) -> None:
        """Wait; less, if somebody doubts the store meanwhile."""
        await asyncio.sleep(min(seconds, _AGAIN_S))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds - _AGAIN_S, 0)):
                await self._pulse.is_doubted.wait()

    def _compare(self, before: Marks, found: Marks) -> None:
        """Compare the store's marks with those of lanes that were idle all the while."""
        after = self._watched.marks()
        still = {lane: mark for lane, mark in before.items() if after.get(lane) == mark}
        moved = {
            lane: now
            for lane, mark in still.items()
            if (now := found.get(lane, AT_THE_BEGINNING)) != mark
        }
        went_back = any(_is_before(now, still[lane]) for lane, now in moved.items()) or any(
            lane in found and found[lane].offset < seen.offset for lane, seen in self._seen.items()
        )
        self._seen = found
        if went_back:
            self._log.warning("store-went-back", lanes=len(moved))
            self._go_back()
        else:
            for lane in moved:
                self._watched.has_moved(lane)

    def hear(self) -> None:
        """Look now: another process found that the store went back."""
        if monotonic() > self._first_until - _PROTECTION_FIRST_S + _SAME_S:
            self._go_back()
            self._pulse.is_doubted.set()

    def _go_back(self) -> None:
        self._pulse.is_free.clear()
        self._ends, self._first_until = None, monotonic() + _PROTECTION_FIRST_S
        self._watched.went_back()

    async def _see_protection_first(self, found: Marks) -> float:
        """Let other lanes open once those of protection have caught up."""
        if self._pulse.is_free.is_set():
            return LOOK_EVERY_S
        with suppress(BusError):
            self._ends = await self._watched.protection_ends()
        if monotonic() > self._first_until or (
            self._ends is not None
            and all(
                found.get(lane, AT_THE_BEGINNING).offset >= end.offset
                for lane, end in self._ends.items()
            )
        ):
            self._pulse.is_free.set()
            return LOOK_EVERY_S
        return _AGAIN_S

    async def _let_go(self) -> None:
        """Close the session if no lane works on the store: it may be about to be replaced."""
        sink, self._sink = self._sink, None
        self._seen = {}
        self._pulse.is_free.set()
        if sink is not None:
            with suppress(BusError):
                await sink.close()


def _is_before(one: Mark, other: Mark) -> bool:
    """Whether *one* may be an earlier mark than *other*; a retry changes only the time."""
    if one.offset != other.offset:
        return one.offset < other.offset
    times = one.applied_at, other.applied_at
    return times[0] is not None and times[1] is not None and times[0] < times[1]


def _any(_: BusError) -> bool:
    """Whatever it is: no lane hangs on it, and each says itself what its store refuses."""
    return True
