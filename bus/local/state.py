"""What the supervisor writes about itself, and others read: one small file, replaced whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from bus.local.folder import Folder, read_json, write_private


class Phase(StrEnum):
    """How far the supervisor, or one engine, is."""

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
        """Let everybody see it."""
        write_private(folder.state, json.dumps(asdict(self)) + "\n")


def read(folder: Folder) -> State | None:
    """What was last written; its writer may be gone."""
    note = read_json(folder.state)
    if note is None:
        return None
    engines = [
        EngineState(**(engine | {"phase": Phase(engine["phase"])})) for engine in note["engines"]
    ]
    steps = [(name, seconds) for name, seconds in note["steps"]]
    return State(
        **(dict(note) | {"phase": Phase(note["phase"]), "engines": engines, "steps": steps})
    )
