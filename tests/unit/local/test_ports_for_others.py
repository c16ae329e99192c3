"""A port for a process of ours, and an engine that ends while it is looked at."""

from __future__ import annotations

import psutil
import pytest

from bus.local import folder, stack
from bus.local.ports import HIGHEST, LOWEST, free_port
from bus.local.state import EngineState, Phase


def test_a_free_port_is_none_that_connections_are_given() -> None:
    """Between choosing and listening no outgoing connection can take it."""
    assert all(LOWEST <= free_port() <= HIGHEST for _ in range(20))


def test_an_engine_that_ends_meanwhile_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at a dying process is no traceback."""

    def gone(process: psutil.Process) -> int:
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(stack, "memory", gone)
    monkeypatch.setattr(folder, "process", lambda *_: psutil.Process())
    note = EngineState("kafka", 9_092, Phase.UP, pid=1, created=1.0)

    assert stack._engine_status(note).phase is Phase.DOWN
