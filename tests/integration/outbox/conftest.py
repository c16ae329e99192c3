"""An installed outbox of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.outbox.upkeep import install
from tests.support.outbox import SYSTEM, Outbox


@pytest.fixture
async def outbox(database: str, tmp_path: Path) -> Outbox:
    """An outbox, just installed."""
    await install(SYSTEM, database)
    return Outbox(database, tmp_path / "topic.jsonl")
