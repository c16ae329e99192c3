"""A process that starts before its cluster waits for it, and hears when it is to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from bus import app
from bus.errors import SettingsRefused
from bus.settings import Settings


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody listens, for as long as the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


async def test_asks_again_until_it_is_told_to_stop(
    nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each try is in the log, with what is waited for."""
    settings = Settings(kafka=nowhere, retry_first=timedelta(0), retry_most=timedelta(0))
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        connecting = asyncio.create_task(app.connect(stack, settings, stop))
        said = ""
        async with asyncio.timeout(20):
            while said.count("start-waits") < 2:
                await asyncio.sleep(0.05)
                said += capsys.readouterr().out
        stop.set()

        assert await connecting is None
    assert "RK-401" in said
    assert "wants=kafka" in said


async def test_does_not_wait_for_what_cannot_work(nowhere: str) -> None:
    """Settings do not mend themselves."""
    settings = Settings(kafka=nowhere, kafka_security="SSL")
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsRefused):
            await app.connect(stack, settings, asyncio.Event())
