"""How a process names itself, and how that is read."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from bus.observe.runner import ProcessName, runner_of, this_process

SINCE = datetime(2026, 11, 30, 0, 42, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        f"renkei-tax@host.example:12:{int(SINCE.timestamp())}",
        f"host.example:12:{int(SINCE.timestamp())}-9d52fd69",
    ],
)
def test_a_name_says_who_it_is(name: str) -> None:
    """A member of a group, or the holder of a lease."""
    assert runner_of(name) == ProcessName("host.example", 12, SINCE)


@pytest.mark.parametrize("name", ["", "renkei-tax", "vm:28125:9d52fd69", "consumer-1"])
def test_others_are_nobody_that_is_known(name: str) -> None:
    """One of an older version, or somebody else's tool."""
    assert runner_of(name) is None


def test_this_process_is_read_as_what_it_is() -> None:
    """And stays the same for as long as it runs."""
    found = runner_of(this_process())

    assert found is not None
    assert found.pid == os.getpid()
    assert this_process() == this_process()
