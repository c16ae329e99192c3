"""A session of an operator whose streams are in memory, and what was recorded over it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bus.model.deed import Deed
from bus.operate import actor
from bus.operate.session import Session
from bus.settings import Settings


class Desk(Session):
    """One session for all that a command asks; nothing has been applied."""

    def __init__(self, settings: Settings, index: Any, recorded: list[Deed]) -> None:
        super().__init__(settings)
        self._index = index
        self._recorded = recorded

    async def parked(self) -> Any:
        return self._index

    async def operations(self) -> Any:
        return self._index

    async def editions(self) -> Any:
        return SimpleNamespace(newest={})

    async def reader(self, name: str) -> Any:
        return name

    async def insist_on_proofs(self) -> None:
        """What is recorded here is in a list."""

    async def journal(self) -> Any:
        async def record(deed: Deed) -> None:
            self._recorded.append(deed)

        return SimpleNamespace(record=record)


def at_a_desk(monkeypatch: pytest.MonkeyPatch, index: Any) -> list[Deed]:
    """Have commands ask *index*, for somebody called *me*; what is recorded."""
    recorded: list[Deed] = []

    def opened(settings: Settings, *, patience: timedelta) -> Session:
        return Desk(settings, index, recorded)

    monkeypatch.setattr("bus.operate.session.Session", opened)
    monkeypatch.setattr(actor, "account", lambda: "me")
    return recorded
