"""The glossary has every stream under its Japanese name."""

from __future__ import annotations

import re
from pathlib import Path

from bus.catalog import load

PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"


def test_every_stream_is_in_the_glossary() -> None:
    """One word per idea, in both languages; no stream that is none."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\S+) \|", PAGE.read_text(encoding="utf-8"), re.M)

    assert sorted(rows) == sorted(
        (stream.name, stream.ja) for stream in load().streams.values() if not stream.is_internal
    )
