"""Times as people are shown them: one zone, named, whatever the machine's is."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bus.cli.times import shown
from bus.errors import ConfigurationError
from bus.ledger.custody import PruneMarks, wrong_marks
from bus.ledger.deeds import RecordedDeed, unproved
from bus.model.deed import Deed
from bus.observe.moments import TO_THE_SECOND
from bus.settings import Settings, load

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 11, 30, 16, 4, 5, tzinfo=UTC)


def test_the_site_s_zone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the machine's: it is the next day in Tokyo."""
    monkeypatch.setenv("TZ", "America/New_York")

    assert shown(AT) == "2026-12-01 01:04 JST"
    assert shown(AT, TO_THE_SECOND) == "2026-12-01 01:04:05 JST"
    assert shown(AT, zone=ZoneInfo("UTC")) == "2026-11-30 16:04 UTC"


def test_the_setting() -> None:
    """A name that there is; Asia/Tokyo by default."""
    assert Settings().time_zone == "Asia/Tokyo"
    assert load({"RENKEI_TIME_ZONE": "UTC"}).time_zone == "UTC"
    for wrong in ("Tokyo", "", "../etc/passwd", "+09:00"):
        with pytest.raises(ConfigurationError):
            load({"RENKEI_TIME_ZONE": wrong})


def test_no_command_shows_the_machine_s_zone() -> None:
    """A moment that a command draws goes through the one place that knows the zone."""
    for file in sorted((ROOT / "bus" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr != "astimezone" or node.args, f"{file.name}:{node.lineno}"


def test_no_text_has_a_zone_of_its_own() -> None:
    """Whoever writes a moment out for people names the zone that it was given."""
    for file in sorted([*(ROOT / "bus").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")]):
        assert not re.search(r"%M(:%S)?\}Z", file.read_text(encoding="utf-8")), file


def test_the_ledger_tells_times_in_the_zone_that_it_is_given() -> None:
    """What retention took too early, and a deed without a proof."""
    tokyo = ZoneInfo("Asia/Tokyo")
    left = PruneMarks(before=AT, digest="", count=0)
    (wrong,) = wrong_marks(left, None, AT - timedelta(days=1), tokyo)
    assert "before 2026-12-01 01:04 JST; what is younger than 2026-11-30 01:04 JST" in wrong

    deed = Deed(act="erase", at=AT, actor="a", account="b", count=1)
    what = unproved(RecordedDeed(deed=deed, partition=0, offset=1, is_proved=False), tokyo).what
    assert what == "erase at 2026-12-01 01:04 JST: it has no proof"
