"""The points at which a crash test may kill a process, to prove that nothing is lost there.

Each point is passed at exactly one place in the code (a test reads the code and says so). In
production :func:`passed` does nothing. The crash tests set ``RENKEI_KILL_AT=<point>[:n]``: the
process kills itself with SIGKILL the n-th time that it passes there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum


class Point(StrEnum):
    """A place between two steps, named by what has just happened."""

    # the relay
    RELAY_TAKEN = "relay-taken"  # rows read from the outbox, nothing sent
    RELAY_SENT = "relay-sent"  # acknowledged by Kafka, not yet marked
    RELAY_MARKED = "relay-marked"  # marked in the outbox
    # a lane
    LANE_FETCHED = "lane-fetched"
    LANE_VIEWED = "lane-viewed"
    SINK_MOVED = "sink-moved"  # position moved inside the open transaction
    SINK_WRITTEN = "sink-written"  # rows written inside the open transaction
    SINK_COMMITTED = "sink-committed"
    LANE_HANDED = "lane-handed"  # in a store that keeps no position; the bus's has not moved
    LANE_RECEIPTED = "lane-receipted"  # receipt acknowledged
    LANE_COMMITTED = "lane-committed"  # offset told to the group
    LANE_PARKED = "lane-parked"  # an event's exception recorded, position not yet moved
    # a rebuild
    REBUILD_FILLED = "rebuild-filled"  # the staging table is nearly full, nothing is held yet
    SINK_MERGED = "sink-merged"  # fresh rows and positions in place inside the open transaction
    REBUILD_SWAPPED = "rebuild-swapped"  # the staging table is in place, and durable


_kill: Callable[[Point], None] | None = None


def passed(point: Point) -> None:
    """Say that *point* was reached: does nothing, unless a crash test has armed it."""
    if _kill is not None:
        _kill(point)


def arm(environment: Mapping[str, str]) -> None:
    """Obey ``RENKEI_KILL_AT``; called once by the command line. Without it, disarm."""
    global _kill  # noqa: PLW0603 - one switch per process, for crash tests only
    wanted = environment.get("RENKEI_KILL_AT")
    if not wanted:
        _kill = None
        return
    name, _, count = wanted.partition(":")
    target, left = Point(name), int(count or 1)

    def kill(point: Point) -> None:
        nonlocal left
        if point is target:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    _kill = kill
