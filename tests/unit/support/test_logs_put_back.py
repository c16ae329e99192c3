"""What one test says of the logs holds for no other test of the same process."""

from __future__ import annotations

import logging
import sys

import structlog

from bus.observe import logs

AS_FOUND: list[object] = []


def found() -> list[object]:
    """What ``logs.configure`` changes, as it is now."""
    root = logging.getLogger()
    ours = [type(handler).__name__ for handler in root.handlers]
    return [structlog.is_configured(), structlog.get_config(), sys.excepthook, root.level, ours]


def test_one_test_configures_the_logs() -> None:
    AS_FOUND[:] = found()
    logs.configure("text")
    assert found() != AS_FOUND


def test_the_next_one_finds_them_as_they_were() -> None:
    assert found() == AS_FOUND
