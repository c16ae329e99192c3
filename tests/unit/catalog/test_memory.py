"""Keeping freed memory: asked for where glibc is, and harmless elsewhere."""

from __future__ import annotations

import sys

import pytest

from bus.catalog.memory import keep_freed


def test_may_be_asked_twice() -> None:
    """The second time changes nothing."""
    assert keep_freed() == keep_freed()


def test_elsewhere_only_speed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system has no such switch, and no error either."""
    monkeypatch.setattr(sys, "platform", "darwin")

    assert keep_freed() is False
