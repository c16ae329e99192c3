"""What a delivering process knows of its lanes: for metrics, health and progress lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bus.model import LaneName


class LaneStatus(StrEnum):
    """How a lane is doing."""

    OPENING = "opening"  # asks its store where it stands
    RUNNING = "running"
    RETRYING = "retrying"  # something outside does not answer; goes on by itself
    LOST = "lost"  # somebody else moved it; asks its store anew
    PAUSED = "paused"  # an operator wants it so; goes on when told to
    STOPPED = "stopped"  # waits for a person
    RELEASED = "released"  # no longer ours


@dataclass(slots=True)
class LaneState:
    """One lane, as of now. Identifiers and counts only."""

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
        """Which lane it is."""
        return LaneName(self.system, self.stream, self.partition)

    # The one place in which a lane's status changes.

    def opens(self) -> None:
        """It asks its store where it stands; also when what was away then has answered."""
        self.status = LaneStatus.OPENING

    def runs(self) -> None:
        """It gets on."""
        self.status, self.code, self.since = LaneStatus.RUNNING, None, None
        self.has_stood = True

    def retries(self, code: str, now: datetime) -> None:
        """Something outside does not answer."""
        self._waits(LaneStatus.RETRYING, code, now)

    def is_lost(self, code: str, now: datetime) -> None:
        """Somebody else moved it."""
        self._waits(LaneStatus.LOST, code, now)

    def stops(self, code: str, now: datetime) -> None:
        """It waits for a person."""
        self._waits(LaneStatus.STOPPED, code, now)

    def pauses(self, since: datetime) -> None:
        """An operator wants it to stand."""
        self.status, self.code, self.since, self.oldest_ms = LaneStatus.PAUSED, None, since, None

    def leaves(self) -> None:
        """It is let go of here; what waits for a person goes on to be said."""
        if self.status not in (LaneStatus.STOPPED, LaneStatus.PAUSED):
            self.releases()

    def releases(self) -> None:
        """It is no longer ours to tell of."""
        self.status = LaneStatus.RELEASED

    def _waits(self, status: LaneStatus, code: str, now: datetime) -> None:
        """It does not get on; the first time counts."""
        if self.status is not status:
            self.since = now
        self.status, self.code = status, code


class Lanes:
    """All lanes that this process hosts or hosted, by (system, stream, partition)."""

    def __init__(self) -> None:
        self._states: dict[LaneName, LaneState] = {}
        self.undelivered: dict[tuple[str, str | None], str] = {}
        """What has no lane though it was asked for: (system, stream or all of them) -> code."""
        self.not_withdrawn: dict[str, str] = {}
        """Systems whose store still holds streams that it may no longer have -> code."""

    def of(self, system: str, stream: str, partition: int) -> LaneState:
        """The state of one lane; made where there is none."""
        name = LaneName(system, stream, partition)
        return self._states.setdefault(name, LaneState(*name))

    @property
    def all(self) -> Mapping[LaneName, LaneState]:
        """Every lane's state."""
        return self._states

    @property
    def rows(self) -> int:
        """Rows handed to stores since the start."""
        return sum(state.rows for state in self._states.values())

    def stopped(self) -> list[LaneState]:
        """Lanes that wait for a person."""
        return self._that_are(LaneStatus.STOPPED)

    def paused(self) -> list[LaneState]:
        """Lanes that an operator paused."""
        return self._that_are(LaneStatus.PAUSED)

    @property
    def is_ready(self) -> bool:
        """Whether every lane that is ours has found its place and none has stopped."""
        mine = [s for s in self._states.values() if s.status is not LaneStatus.RELEASED]
        well = (LaneStatus.RUNNING, LaneStatus.RETRYING, LaneStatus.PAUSED)
        return all(s.status in well for s in mine)

    def _that_are(self, status: LaneStatus) -> list[LaneState]:
        return [s for s in self._states.values() if s.status is status]
