"""The records of pauses that operators ask for, and of lanes that have stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bus.errors import StoreWentBack


class OperationState(StrEnum):
    """What was asked of a system's stream, or how one lane of it is."""

    PAUSED = "PAUSED"  # an operator wants it to stand
    RUNNING = "RUNNING"  # an operator wants it to go on, or a lane that had stopped is open again
    STOPPED = "STOPPED"  # a lane's own word: it waits for a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The newest record about a system's stream, or about one lane of it (運転).

    Without ``partition`` it is an operator's, about all lanes of the stream; with it, the lane's
    own. ``offset`` is where a lane stopped: the event that it cannot pass, or where it stands.
    """

    system: str
    stream: str
    partition: int | None = None
    state: OperationState
    at: datetime
    operator: str | None = None
    code: str | None = None  # of the error on which a lane stopped
    offset: int | None = None
    note: str | None = None  # why an operator paused it: a ticket's number, never personal data

    @property
    def name(self) -> str:
        """``system/stream``, or the lane: ``system/stream/partition``."""
        lane = f"{self.system}/{self.stream}"
        return lane if self.partition is None else f"{lane}/{self.partition}"

    @property
    def has_gone_back(self) -> bool:
        """Whether it is a lane's word that its store went back; ``offset`` is where it stands.

        Such a lane needs nobody: it catches up by itself, and says when it has.
        """
        return self.state is OperationState.STOPPED and self.code == StoreWentBack.code
