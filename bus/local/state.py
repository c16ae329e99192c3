"""The supervisor's state, which others read: one small file, replaced whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from bus.files import write_private
from bus.local.folder import Folder, read_json


class Phase(StrEnum):
    """The phase of the supervisor, or of one engine."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"  # it ended; it is about to be started again
    FAILED = "failed"  # it ended too often; ``renkei local up`` tries again
    STOPPING = "stopping"


@dataclass(slots=True)
class EngineState:
    """One engine as the supervisor sees it."""

    name: str
    port: int
    phase: Phase = Phase.STARTING
    pid: int | None = None
    created: float | None = None
    """Start of the process in seconds since the epoch."""
    restarts: int = 0


@dataclass(slots=True)
class State:
    """The whole stack as the supervisor sees it."""

    pid: int
    created: float
    phase: Phase = Phase.STARTING
    attempt: int = 0
    """Counts the starts and mendings asked for, so that whoever asked knows its own."""
    error: str | None = None
    error_where: dict[str, object] = field(default_factory=dict)
    steps: list[tuple[str, float | None]] = field(default_factory=list)
    engines: list[EngineState] = field(default_factory=list)

    def write(self, folder: Folder) -> None:
        """Write the state into its file."""
        write_private(folder.state, json.dumps(asdict(self)) + "\n")


def read(folder: Folder) -> State | None:
    """The state that was written last, even if its writer has ended; None if it cannot be read."""
    note = read_json(folder.state)
    try:
        return None if note is None else _state(note)
    except (KeyError, TypeError, ValueError):  # another release wrote it
        return None


def _state(note: Mapping[str, Any]) -> State:
    engines = [
        EngineState(**(engine | {"phase": Phase(engine["phase"])})) for engine in note["engines"]
    ]
    steps = [(name, seconds) for name, seconds in note["steps"]]
    own = {"phase": Phase(note["phase"]), "engines": engines, "steps": steps}
    return State(**(dict(note) | own))
