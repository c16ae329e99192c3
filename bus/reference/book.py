"""Put all pages into one HTML file, to search, print or hand on; it needs no other file.

Made from the Markdown of the pages, so that nothing is said in two ways: headings, tables, lists,
blocks of code, links and code are all that those have. A link between pages becomes one to a
place in the file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources

from bus.reference import places
from bus.reference.markdown import MADE

_INLINE = re.compile(
    r"`(?P<code>[^`]*)`"
    r"|\[(?P<shown>(?:\\.|[^\]\\])*)\]\((?P<target>[^)]*)\)"
    r"|\\(?P<escaped>.)"
    r"|(?P<line_break><br>)"
)
_CELLS = re.compile(r"(?<!\\)\|")


def book(pages: Mapping[str, str]) -> str:
    """The file's text: the front page, then the others in their order."""
    sections = (_section(path, text) for path, text in pages.items() if path.endswith(".md"))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            MADE,
            '<html lang="ja"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Renkei 連携リファレンス</title>",
            f"<style>\n{_asset('book.css')}</style></head><body>",
            '<form role="search" onsubmit="return false"><label>検索 Search '
            '<input type="search" id="search" autocomplete="off"></label> '
            '<output id="found"></output></form>',
            *sections,
            f"<script>\n{_asset('book.js')}</script></body></html>",
            "",
        ]
    )


def anchor(path: str) -> str:
    """The id of a page's section."""
    return path.removesuffix(".md").replace("/", "-")


def _asset(name: str) -> str:
    return resources.files("bus.reference").joinpath(name).read_text(encoding="utf-8")


def _section(path: str, text: str) -> str:
    _, _, title, *lines = text.splitlines()  # behind the first line, and an empty one
    opened = " open" if path == places.FRONT else ""
    return "\n".join(
        [
            f'<details id="{anchor(path)}"{opened}>',
            f"<summary><h1>{_inline(title.removeprefix('# '), path)}</h1></summary>",
            *_blocks(lines, path),
            "</details>",
        ]
    )


def _blocks(lines: Sequence[str], path: str) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = lines.index("```", at + 1)
            yield "<pre>" + escape("\n".join(lines[at + 1 : end])) + "</pre>"
            at = end + 1
        elif line.startswith("|"):
            end = _end_of(lines, at, "|")
            yield from _table(lines[at:end], path)
            at = end
        elif line.startswith("- "):
            end = _end_of(lines, at, "- ")
            yield "<ul>"
            yield from (f"<li>{_inline(each[2:], path)}" for each in lines[at:end])
            yield "</ul>"
            at = end
        elif line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            yield f"<h{level}>{_inline(line.lstrip('# '), path)}</h{level}>"
            at += 1
        else:
            end = next((n for n in range(at, len(lines)) if not lines[n]), len(lines))
            paragraph = " ".join(lines[at:end])
            if paragraph and not _leads_here(paragraph):
                yield f"<p>{_inline(paragraph, path)}</p>"
            at = end + 1


def _leads_here(paragraph: str) -> bool:
    """Whether a link leads to a page in this file, or to a picture that it has as a table."""
    return f"]({places.BOOK})" in paragraph or f"]({places.PICTURE})" in paragraph


def _end_of(lines: Sequence[str], start: int, beginning: str) -> int:
    end = start
    while end < len(lines) and lines[end].startswith(beginning):
        end += 1
    return end


def _table(lines: Sequence[str], path: str) -> Iterator[str]:
    head, _, *rows = ([cell.strip() for cell in _CELLS.split(line)[1:-1]] for line in lines)
    named = 1 + max((n for n, cell in enumerate(head) if not cell.startswith("[")), default=0)
    yield f'<table class="upright named{named}">' if named < len(head) else "<table>"
    if any(head):
        cells = "".join(f"<th><span>{_inline(cell, path)}</span>" for cell in head)
        yield f"<thead><tr>{cells}</thead>"
    yield "<tbody>"
    yield from ("<tr>" + "".join(f"<td>{_inline(cell, path)}" for cell in row) for row in rows)
    yield "</table>"


def _inline(text: str, path: str) -> str:
    found, at = [], 0
    for match in _INLINE.finditer(text):
        found += [escape(text[at : match.start()], quote=False), _marked(match, path)]
        at = match.end()
    return "".join((*found, escape(text[at:], quote=False)))


def _marked(match: re.Match[str], path: str) -> str:
    if match["code"] is not None:
        return f"<code>{escape(match['code'], quote=False)}</code>"
    if match["target"] is not None:
        return f'<a href="#{_target(match["target"], path)}">{_inline(match["shown"], path)}</a>'
    return match["line_break"] or escape(match["escaped"], quote=False)


def _target(target: str, path: str) -> str:
    return anchor(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
