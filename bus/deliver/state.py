"""The status of a process's lanes, for metrics, health and progress lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bus.model import LaneName


class LaneStatus(StrEnum):
    """The status of a lane."""

    OPENING = "opening"  # asks its store where it stands
    RUNNING = "running"
    RETRYING = "retrying"  # something outside does not answer; goes on by itself
    LOST = "lost"  # somebody else moved it; asks its store anew
    PAUSED = "paused"  # an operator wants it so; goes on when told to
    STOPPED = "stopped"  # waits for a person
    RELEASED = "released"  # no longer ours


@dataclass(slots=True)
class LaneState:
    """The state of one lane now. Identifiers and counts only."""

    system: str
    stream: str
    partition: int
    status: LaneStatus = LaneStatus.OPENING
    offset: int = 0  # where the lane stands
    has_stood: bool = False  # whether ``offset`` was ever its store's word
    fetched_to: int = 0  # the newest offset that was handed to it
    oldest_ms: int | None = None  # Kafka's time of the oldest event in hand; None: nothing in hand
    batches: int = 0
    rows: int = 0  # handed to the store
    applied_at: datetime | None = None  # of the last batch
    catches_up_to: int | None = None  # after its store went back: where the lane stood before
    code: str | None = None  # of the error that it waits out or stopped on
    since: datetime | None = None  # when that began

    @property
    def name(self) -> LaneName:
        """The name of the lane."""
        return LaneName(self.system, self.stream, self.partition)

    # The one place in which a lane's status changes.

    def opens(self) -> None:
        """The lane asks its store for its position."""
        self.status = LaneStatus.OPENING

    def runs(self) -> None:
        """The lane delivers."""
        self.status, self.code, self.since = LaneStatus.RUNNING, None, None
        self.has_stood = True

    def retries(self, code: str, now: datetime) -> None:
        """Something outside does not answer the lane."""
        self._waits(LaneStatus.RETRYING, code, now)

    def is_lost(self, code: str, now: datetime) -> None:
        """Another process has moved the lane."""
        self._waits(LaneStatus.LOST, code, now)

    def stops(self, code: str, now: datetime) -> None:
        """The lane has stopped and waits for a person."""
        self._waits(LaneStatus.STOPPED, code, now)

    def pauses(self, since: datetime) -> None:
        """An operator has paused the lane."""
        self.status, self.code, self.since, self.oldest_ms = LaneStatus.PAUSED, None, since, None

    def leaves(self) -> None:
        """The lane has ended here; whether it is stopped or paused stays known."""
        if self.status not in (LaneStatus.STOPPED, LaneStatus.PAUSED):
            self.releases()

    def releases(self) -> None:
        """The lane is another process's by now."""
        self.status = LaneStatus.RELEASED

    def _waits(self, status: LaneStatus, code: str, now: datetime) -> None:
        """Note since when the lane does not get on."""
        if self.status is not status:
            self.since = now
        self.status, self.code = status, code


class Lanes:
    """The lanes that this process hosts or hosted, by (system, stream, partition)."""

    def __init__(self) -> None:
        self._states: dict[LaneName, LaneState] = {}
        self.undelivered: dict[tuple[str, str | None], str] = {}
        """What has no lane though it was asked for: (system, stream or all of them) -> code."""
        self.not_withdrawn: dict[str, str] = {}
        """Systems whose store still holds streams that it may no longer have -> code."""

    def of(self, system: str, stream: str, partition: int) -> LaneState:
        """The state of one lane; made if there is none."""
        name = LaneName(system, stream, partition)
        return self._states.setdefault(name, LaneState(*name))

    @property
    def all(self) -> Mapping[LaneName, LaneState]:
        """The states of all lanes."""
        return self._states

    @property
    def rows(self) -> int:
        """Rows delivered since the start."""
        return sum(state.rows for state in self._states.values())

    def stopped(self) -> list[LaneState]:
        """The lanes that have stopped and wait for a person."""
        return self._that_are(LaneStatus.STOPPED)

    def paused(self) -> list[LaneState]:
        """The lanes that an operator has paused."""
        return self._that_are(LaneStatus.PAUSED)

    @property
    def is_ready(self) -> bool:
        """Whether every lane of this process is open and none has stopped."""
        mine = [s for s in self._states.values() if s.status is not LaneStatus.RELEASED]
        well = (LaneStatus.RUNNING, LaneStatus.RETRYING, LaneStatus.PAUSED)
        return all(s.status in well for s in mine)

    def _that_are(self, status: LaneStatus) -> list[LaneState]:
        return [s for s in self._states.values() if s.status is status]
