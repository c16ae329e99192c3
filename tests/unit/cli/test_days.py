"""One day for all: whoever judges a subscription asks the same clock, in Japan's time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path

import pytest

from bus import app

ROOT = Path(__file__).parents[3]


def test_the_day_is_japans(monkeypatch: pytest.MonkeyPatch) -> None:
    """At eight in the morning there it is still yesterday in UTC."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime(2029, 3, 31, 23, 0, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr("bus.app.configured.datetime", Clock)

    assert app.configured.this_day() == date(2029, 4, 1)


def test_nobody_judges_by_another_day() -> None:
    """No composition or command takes the day from UTC or from the machine's zone."""
    files = [*(ROOT / "bus" / "app").glob("*.py"), *(ROOT / "bus" / "cli").glob("*.py")]

    wrong = [
        file.name
        for file in files
        if re.search(r"UTC\)\.date\(\)|\bnow\.date\(\)|date\.today\(\)", file.read_text("utf-8"))
    ]

    assert wrong == []
