"""No page names a command, or an option of one, that is not there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import whole

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/howto/*.md"),
        *ROOT.glob("schemas/**/*.md"),
        *ROOT.glob("connectors/*/*.md"),
    }
    - {ROOT / "CHANGELOG.md"}  # what was, under the names that it had
)
WALKED = {"events"}  # the command that CONTRIBUTING.md's walk adds
SPAN = re.compile(r"`(renkei [a-z-][^`\n]*)`|^ *(?:\S+/)?(renkei [a-z-].*)$", re.MULTILINE)
MAIN = whole()


def named(page: Path) -> Iterator[list[str]]:
    """The words of each command that a page names."""
    for span, line in SPAN.findall(page.read_text(encoding="utf-8")):
        text = re.sub(r"\s+# .*$|[;|>&].*$", "", span or line)
        for part in text.split("; "):
            yield shlex.split(part.replace("'", ""))[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """Groups, commands and options."""
    for words in named(page):
        found: Any = MAIN
        path = "renkei"
        for word in words:
            if word in WALKED and found is MAIN:
                break
            if word.startswith("--"):
                options = {each for param in found.params for each in param.opts}
                shared = {"--version", "--help", "--install-completion", "--show-completion"}
                assert word.partition("=")[0] in options | shared, f"{path} {word}"
            elif hasattr(found, "commands") and re.fullmatch(r"[a-z-]+", word):
                assert word in found.commands, f"{path} {word}"
                found, path = found.commands[word], f"{path} {word}"


def test_pages_name_commands() -> None:
    """The walk finds them."""
    assert sum(1 for page in PAGES for _ in named(page)) > 200
