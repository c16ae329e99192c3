"""Tell a store of changed coverage where no event of the protection stream brings it.

Somebody joins a household, leaves it, or is linked: whom the protections cover is another then,
though nothing of ``linkage.protection`` comes. So the lanes of that stream hand their store
everybody who is covered by now, without moving on, when the fence knows of a change that the store
has not been seen to have. The same when they open, because nobody knows what changed while no
process looked; and they look every few seconds, because a store may be put back to what it was.

A system that is not given the stream *protection* has no such lane. There the lanes of every stream
that has the flag tell the store, whoever comes first: the flag is kept wherever it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bus.control.fence import Fence
from bus.deliver.pipeline import Pipeline
from bus.model import Reached, knows

LOOK_AFTER = timedelta(seconds=5)
"""How long what a store was seen to have is believed."""


class CoverageUpdater:
    """Whether one lane has to tell its store who is covered, and when."""

    def __init__(self, pipeline: Pipeline, fence: Fence, tells: Callable[[], bool]) -> None:
        self._context = pipeline.context
        self._sink = pipeline.sink
        self._retrier = pipeline.retrier
        self._applier = pipeline.applier
        self._coverage = pipeline.coverage
        self._ahead_check = pipeline.coverage.ahead_check()
        self._fence = fence
        self._tells = tells
        self._seen: Reached | None = None  # the change that the store has
        self._seen_at: datetime | None = None
        self._may_look = True

    @property
    def is_due(self) -> bool:
        """Whether the store is to be asked now."""
        return self._may_look and self._may_tell

    def begin_anew(self) -> None:
        """Forget what the store is known to have: it may be another, or restored."""
        self._seen, self._seen_at, self._may_look = None, None, True

    def look_again(self) -> bool:
        """Note that a second has passed; whether the store is to be asked."""
        self._may_look = self._is_wanted
        return self._may_look

    @property
    def _may_tell(self) -> bool:
        return self._sink.suppresses is not None and self._tells()

    @property
    def _is_wanted(self) -> bool:
        if not self._may_tell or not self._fence.changed:
            return False
        is_old = self._seen_at is None or self._context.now() - self._seen_at >= LOOK_AFTER
        return is_old or self._seen != self._fence.changed

    async def try_due(self) -> None:
        """Tell the store who is covered, unless it knows.

        A lane that has applied nothing yet leaves it to those that have: what it comes to first
        says it all.
        """
        self._may_look = False
        if not self._is_wanted or not self._applier.position.offset:
            return
        changed = self._fence.changed
        reached = (await self._retrier.persist(self._sink.to_restore)).reached
        await self._retrier.persist(lambda: self._ahead_check.insist(reached))
        if not knows(reached, changed):
            protected = await self._coverage.by_now()
            here = self._applier.position
            await self._applier.move(self._context.no_rows, here, protected=protected)
            await self._applier.settle()
            self._context.log.info("coverage-applied")
        self._seen, self._seen_at = changed, self._context.now()
