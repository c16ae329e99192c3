"""A process that starts before its cluster waits for it, and hears when it is to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from bus import app
from bus.errors import SettingsRefused
from bus.settings import Settings
from tests.support.waiting import until


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody listens, for as long as the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


async def test_asks_again_until_it_is_told_to_stop(nowhere: str) -> None:
    """Each try is in the log, with what is waited for."""
    settings = Settings(kafka=nowhere, retry_first=timedelta(0), retry_most=timedelta(0))
    stop = asyncio.Event()
    with capture_logs() as said:  # wherever the tests before have sent what is said
        async with AsyncExitStack() as stack:
            connecting = asyncio.create_task(app.clients.connect(stack, settings, stop))
            await until(lambda: len(_waits(said)) >= 2, 20)
            waits = _waits(said)
            stop.set()

            assert await connecting is None
    assert [(line["code"], line["wants"]) for line in waits] == [("RK-401", "kafka")] * len(waits)


def _waits(said: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """The product's own lines: a library's may be beside them."""
    return [line for line in said if line["event"] == "start-waits"]


async def test_does_not_wait_for_what_cannot_work(nowhere: str) -> None:
    """Settings do not mend themselves."""
    settings = Settings(kafka=nowhere, kafka_security="SSL")
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsRefused):
            await app.clients.connect(stack, settings, asyncio.Event())
