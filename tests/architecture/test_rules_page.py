"""The page of rules lists every rule of every stream, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bus.catalog import load
from bus.publish.rules import RULES
from bus.publish.rules.statement import Statement

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
ROW = re.compile(r"^\| (.+) \| `([a-z-]+)` \| `([a-z0-9_.]+)` \| (error|warning) \|$")

Row = tuple[str, str, str, str, str]


def in_page() -> Iterator[Row]:
    """Stream, Japanese name, code, item and severity of each row."""
    stream = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## (\S+) `(\S+)`$", line):
            stream = heading.group(2)
            assert load().stream(stream).ja == heading.group(1)
        elif row := ROW.match(line):
            yield (stream, *row.groups())  # type: ignore[misc]


def in_code() -> Iterator[Row]:
    """The same of each statement."""
    for stream, rules in RULES.items():
        for rule in rules:
            if isinstance(rule, Statement):
                yield stream, rule.ja, rule.code, rule.path, rule.severity.value


def test_the_page_lists_the_rules() -> None:
    """Whoever answers for the data reads there what is held against it."""
    assert sorted(in_page()) == sorted(in_code())
