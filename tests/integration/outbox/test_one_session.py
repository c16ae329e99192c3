"""No command about outboxes opens Kafka more than once; what is only looked at, not at all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.counted import REASON, Counted, counted_site, run
from tests.support.outbox import SYSTEM, Outbox, change, until

pytestmark = pytest.mark.service

COMMANDS = [  # its status, and how often it opens Kafka
    (("relay", "status"), 0, 0),
    (("relay", "status", "--system", SYSTEM), 0, 0),
    (("relay", "install", SYSTEM), 0, 0),
    (("relay", "refused", "list", SYSTEM, *REASON), 0, 1),
    (("relay", "refused", "retry", SYSTEM, "--all", "--dry-run"), 0, 0),
    (("relay", "refused", "drop", SYSTEM, "3", *REASON, "--dry-run"), 0, 0),
    (("relay", "refused", "drop", SYSTEM, "3", *REASON), 0, 1),
    (("relay", "refused", "retry", SYSTEM, "--all", *REASON), 0, 1),
    (("relay", "refused", "retry", SYSTEM, "--all", *REASON), 1, 0),  # nothing is refused
]


async def test_a_command_opens_kafka_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outbox: Outbox
) -> None:
    """On an outbox with two refused changes, the second behind the first."""
    counted = counted_site(monkeypatch, tmp_path)
    monkeypatch.setenv("RENKEI_OUTBOXES", json.dumps({SYSTEM: outbox.uri}))
    outbox.publish(change("1", 1), change("2", 2), change("2", 3))
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)

    assert await asyncio.to_thread(opened, counted) == COMMANDS


def opened(counted: Counted) -> list[tuple[tuple[str, ...], int, int]]:
    """Each command, its status, and how often it opened Kafka; which it closed as often."""
    found = []
    for command, *_ in COMMANDS:
        counted.opened = counted.closed = 0
        done = run(*command)
        assert counted.opened == counted.closed, command
        found.append((command, done.exit_code, counted.opened))
    return found
