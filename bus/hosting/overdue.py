"""Warn of events that have been set aside for too long (期限超過), before compaction may take them.

An event that compaction took is not lost, its subject's newest one stands in. But somebody's
record has been wrong for weeks by then, and what exactly was refused can no longer be seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from bus.deliver.process import ProcessContext
from bus.deliver.state import LaneStatus
from bus.settings import Settings

_log = structlog.get_logger("renkei.deliver")
_LOOK_EVERY = timedelta(minutes=1)
_SAY_EVERY = timedelta(days=1)


def overdue_after(settings: Settings) -> timedelta:
    """How long an event may be set aside before it is overdue."""
    alarm = settings.parked_alarm
    return settings.compaction_lag * 2 / 3 if alarm is None else alarm


class Overdue:
    """Warns once a day for each system and stream of which this process has lanes."""

    def __init__(self, process: ProcessContext) -> None:
        self._process = process
        self._next_look = process.runtime.clock.now()
        self._said: dict[tuple[str, str], datetime] = {}

    def look(self) -> None:
        """Look if it is time to, and warn."""
        process, now = self._process, self._process.runtime.clock.now()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        limit = overdue_after(process.runtime.settings)
        mine = {
            (state.system, state.stream)
            for state in process.lanes.all.values()
            if state.status is not LaneStatus.RELEASED
        }
        for (system, stream), since in process.control.parked.oldest().items():
            said = self._said.get((system, stream))
            if (system, stream) not in mine or now - since < limit:
                continue
            if said is None or now - said >= _SAY_EVERY:
                self._said[system, stream] = now
                seconds = round((now - since).total_seconds())
                _log.warning("parked-overdue", system=system, stream=stream, seconds=seconds)
