"""While the demo is kept, its screen says of each process when it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.demo import run
from tests.support.madeup import passes


class Ended:
    """A process; it runs until it is killed."""

    log = Path("deliver.log")
    status: int | None = None

    def poll(self) -> int | None:
        return self.status


class Told:
    """A screen of which only what is gone is asked."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.news = asyncio.Event()

    def gone(self, command: str, log: Path) -> None:
        self.told.append(f"{command} {log}")
        self.news.set()


@pytest.mark.made_up_time
async def test_what_ends_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what runs is not."""
    monkeypatch.setattr(run, "LOOK_AT_PROCESSES_S", 0.001)
    deliver, screen = Ended(), Told()
    processes: Any = {"deliver": deliver, "relay": Ended()}
    watching = asyncio.create_task(run._tell_of_ends(processes, screen))  # type: ignore[arg-type]
    await passes(0.01)
    assert screen.told == []
    deliver.status = -9
    await asyncio.wait_for(screen.news.wait(), 5)
    await passes(0.01)
    assert screen.told == ["renkei deliver deliver.log"]
    watching.cancel()
