"""A link in a page leads to what is there."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "bus/**/*.md", "connectors/**/*.md", "schemas/**/*.md")
    for page in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def _heading_ids(page: Path) -> set[str]:
    """As GitHub makes them of headings: lower case, without signs, hyphens for blanks."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        plain = re.sub(r"\]\([^)]*\)", "]", heading).lower()
        kept = (c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add("".join(kept).strip().replace(" ", "-"))
    return found


def test_each_link_leads_somewhere() -> None:
    """To a file of the tree, and to a heading where it names one."""
    astray = {str(page.relative_to(ROOT)): _astray(page) for page in PAGES}

    assert len(PAGES) > 150
    assert {page: links for page, links in astray.items() if links} == {}


_TO_COME = re.compile(r"SYSTEM|sqlite|spool|bus/cli/events\.py|[<*{]")
"""In a path: what a reader writes, or stands for several."""


def test_each_file_that_a_page_names_is_there() -> None:
    """Of the tree: tests that hold something, folders to look into."""
    named = re.compile(
        r"`((?:tests|bus|connectors|docs|schemas|deploy|requirements)/[^`\s:]+|\.ci/\w+)`"
    )
    gone = {
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for path in named.findall(page.read_text(encoding="utf-8"))
        if not _TO_COME.search(path) and not (ROOT / path.rstrip(".,")).exists()
    }
    assert gone == set()


def _astray(page: Path) -> list[str]:
    found = []
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, part = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        is_page = to.suffix == ".md" and to.is_file()
        if not to.exists() or (part and is_page and part not in _heading_ids(to)):
            found.append(link)
    return found
