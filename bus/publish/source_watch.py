"""Look at a source every few seconds, in every process that may publish it, leading or not.

What waits, for how long, whether anybody sends it and what was refused is read where it is so: in
the outbox. So a backlog shows although no relay leads, and that none leads is an alarm by itself:
a metric, a line in the log and a reason for readiness. An outbox that cannot be looked into has no
figures (they would be old ones), and is a reason, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

import structlog

from bus.connect.source import Backlog, SourceStatus, Watch
from bus.errors import BusError
from bus.observe.metrics import Metrics
from bus.observe.tasks import SupervisedTask, Tasks

WARN_BEFORE = timedelta(days=7)
"""How long before refused changes go it is said."""
EVERY = timedelta(seconds=2)
UNLED_MOST = timedelta(seconds=10)
SAY_AGAIN = 60.0  # seconds
SAY_GOING_AGAIN = 86_400.0
log = structlog.get_logger()


class SourceWatch:
    """Looks at one source.

    Args:
        watch: What looks at it; closed when the looking ends.
        unled_most: For how long nobody may lead until it is an alarm.
        refused_keep: After which time refused changes go; it is said a week before, once a day.
        clock: Seconds that only run forward.
    """

    def __init__(
        self,
        system: str,
        watch: Watch,
        *,
        metrics: Metrics | None = None,
        every: timedelta = EVERY,
        unled_most: timedelta = UNLED_MOST,
        refused_keep: timedelta | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.system = system
        self._watch = watch
        self._metrics = metrics or Metrics()
        self._every = every.total_seconds()
        self._unled_most = unled_most.total_seconds()
        self._refused_keep = refused_keep
        self._clock = clock
        self._log = log.bind(system=system)
        self._unled_since: float | None = None
        self._told_at: float | None = None
        self._said_at: float | None = None  # that refused changes are to go
        self._unseen: str | None = None  # the code of why it cannot be looked into

    def begin(self, tasks: Tasks) -> SupervisedTask:
        """Look until ended."""
        return tasks.keep("lookout", self.run, system=self.system)

    async def run(self) -> None:
        """Look until cancelled; a source that does not answer is asked again."""
        try:
            while True:
                try:
                    self.saw(await self._watch.look())
                except BusError as error:
                    self._cannot(error)
                await asyncio.sleep(self._every)
        finally:
            await self._watch.close()

    def ill(self) -> list[str]:
        """Reasons why the source is not well, for readiness; empty if it is."""
        if self._unseen is not None:
            return [f"it cannot be looked into ({self._unseen})"]
        seconds = self._unled_s()
        if seconds >= self._unled_most:
            return [f"no relay has led it for {seconds:.0f} s"]
        return []

    def saw(self, found: SourceStatus) -> None:
        """Put a status into the metrics."""
        if self._unseen is not None:
            self._unseen = None
            self._log.info("outbox-seen-again")
        if found.is_led:
            if self._told_at is not None:
                self._log.info("outbox-led-again", seconds=round(self._unled_s()))
            self._unled_since = self._told_at = None
        elif self._unled_since is None:
            self._unled_since = self._clock()
        waiting = found.backlog
        self._metrics.outbox(self.system, waiting.pending, waiting.oldest_s)
        self._metrics.outbox_refused(self.system, waiting.refused, waiting.refused_oldest_s)
        self._metrics.outbox_unled(self.system, self._unled_s())
        self._say_unled(waiting.pending)
        self._say_going(waiting)

    def _say_unled(self, pending: int) -> None:
        seconds, now = self._unled_s(), self._clock()
        is_told = self._told_at is not None and now - self._told_at < SAY_AGAIN
        if seconds >= self._unled_most and not is_told:
            self._told_at = now
            self._log.error("outbox-unled", seconds=round(seconds), waiting=pending)

    def _say_going(self, waiting: Backlog) -> None:
        left, now = waiting.refused_go_in(self._refused_keep), self._clock()
        is_said = self._said_at is not None and now - self._said_at < SAY_GOING_AGAIN
        if left is not None and left < WARN_BEFORE and not is_said:
            self._said_at = now
            seconds = max(round(left.total_seconds()), 0)
            self._log.warning("outbox-refused-go-soon", changes=waiting.refused, seconds=seconds)

    def _cannot(self, error: BusError) -> None:
        if self._unseen != error.code:
            self._unseen = error.code
            self._log.error("outbox-unseen", code=error.code, reason=error.message)
        self._metrics.outbox_unseen(self.system)

    def _unled_s(self) -> float:
        return 0.0 if self._unled_since is None else self._clock() - self._unled_since
